"""Depthwise convolutions that keep a map's size, and are quick to train."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nas_attn.attention.forms import fast_wanted


class DepthwiseConv2d(nn.Conv2d):
    """`nn.Conv2d` with one group a channel and padding that keeps the map; (N, dim, H, W) -> the same.

    In training on channels_last maps it adds its bias itself: there, on a CPU, the gradient of the convolution's bias
    takes a third of the whole backward pass.

    Args:
        dim: channels.
        kernel: odd (rows, columns), or one number for both.
        dilation: distance of taps in pixels.
    """

    def __init__(self, dim: int, kernel: int | tuple[int, int], dilation: int = 1, **options: Any) -> None:
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (rows // 2 * dilation, columns // 2 * dilation)
        super().__init__(dim, dim, (rows, columns), padding=padding, dilation=dilation, groups=dim, **options)

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None or not torch.is_grad_enabled() or not fast_wanted():
            return super().forward(x)
        # asked last, for a tracer warns of it; `is_contiguous(memory_format=...)` would stop torch.vmap
        if x.dim() != 4 or x.shape[1] == 1 or x.stride(1) != 1:
            return super().forward(x)
        out = nn.functional.conv2d(x, self.weight, None, 1, self.padding, self.dilation, self.groups)
        return out.add_(self.bias.unsqueeze(1).unsqueeze(2))
