"""Attention along the rows and the columns of a map, shared by `axial` and `criss_cross`."""

from __future__ import annotations

import torch
from torch import Tensor

from nas_attn.attention.zoo._heads import attend
from nas_attn.attention.zoo._layout import channels_last
from nas_attn.attention.zoo._precision import at_least_single, without_autocast


def to_grid(x: Tensor, heads: int) -> Tensor:
    """(N, heads·D, H, W) -> (N, H, W, heads, D)."""
    return x.reshape(x.shape[0], heads, x.shape[1] // heads, x.shape[2], x.shape[3]).permute(0, 3, 4, 1, 2)


def from_grid(x: Tensor, like: Tensor) -> Tensor:
    """(N, H, W, heads, D) -> (N, heads·D, H, W), in the memory format of `like`."""
    if channels_last(like):
        return x.flatten(3).contiguous().permute(0, 3, 1, 2)
    n, height, width, heads, d = x.shape
    return x.permute(0, 3, 4, 1, 2).reshape(n, heads * d, height, width).contiguous()


def lines(axis: int, x: Tensor) -> Tensor:
    """(N, H, W, heads, D) -> (N, W, heads, H, D) for axis 1, (N, H, heads, W, D) for axis 2; contiguous."""
    return x.permute((0, 2, 3, 1, 4) if axis == 1 else (0, 1, 3, 2, 4)).contiguous()


def along(axis: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of (N, H, W, heads, D) within each column (axis 1) or row (axis 2); the output has the same shape."""
    q, k, v = (lines(axis, part) for part in (q, k, v))
    out = attend(*(part.flatten(0, 1) for part in (q, k, v))).reshape(v.shape)
    return out.permute((0, 3, 1, 2, 4) if axis == 1 else (0, 1, 3, 2, 4))


def criss_cross(q: Tensor, k: Tensor, v: Tensor, scale: float = 1.0) -> Tensor:
    """One softmax over the column and the row of each pixel together, in which the pixel itself counts once.

    Args:
        q, k: (N, H, W, heads, D).
        v: (N, H, W, heads, E).
        scale: factor of the logits.
    Returns:
        (N, H, W, heads, E).
    """
    with without_autocast(q.device):  # half precision would overflow; the fused kernels of `along` sum in float32
        q, k = at_least_single(q) * scale, at_least_single(k)
        columns = lines(1, q) @ lines(1, k).transpose(-1, -2)  # (N, W, heads, H, H)
        rows = lines(2, q) @ lines(2, k).transpose(-1, -2)  # (N, H, heads, W, W)
    place = torch.arange(q.shape[1], device=q.device)
    itself = place.reshape(-1, 1) == place  # already counted in its row
    columns = columns.masked_fill(itself, torch.finfo(columns.dtype).min)
    # from here on as (N, H, W, heads, logits)
    together = torch.cat([columns.permute(0, 3, 1, 2, 4), rows.permute(0, 1, 3, 2, 4)], -1).softmax(-1).to(v.dtype)
    columns, rows = together[..., : q.shape[1]], together[..., q.shape[1] :]
    down = columns.permute(0, 2, 3, 1, 4) @ lines(1, v)
    across = rows.permute(0, 1, 3, 2, 4) @ lines(2, v)
    return down.permute(0, 3, 1, 2, 4) + across.permute(0, 1, 3, 2, 4)
