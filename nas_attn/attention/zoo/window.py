"""Self-attention within windows, with a learned bias for each displacement between two pixels.

Paper: Swin Transformer: Hierarchical Vision Transformer using Shifted Windows (arXiv:2103.14030).
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.forms import recording
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._heads import attend, blocked, from_windows, padded_windows, pixels_in_windows
from nas_attn.attention.zoo._published import PublishedNames


@attention(
    "window",
    family="self-attention",
    paper="Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, 2103.14030",
    licence="own code from the paper; published code: MIT",
    weights="load as in github.com/microsoft/Swin-Transformer, from layers without shift",
)
class SwinWindow(PublishedNames):
    r"""`proj(softmax(q·kᵀ/√D + B)·v)` per head within windows of M×M pixels; a table gives B[i, j] for each i − j.

    Windows start at the top left corner. If M does not divide a side of the map, the last windows reach beyond the map,
    and no pixel attends to the positions there. The published code fills these positions with zeros, which take part in
    the attention. Windows are not shifted, because a single layer has no unshifted layer to alternate with.

    Parameters: 4C² + 4C + num_heads·(2M − 1)². The table keeps its published name, which contains `bias`. Ultralytics
    treats every such parameter as a bias, so the table starts at its warm-up learning rate for biases (0.1) and has no
    weight decay.

    Args:
        dim: C, channels of the map, a multiple of `num_heads`.
        window_size: M, side of a window in pixels.
        num_heads: number of heads; each has D = C / num_heads channels.
    Shape:
        (N, C, H, W) -> (N, C, H, W); any H, W from 1.
    Raises:
        SlotRefused: `num_heads` does not divide `dim`.
    """

    derived = ("relative_position_index",)

    def __init__(
        self,
        dim: int,
        window_size: Annotated[int, Choice(4, 7, 8)] = 7,
        num_heads: Annotated[int, Choice(2, 4, 8)] = 4,
    ) -> None:
        super().__init__()
        self.window_size, self.num_heads = window_size, num_heads
        self.qkv = nn.Conv2d(dim, 3 * dim, 1)
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window_size - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.proj = nn.Conv2d(dim, dim, 1)

    @classmethod
    def unsupported(cls, channels: int, *, window_size: int, num_heads: int) -> str | None:
        return indivisible(channels, num_heads)

    @classmethod
    def attention_logits(cls, channels: int, height: int, width: int, *, window_size: int, num_heads: int) -> int:
        return num_heads * -(-height // window_size) * -(-width // window_size) * window_size**4

    @classmethod
    def effective(cls, height: int, width: int, *, window_size: int, num_heads: int) -> Hashable:
        """Equal keys for equal functions: a window needs no more than the side of the map. In windows of one pixel, the
        number of heads does not matter."""
        windows = min(window_size, height), min(window_size, width)
        return windows, num_heads if windows != (1, 1) else 1

    def forward(self, x: Tensor) -> Tensor:
        m, heads = self.window_size, self.num_heads
        rows, columns = (x.shape[2] + m - 1) // m, (x.shape[3] + m - 1) // m
        qkv = self.qkv(x)
        grids = (padded_windows(part, heads, rows, columns, m, m) for part in qkv.chunk(3, 1))
        tokens = (x.shape[0] * rows * columns, heads, m * m, x.shape[1] // heads)
        bias = self.relative_position_bias_table.index_select(0, displacements_on(m, x))
        bias = bias.t().reshape(heads, m * m, m * m).to(qkv.dtype)
        if recording() or rows * m != x.shape[2] or columns * m != x.shape[3]:  # a graph must hold for any size
            inside = blocked(pixels_in_windows(x, rows, columns, m, m), qkv.dtype)
            bias = (bias + inside.reshape(-1, 1, 1, m * m)).reshape(-1, m * m, m * m)
            tokens = (x.shape[0], rows * columns * heads, m * m, x.shape[1] // heads)  # one bias for all images
        # order: windows, then heads, then pixels
        q, k, v = (grid.permute(0, 3, 5, 1, 4, 6, 2).reshape(tokens) for grid in grids)
        out = attend(q, k, v, bias)
        out = out.reshape(x.shape[0], rows, columns, heads, m, m, x.shape[1] // heads).permute(0, 3, 6, 1, 4, 2, 5)
        return self.proj(from_windows(out, x))


def displacements_on(side: int, like: Tensor) -> Tensor:
    """`displacements` on the device of `like`; not a buffer, which would have no values in a module on `meta`."""
    if recording() or type(like) is not Tensor:  # a fake tensor must not stay in the cache
        return displacements(side).to(like.device)
    return _kept_displacements(side, like.device)


@lru_cache(maxsize=32)
def _kept_displacements(side: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # tensors made in inference mode cannot be used in training
        return displacements(side).to(device)


def displacements(side: int) -> Tensor:
    """(side⁴,): the row of the bias table for the displacement of each ordered pair of pixels in a window."""
    places = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")).flatten(1)
    down, across = (places[:, :, None] - places[:, None, :] + side - 1).unbind(0)
    return (down * (2 * side - 1) + across).flatten()
