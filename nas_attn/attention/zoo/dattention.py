"""Deformable attention: keys and values are sampled from the map at positions that the queries choose.

Paper: Vision Transformer with Deformable Attention (arXiv:2201.00520).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible, reachable
from nas_attn.attention.zoo._depthwise import DepthwiseConv2d
from nas_attn.attention.zoo._heads import attend, to_heads, to_map
from nas_attn.attention.zoo._precision import at_least_single, without_autocast

OFFSET_KERNELS = {1: 3, 2: 5, 4: 7, 8: 9}  # stride of the samples -> kernel side of the offset network, as published
OFFSET_RANGE = 1.0  # largest move of a sample, in cells; the published code writes 2, in half cells


class OffsetNetwork(nn.Module):
    """Depthwise convolution, layer norm over channels, GELU, 1×1: (N, C, H, W) -> (N, 2, ⌈H/stride⌉, ⌈W/stride⌉)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        kernel = OFFSET_KERNELS[stride]
        self.conv = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.out = nn.Conv2d(channels, 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.out(F.gelu(x))


@attention(
    "dattention",
    family="self-attention",
    paper="Vision Transformer with Deformable Attention, 2201.00520",
    licence="own code from the paper; published code: Apache-2.0 (github.com/LeapLabTHU/DAT)",
    weights="do not fit: the published code samples the map at other positions",
    cannot={"deterministic": "CUDA sums the gradient of grid_sample in any order"},
)
class DeformableAttention(nn.Module):
    r"""`proj(softmax(q·kᵀ/√D)·v + P(q))` per head, with k and v from samples of the map at r + s·tanh(offset(q)).

    The reference points r are the centres of ⌈H/stride⌉ × ⌈W/stride⌉ equal cells of the map, and s is one cell.
    Each of `groups` groups of channels has its own offsets; one network, shared by all groups, computes them. Samples
    are bilinear, and zero beyond the border. P is a depthwise 3×3 convolution of the queries. The published code offers
    it (`dwc_pe`) instead of the paper's table of relative positions, which is made for one map size.

    Differences from the published code: its formula spreads the reference points over −1…1, goes beyond the last pixel,
    and divides by zero if there is only one cell. Here the points are the centres of the cells, in coordinates in which
    ±1 are the edges of the map. Coordinates and samples are computed in at least float32: in half precision they would
    be wrong by up to 0.02 pixels on a map that is 80 pixels wide.

    Parameters, c = C / groups and k the offset kernel of `stride` (1: 3, 2: 5, 4: 7, 8: 9): 4C² + 14C + c(k² + 5).

    Args:
        dim: C, channels of the map, a multiple of `num_heads`.
        num_heads: number of heads, a multiple of `groups`.
        groups: number of channel groups; the channels of a group share their samples.
        stride: distance between the samples in pixels, before they move.
    Shape:
        (N, C, H, W) -> (N, C, H, W); any H, W from 1.
    Raises:
        SlotRefused: `num_heads` does not divide `dim`, or `groups` does not divide `num_heads`.
    """

    def __init__(
        self,
        dim: int,
        num_heads: Annotated[int, Choice(4, 8)] = 4,
        groups: Annotated[int, Choice(1, 2)] = 1,
        stride: Annotated[int, Choice(2, 4, 8)] = 4,
    ) -> None:
        super().__init__()
        self.num_heads, self.groups, self.stride = num_heads, groups, stride
        self.proj_q = nn.Conv2d(dim, dim, 1)
        self.proj_kv = nn.Conv2d(dim, 2 * dim, 1)
        self.offset = OffsetNetwork(dim // groups, stride)
        self.pe = DepthwiseConv2d(dim, 3)
        self.proj = nn.Conv2d(dim, dim, 1)

    @classmethod
    def unsupported(cls, channels: int, *, num_heads: int, groups: int, stride: int) -> str | None:
        if num_heads % groups:
            return f"`groups` must divide `num_heads`, but got {groups} and {num_heads}"
        return indivisible(channels, num_heads)

    @classmethod
    def attention_logits(
        cls, channels: int, height: int, width: int, *, num_heads: int, groups: int, stride: int
    ) -> int:
        return num_heads * height * width * -(-height // stride) * -(-width // stride)

    @classmethod
    def effective(cls, height: int, width: int, *, num_heads: int, groups: int, stride: int) -> Hashable:
        """Equal keys for equal functions: if there is only one sample, the number of heads does not matter, and only
        taps of the offset network that can meet data count."""
        cells = -(-height // stride), -(-width // stride)
        if cells == (1, 1):
            return groups, tuple(reachable(n, OFFSET_KERNELS[stride]) for n in (height, width))
        return num_heads, groups, stride

    def forward(self, x: Tensor) -> Tensor:
        q = self.proj_q(x)
        k, v = self.proj_kv(self._sample(x, q)).chunk(2, 1)
        out = attend(*(to_heads(part, self.num_heads) for part in (q, k, v)))
        return self.proj(to_map(out, x) + self.pe(q))

    def _sample(self, x: Tensor, q: Tensor) -> Tensor:
        """(N, C, cells down, cells across): samples of `x` at the positions that the queries choose."""
        n, c, height, width = x.shape
        offset = self.offset(q.reshape(n * self.groups, c // self.groups, height, width))
        with without_autocast(x.device):
            moved = OFFSET_RANGE * torch.tanh(at_least_single(offset))
            down, across = offset.shape[2], offset.shape[3]
            # in units of cells; the centre of cell i is at (i + 1/2)·2/cells − 1, the edges of the map are at ±1
            row, column = (torch.arange(size, device=x.device).to(moved.dtype) + 0.5 for size in (down, across))
            rows = (row.reshape(-1, 1) + moved[:, 0]) * 2 / down - 1
            columns = (column + moved[:, 1]) * 2 / across - 1
            grid = torch.stack([columns, rows], -1)
            groups = at_least_single(x).reshape(n * self.groups, c // self.groups, height, width)
            sampled = F.grid_sample(groups, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return sampled.reshape(n, c, down, across).to(x.dtype)

    def extra_repr(self) -> str:
        return f"num_heads={self.num_heads}, groups={self.groups}, stride={self.stride}"
