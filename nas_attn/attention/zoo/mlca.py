"""MLCA: a mix of channel attention for the whole map and for the cells of a grid.

Paper: Mixed local channel attention for object detection (Engineering Applications of Artificial Intelligence, 2023).
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.forms import fast_wanted
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import must_be_odd
from nas_attn.errors import UserError


@attention(
    "mlca",
    family="channel+spatial",
    paper="Mixed local channel attention for object detection, Engineering Applications of AI 123 (2023) 106442",
    licence="own code from the paper; the published code, GPL-3.0 (github.com/wandahangFY/MLCA), was not used",
    weights="load as in github.com/wandahangFY/MLCA",
)
class MLCA(nn.Module):
    r"""x · ((1 − w)·σ(conv(mean)) + w·unpool(σ(conv_local(cells)))), with 1-D convolutions along the channels.

    `cells` are the averages of a `local_size` × `local_size` grid, `mean` is their average. `conv_local` runs over the
    channels of all cells, written one cell after another. So, as published, the last channels of a cell and the first
    channels of the next cell are mixed.

    Grid and unpooling give the same result as the published adaptive pooling on every map: cells overlap if
    `local_size` does not divide the side of the map, and a pixel takes the average of the cells that it touches.
    Adaptive pooling itself has no deterministic gradient on CUDA and no ONNX form for unknown sizes, so other operators
    are used. The reference form takes averages of slices and differences of sums, which, like all pooling, count as no
    multiply-accumulates. The fast form multiplies by small matrices.

    If the batch size was above 1, the code as first published mixed up images and channels in the first branch. This
    module follows the later correction.

    Parameters: 2·`kernel_size`. The state dictionary has the published keys.

    Args:
        channels: C, channels of the map.
        local_size: number of cells along each side of the grid.
        local_weight: w, the share of the grid's attention, between 0 and 1, both exclusive.
        kernel_size: number of channels that the convolutions span; odd. None: the paper's size, (log₂C + 1) / 2 rounded
            down, and then up to an odd number (3 at 64 channels, 5 from 128 to 1024).
    Raises:
        UserError: `kernel_size` is even, or `local_weight` is not between 0 and 1.
    """

    def __init__(
        self,
        channels: int,
        local_size: Annotated[int, Choice(3, 5, 7)] = 5,
        local_weight: Annotated[float, Choice(0.25, 0.5)] = 0.5,
        kernel_size: Annotated[int | None, Choice(3, 5, default=5)] = None,
    ) -> None:
        super().__init__()
        if kernel_size is None:
            kernel_size = int((math.log2(channels) + 1) / 2) // 2 * 2 + 1
        must_be_odd("kernel_size", kernel_size)
        if not 0 < local_weight < 1:
            raise UserError("`local_weight` must lie between 0 and 1, both exclusive", got=local_weight)
        self.local_size, self.local_weight = local_size, local_weight
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.conv_local = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fast(x) if fast_wanted(self) else self.reference(x)

    def reference(self, x: Tensor) -> Tensor:
        """The module with pooling by averages of slices, and unpooling by differences of running sums."""
        side = self.local_size
        attention = self._attention(averages_of_slices(averages_of_slices(x, side, 3), side, 2))
        attention = spread_along(spread_along(attention, side, x.shape[2], 2), side, x.shape[3], 3)
        return x * attention.to(x.dtype)

    def fast(self, x: Tensor) -> Tensor:
        """The module with pooling and unpooling by products with the matrices of `adaptive_average`: few operators."""
        down, across = (adaptive_average(n, self.local_size, x) for n in x.shape[2:])
        attention = self._attention(down @ (x @ across.transpose(0, 1)))
        down, across = (adaptive_average(self.local_size, n, attention) for n in x.shape[2:])
        return x * (down @ attention @ across.transpose(0, 1)).to(x.dtype)

    def _attention(self, cells: Tensor) -> Tensor:
        """The gates of the cells, each including the share of the whole map: (N, C, side, side) -> the same shape."""
        channels, side = cells.shape[1], self.local_size
        mean = cells.mean((2, 3)).unsqueeze(1)
        share = self.conv(mean).sigmoid().reshape(-1, channels, 1, 1)
        row = cells.flatten(2).transpose(1, 2).reshape(-1, 1, side * side * channels)
        local = self.conv_local(row).sigmoid().reshape(-1, side * side, channels).transpose(1, 2)
        # the cell weights of every pixel sum to 1, so the common share can be added before unpooling
        return (1 - self.local_weight) * share + self.local_weight * local.reshape(-1, channels, side, side)

    def extra_repr(self) -> str:
        return f"local_size={self.local_size}, local_weight={self.local_weight}"


def adaptive_average(inputs: int, outputs: int, like: Tensor) -> Tensor:
    """Adaptive average pooling along one axis as a matrix (outputs, inputs), with the dtype and device of `like`.

    Output i averages the inputs from ⌊i·inputs / outputs⌋ up to, but not including, ⌈(i + 1)·inputs / outputs⌉. There
    may be more inputs than outputs or more outputs than inputs.
    """
    cell = torch.arange(outputs, device=like.device).unsqueeze(1)
    first = cell * inputs // outputs
    end = ((cell + 1) * inputs + outputs - 1) // outputs
    position = torch.arange(inputs, device=like.device)
    member = (position >= first) & (position < end)
    return member.to(like.dtype) / (end - first).to(like.dtype)


def averages_of_slices(x: Tensor, cells: int, axis: int) -> Tensor:
    """Adaptive average pooling of one axis to a fixed number of cells."""
    size = x.shape[axis]
    means = []
    for cell in range(cells):
        first, end = cell * size // cells, ((cell + 1) * size + cells - 1) // cells
        part = x[:, :, first:end] if axis == 2 else x[:, :, :, first:end]
        means.append(part.mean(axis, keepdim=True))
    return torch.cat(means, axis)


def spread_along(values: Tensor, cells: int, size: int, axis: int) -> Tensor:
    """Adaptive average pooling of an axis with a fixed number of cells to any number of positions."""
    sums = [torch.zeros_like(values.narrow(axis, 0, 1))]
    for cell in range(cells):
        sums.append(sums[-1] + values.narrow(axis, cell, 1))
    running = torch.cat(sums, axis)
    place = torch.arange(size, device=values.device)
    first, end = place * cells // size, ((place + 1) * cells + size - 1) // size
    total = running.index_select(axis, end) - running.index_select(axis, first)
    count = (end - first).to(values.dtype)
    return total / (count.unsqueeze(1) if axis == 2 else count)
