"""Bi-level routing attention: regions choose regions, then pixels attend to the pixels of the chosen regions.

Paper: BiFormer: Vision Transformer with Bi-Level Routing Attention (arXiv:2303.08810).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.forms import recording
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._depthwise import DepthwiseConv2d
from nas_attn.attention.zoo._heads import attend, blocked, from_windows, padded_windows, pixels_in_windows
from nas_attn.attention.zoo._precision import at_least_single, without_autocast
from nas_attn.attention.zoo._published import PublishedNames


@attention(
    "bi_level_routing",
    family="self-attention",
    paper="BiFormer: Vision Transformer with Bi-Level Routing Attention, 2303.08810",
    licence="own code from the paper; published code: MIT (github.com/rayleizhu/BiFormer)",
    weights="load as in github.com/rayleizhu/BiFormer, with side_dwconv=5 as in its models",
    cannot={"bfloat16": "weights rounded to bfloat16 choose other regions; autocast to bfloat16 keeps the choice"},
)
class BiLevelRouting(PublishedNames):
    r"""`proj(softmax(q·k_gᵀ/√C)·v_g + LEPE(v))`, with k_g and v_g from the regions that the region of q chooses.

    The map is cut into n_win × n_win regions of ceil(H/n_win) × ceil(W/n_win) pixels. A region chooses the `topk`
    regions whose mean key has the largest product with its own mean query, over all heads together. No gradient passes
    through the choice. LEPE is a depthwise 5×5 convolution. The scale uses all channels, not those of one head, as
    published.

    If n_win does not divide a side, the last regions lie partly or fully beyond the map. Positions there are neither
    attended to nor counted in means, and regions without pixels are chosen last. The published code fills these
    positions with zeros, which take part in the attention. The mean query of a region is the query of its mean pixel,
    so routing is computed from means of the map. It uses at least float32, because rounded queries would choose other
    regions.

    Parameters: 4C² + 30C.

    Args:
        dim: C, channels of the map, a multiple of `num_heads`.
        num_heads: number of heads.
        n_win: regions on each side of the map.
        topk: number of regions that each region chooses, at most n_win².
    Shape:
        (N, C, H, W) -> (N, C, H, W); any H, W from 1.
    Raises:
        SlotRefused: `num_heads` does not divide `dim`, or `topk` is larger than n_win².
    """

    # names in the released models, then names in the repository's class for (N, C, H, W)
    published = ("qkv.qkv.", "qkv."), ("wo.", "proj."), ("qkv_linear.", "qkv."), ("output_linear.", "proj.")

    def __init__(
        self,
        dim: int,
        num_heads: Annotated[int, Choice(4, 8)] = 8,
        n_win: Annotated[int, Choice(4, 7)] = 7,
        topk: Annotated[int, Choice(1, 4, 8)] = 4,
    ) -> None:
        super().__init__()
        self.num_heads, self.n_win, self.topk = num_heads, n_win, topk
        self.scale = dim**-0.5
        self.qkv = nn.Conv2d(dim, 3 * dim, 1)
        self.lepe = DepthwiseConv2d(dim, 5)
        self.proj = nn.Conv2d(dim, dim, 1)

    @classmethod
    def unsupported(cls, channels: int, *, num_heads: int, n_win: int, topk: int) -> str | None:
        if topk > n_win**2:
            return f"`topk` must not exceed the number of regions, but got {topk} of {n_win**2}"
        return indivisible(channels, num_heads)

    @classmethod
    def attention_logits(cls, channels: int, height: int, width: int, *, num_heads: int, n_win: int, topk: int) -> int:
        """Attention logits per image, including positions beyond the map."""
        places = -(-height // n_win) * -(-width // n_win)
        return num_heads * n_win**2 * topk * places**2

    @classmethod
    def effective(cls, height: int, width: int, *, num_heads: int, n_win: int, topk: int) -> Hashable:
        """Equal keys for equal functions: if a region chooses all regions with pixels, it attends to the whole map. If
        there is only one key, the number of heads does not matter."""
        if height * width == 1:
            return None
        sides = -(-height // n_win), -(-width // n_win)
        regions = -(-height // sides[0]) * -(-width // sides[1])
        if topk >= regions:
            return num_heads, None
        return num_heads if sides != (1, 1) or topk > 1 else 1, (sides, topk)

    def forward(self, x: Tensor) -> Tensor:
        n, heads = self.n_win, self.num_heads
        height, width = (x.shape[2] + n - 1) // n, (x.shape[3] + n - 1) // n
        q, k, v = self.qkv(x).chunk(3, 1)
        pixels = pixels_in_windows(x, n, n, height, width)  # (regions, places)
        grids = (padded_windows(part, heads, n, n, height, width).permute(0, 1, 3, 5, 4, 6, 2) for part in (q, k, v))
        # (N, heads, regions, places, D)
        q, k, values = (grid.reshape(x.shape[0], heads, n * n, height * width, grid.shape[-1]) for grid in grids)
        chosen = self._route(x, pixels)
        images = torch.arange(x.shape[0] * heads, device=x.device).reshape(x.shape[0], heads, 1, 1)
        rows = (images * (n * n) + chosen.unsqueeze(1)).flatten()
        k, values = (self._gather(part, rows) for part in (k, values))
        bias = None
        if recording() or n * height != x.shape[2] or n * width != x.shape[3]:  # a graph must hold for any size
            bias = blocked(pixels, q.dtype).index_select(0, chosen.flatten())
            keys = self.topk * height * width
            bias = bias.reshape(x.shape[0], 1, n * n, keys).expand(-1, heads, -1, -1)
            bias = bias.reshape(x.shape[0], heads * n * n, 1, keys)
        out = attend(q.flatten(1, 2), k, values, bias=bias, scale=self.scale)
        out = out.reshape(x.shape[0], heads, n, n, height, width, q.shape[-1]).permute(0, 1, 6, 2, 4, 3, 5)
        return self.proj(from_windows(out, x) + self.lepe(v))

    def _route(self, x: Tensor, pixels: Tensor) -> Tensor:
        """(N, regions, topk): the regions that each region attends to."""
        n = self.n_win
        with torch.no_grad(), without_autocast(x.device):
            x = at_least_single(x)
            height, width = (x.shape[2] + n - 1) // n, (x.shape[3] + n - 1) // n
            sizes = pixels.sum(1)
            means = padded_windows(x, 1, n, n, height, width).sum((4, 6)).flatten(3).squeeze(1).transpose(1, 2)
            means = means / sizes.clamp(min=1).to(x.dtype).unsqueeze(1)
            weight, bias = (at_least_single(part[: 2 * x.shape[1]]) for part in (self.qkv.weight, self.qkv.bias))
            q, k = F.linear(means, weight.flatten(1), bias).chunk(2, -1)
            affinity = q @ k.transpose(-1, -2) + blocked(sizes > 0, x.dtype)
            return affinity.topk(self.topk, -1).indices

    def _gather(self, x: Tensor, rows: Tensor) -> Tensor:
        """(N, heads, regions, places, D) -> (N, heads·regions, topk·places, D)."""
        n, heads, regions, places, d = x.shape
        # index_select, because with deterministic algorithms its gradient is summed in a fixed order on CUDA
        chosen = x.reshape(n * heads * regions, places * d).index_select(0, rows)
        return chosen.reshape(n, heads * regions, self.topk * places, d)
