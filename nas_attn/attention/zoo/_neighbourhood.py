"""Attention of every pixel to the window around it, in tiles: small matrix products, and nothing kept but q, k and v.

A tile of queries attends to its own pixels and a margin around them; whatever lies outside a query's window is masked.
Pixels beyond the border are read by reflection. Tiles are worked off in groups that fit a cache, and the backward pass
builds them again, so that no attention matrix of the whole map is ever held.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nas_attn.attention.zoo._precision import without_autocast, workable
from nas_attn.attention.zoo._tiling import tiling_of


def neighbourhood_attention(
    q: Tensor, k: Tensor, v: Tensor, position: Tensor, size: tuple[int, int], head: int, kernel: int
) -> Tensor:
    """softmax over the window of q·(k - position) / √D, times v.

    Args:
        q, k, v: (N, H·W, C), a head's D = C / head channels beside one another.
        position: (H·W, D), shared by all heads and images.
        size: (H, W), any from 1.
        head: number of heads.
        kernel: side of the window in pixels; an even one reaches one pixel further down and right.

    Returns:
        (N, H·W, C).
    """
    return _NeighbourhoodAttention.apply(q, k, v, position, size, head, kernel)


class _NeighbourhoodAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, position: Tensor, size: tuple[int, int], head: int, kernel: int
    ) -> Tensor:
        ctx.save_for_backward(q, k, v, position)
        ctx.geometry = size, head, kernel
        kind, (batch, _, channels) = q.dtype, q.shape
        with without_autocast(q.device):
            q, k, v, position = map(workable, (q, k, v, position))
            t = tiling_of(q, size, head, kernel)
            out = t.new_grid(q, batch, channels // head)
            images, bands = t.groups(batch, channels)
            for i in images:
                queries, keys, values = _rows(q[i], k[i], v[i], position, head)
                for b in bands:
                    weights = _weights(t.take(queries, t.queries[b]), t.take(keys, t.keys[b]), t.mask)
                    out[i, b] = t.from_tiles(torch.bmm(weights, t.take(values, t.keys[b])), i.stop - i.start)
            return t.off_grid(out).to(kind)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        size, head, kernel = ctx.geometry
        kind, (batch, _, channels) = grad.dtype, grad.shape
        d = channels // head
        with without_autocast(grad.device):
            q, k, v, position = map(workable, ctx.saved_tensors)
            t = tiling_of(q, size, head, kernel)
            grad = t.on_grid(workable(grad))
            dq, dkv = t.new_grid(q, batch, d), q.new_empty(2, batch, size[0] * size[1], channels)
            images, bands = t.groups(batch, channels)
            for i in images:
                queries, keys, values = _rows(q[i], k[i], v[i], position, head)
                sums = t.new_sums(q, i.stop - i.start, d)
                for b in bands:
                    tiles = (t.take(queries, t.queries[b]), t.take(keys, t.keys[b]), t.take(values, t.keys[b]))
                    for_queries, for_keys_and_values = _gradients(*tiles, t.to_tiles(grad[i, b]), t.mask)
                    dq[i, b] = t.from_tiles(for_queries, i.stop - i.start)
                    t.add(sums, b, for_keys_and_values)
                dkv[:, i] = t.folded(sums)
            for_position = -dkv[0].view(batch, -1, head, d).sum((0, 2))
        found = (t.off_grid(dq.mul_(d**-0.5)), *dkv.unbind(0), for_position)
        return (*(x.to(kind) for x in found), None, None, None)


def _rows(q: Tensor, k: Tensor, v: Tensor, position: Tensor, head: int) -> tuple[Tensor, Tensor, Tensor]:
    """(N, H·W, C) thrice -> q / √D, k - position and v as (N, H·W·head, D)."""
    d = position.shape[-1]
    heads = (q.shape[0], -1, head, d)
    keys = k.reshape(heads) - position.unsqueeze(1)
    return (q * d**-0.5).reshape(heads).flatten(1, 2), keys.flatten(1, 2), v.reshape(heads).flatten(1, 2)


def _weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """(B, queries, D), (B, keys, D) -> (B, queries, keys), rows summing to 1."""
    return torch.baddbmm(mask, q, k.transpose(1, 2)).softmax(-1)


def _gradients(q: Tensor, k: Tensor, v: Tensor, grad: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """For q (B, queries, D), and for k and v together (2, B, keys, D)."""
    both = k.new_empty(2, *k.shape)
    weights = _weights(q, k, mask)
    torch.bmm(weights.transpose(1, 2), grad, out=both[1])
    for_logits = torch._softmax_backward_data(torch.bmm(grad, v.transpose(1, 2)), weights, -1, weights.dtype)
    torch.bmm(for_logits.transpose(1, 2), q, out=both[0])
    return torch.bmm(for_logits, k), both
