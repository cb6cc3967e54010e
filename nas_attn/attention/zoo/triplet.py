"""Triplet attention: three gates, each over two of the three axes of a map.

Paper: Rotate to Attend: Convolutional Triplet Attention Module (arXiv:2010.03045).
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.attention.zoo._constraints import must_be_odd
from nas_attn.attention.zoo._published import PublishedNames


class PooledGate(nn.Module):
    """The gate σ(norm(convolution)) of the maximum and the mean over one axis.

    Args:
        kernel_size: odd side of the kernel.
    Shape:
        (N, C, H, W), with the pooled axis at the position of C -> (N, 1, H, W).
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = BatchNorm(1, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return self.norm(self.conv(pooled)).sigmoid()


@attention(
    "triplet",
    family="channel+spatial",
    paper="Rotate to Attend: Convolutional Triplet Attention Module, 2010.03045",
    licence="own code from the paper; published code: MIT",
    weights="load as in github.com/landskape-ai/triplet-attention",
)
class TripletAttention(PublishedNames):
    """x times the mean of three gates: over channels × columns, rows × channels and rows × columns.

    Each gate is computed from the maximum and the mean over its third axis, by a k×k convolution, batch normalisation
    with one channel, and a sigmoid. The paper averages three gated copies of x; here the gates are averaged, and x is
    multiplied once. The number of channels is not an argument, because nothing depends on it.

    In training, the gate over rows × columns normalises N·H·W values. If there is only one value (one image of one
    pixel), the running statistics are used. Parameters: 3·(2·k² + 2).

    Args:
        kernel_size: k, an odd number of channels, rows or columns.
    Raises:
        UserError: an even `kernel_size`.
    """

    published = tuple(
        (f"{theirs}.conv.{part}.", f"{ours}.{name}.")
        for theirs, ours in (("cw", "channels_columns"), ("hc", "rows_channels"), ("hw", "rows_columns"))
        for part, name in (("conv", "conv"), ("bn", "norm"))
    )

    def __init__(self, kernel_size: Annotated[int, Choice(3, 5, 7)] = 7) -> None:
        super().__init__()
        must_be_odd("kernel_size", kernel_size)
        self.channels_columns = PooledGate(kernel_size)
        self.rows_channels = PooledGate(kernel_size)
        self.rows_columns = PooledGate(kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        without_rows = self.channels_columns(x.transpose(1, 2)).transpose(1, 2) / 3  # (N, C, 1, W)
        without_columns = self.rows_channels(x.transpose(1, 3)).transpose(1, 3) / 3  # (N, C, H, 1)
        return x * (without_rows + without_columns + self.rows_columns(x) / 3)
