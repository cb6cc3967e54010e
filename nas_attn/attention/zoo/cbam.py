"""CBAM: a gate for each channel, then one for each pixel.

Paper: CBAM: Convolutional Block Attention Module (arXiv:1807.06521).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import must_be_odd, reachable, too_narrow


@attention(
    "cbam",
    family="channel+spatial",
    paper="CBAM: Convolutional Block Attention Module, 1807.06521",
    licence="own code from the paper; published code: MIT",
    weights="do not fit: the published code has biases in M and a batch norm behind conv",
)
class CBAM(nn.Module):
    """`y = x · σ(M(avg x) + M(max x))`, then `y · σ(conv[avg y; max y])`.

    M(z) = W1 · relu(W0 · z) is one bottleneck of R = ⌊C/reduction⌋ channels, shared by both poolings over the map. The
    second pair of poolings is over the channels, and conv has a kernel_size² kernel. There are no biases, as in the
    paper's formulas.

    Parameters: 2·C·R + 2·kernel_size². The published code (and timm's `CbamModule`) adds a batch norm after conv, which
    no formula of the paper has and which cannot train on one image of one pixel. The published code also has biases in
    M. Ultralytics' class of this name is another module: it has average pooling only, and one C×C layer for M.

    Args:
        channels: C, channels of the map.
        reduction: C divided by the width of M.
        kernel_size: side of conv's kernel in pixels; odd.
    Raises:
        SlotRefused: fewer channels than `reduction`.
        UserError: an even `kernel_size`.
    """

    def __init__(
        self,
        channels: int,
        reduction: Annotated[int, Choice(4, 8, 16)] = 16,
        kernel_size: Annotated[int, Choice(3, 5, 7)] = 7,
    ) -> None:
        super().__init__()
        must_be_odd("kernel_size", kernel_size)
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)
        self.spatial = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    @classmethod
    def unsupported(cls, channels: int, *, reduction: int, kernel_size: int) -> str | None:
        return too_narrow("reduction", reduction, channels)

    @classmethod
    def effective(cls, height: int, width: int, *, reduction: int, kernel_size: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return reduction, reachable(height, kernel_size), reachable(width, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)], 2)
        # W1 is linear, so the two poolings can be summed before it
        hidden = self.fc1(pooled).relu().sum(2, keepdim=True)
        x = x * self.fc2(hidden).sigmoid()
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * self.spatial(pooled).sigmoid()
