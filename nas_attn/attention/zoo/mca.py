"""MCA: one gate per row, one per column and one per channel, from the mean and the standard deviation; their average.

Paper: MCA: Multidimensional collaborative attention in deep convolutional neural networks for image recognition
(Engineering Applications of Artificial Intelligence, 2023).
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import must_be_odd, reachable
from nas_attn.attention.zoo._precision import at_least_single
from nas_attn.errors import UserError

LINE = 3  # places that the kernels along rows and columns span


class MCAGate(nn.Module):
    """σ(conv(½(μ + s) + σ(a)·μ + σ(b)·s)), one number for each place on an axis.

    μ and s are the mean and the standard deviation over the two other axes; conv slides along the axis.

    Args:
        axis: 1 for channels, 2 for rows, 3 for columns.
        k_size: number of places that the kernel spans; odd.
    Shape:
        (N, C, H, W) -> (N, C, 1, 1), (N, 1, H, 1) or (N, 1, 1, W).
    """

    def __init__(self, axis: int, k_size: int) -> None:
        super().__init__()
        self.axis = axis
        self.conv = nn.Conv2d(1, 1, (1, k_size), padding=(0, k_size // 2), bias=False)
        self.weight = nn.Parameter(torch.rand(2))

    def forward(self, x: Tensor) -> Tensor:
        mean, deviation = _mean_and_deviation(x, tuple(a for a in (1, 2, 3) if a != self.axis))
        a, b = at_least_single(self.weight.sigmoid()).unbind()
        pooled = (0.5 * (mean + deviation) + a * mean + b * deviation).to(x.dtype)
        return self.conv(pooled.transpose(self.axis, 3)).sigmoid().transpose(self.axis, 3)


@attention(
    "mca",
    family="channel+spatial",
    paper="MCA: Multidimensional collaborative attention in deep convolutional neural networks for image recognition, "
    "Engineering Applications of AI 126 (2023) 107079",
    licence="own code from the paper; no licence file was found with the published code (github.com/ndsclark/MCANet)",
    weights="load as in github.com/ndsclark/MCANet",
)
class MCA(nn.Module):
    """`x · (g_rows + g_columns + g_channels) / 3`; each g is an `MCAGate` along its axis.

    The mean of the three gates multiplies x once, which is the published mean of three gated maps. The standard
    deviation divides by the number of values minus 1. If there is one value, it is 0; the published code divides 0 by
    0. Mean and deviation are computed in float32.

    Parameters: 12 + k_size, or 10 with no_spatial=1.

    Args:
        channels: C, channels of the map.
        no_spatial: 1 leaves out g_channels, the gate from the statistics of whole planes; the sum is then divided by 2.
            The name is that of the published code.
        k_size: number of channels that the kernel of g_channels spans; odd. None: the paper's size, (log₂C − 1) / 1.5
            rounded, or 1 less if this is even (3 at 32 to 128 channels, 5 at 256 to 1024).
    Raises:
        UserError: `k_size` is even, or `no_spatial` is neither 0 nor 1.
    """

    def __init__(
        self,
        channels: int,
        no_spatial: Annotated[int, Choice(0, 1)] = 0,
        k_size: Annotated[int | None, Choice(3, 5, 7, default=3)] = None,
    ) -> None:
        super().__init__()
        if no_spatial not in (0, 1):
            raise UserError("`no_spatial` must be 0 or 1", got=repr(no_spatial))
        k_size = usual_size(channels) if k_size is None else k_size
        must_be_odd("k_size", k_size)
        self.h_cw = MCAGate(2, LINE)
        self.w_hc = MCAGate(3, LINE)
        self.c_hw = None if no_spatial else MCAGate(1, k_size)

    @classmethod
    def effective(cls, height: int, width: int, *, no_spatial: int, k_size: int) -> Hashable:
        """Equal keys for equal functions: without the gate of the channels, its kernel does not matter."""
        lines = reachable(height, LINE), reachable(width, LINE)
        return lines, no_spatial, None if no_spatial else k_size

    def forward(self, x: Tensor) -> Tensor:
        gates = self.h_cw(x) + self.w_hc(x)
        if self.c_hw is None:
            return x * (gates / 2)
        return x * ((gates + self.c_hw(x)) / 3)


def usual_size(channels: int) -> int:
    """The paper's kernel size of the gate of the channels."""
    size = round(abs(math.log2(channels) - 1) / 1.5)
    return max(1, size - 1 + size % 2)


def _mean_and_deviation(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over two axes, which stay with length 1; in float32 if x has a lower precision."""
    exact = at_least_single(x)
    others = exact.shape[axes[0]] * exact.shape[axes[1]] - 1
    # while a graph is traced, this is a tensor, and must stay one: the graph is then valid for other sizes
    others = others.clamp(min=1) if isinstance(others, Tensor) else max(others, 1)
    mean = exact.mean(axes, keepdim=True)
    variance = (exact - mean).square().sum(axes, keepdim=True) / others
    return mean, variance.clamp(min=torch.finfo(variance.dtype).tiny).sqrt()  # the root has no gradient at 0
