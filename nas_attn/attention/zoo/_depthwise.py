"""Depthwise convolutions that keep the size of a map and train fast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nas_attn.attention.forms import fast_wanted


class DepthwiseConv2d(nn.Conv2d):
    """`nn.Conv2d` with one group per channel, padded so that the size of the map stays.

    When it trains on channels_last maps, it adds its bias in a separate step. On a CPU, the bias gradient of the
    convolution would take a third of the whole backward pass.

    Args:
        dim: number of channels.
        kernel: (rows, columns), both odd, or one odd number for both.
        dilation: distance between taps in pixels.
        options: further keywords of `nn.Conv2d`.
    Shape:
        (N, dim, H, W) -> (N, dim, H, W).
    """

    def __init__(self, dim: int, kernel: int | tuple[int, int], dilation: int = 1, **options: Any) -> None:
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (rows // 2 * dilation, columns // 2 * dilation)
        super().__init__(dim, dim, (rows, columns), padding=padding, dilation=dilation, groups=dim, **options)

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None or not torch.is_grad_enabled() or not fast_wanted():
            return super().forward(x)
        # tested last, because a tracer warns about it; `is_contiguous(memory_format=...)` would break torch.vmap
        if x.dim() != 4 or x.shape[1] == 1 or x.stride(1) != 1:
            return super().forward(x)
        out = nn.functional.conv2d(x, self.weight, None, 1, self.padding, self.dilation, self.groups)
        return out.add_(self.bias.unsqueeze(1).unsqueeze(2))
