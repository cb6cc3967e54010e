"""Attention of every pixel to the window around it, computed in tiles, as small matrix products.

A tile of queries attends to its own pixels and to a margin around them; keys outside the window of a query are masked.
Pixels beyond the border are read by reflection. Tiles are computed in groups that fit into a cache. Only q, k and v are
kept: the backward pass computes the tiles again, so memory never holds the attention matrix of the whole map.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nas_attn.attention.forms import refuse_second_derivatives
from nas_attn.attention.zoo._precision import without_autocast, workable
from nas_attn.attention.zoo._sharing import share
from nas_attn.attention.zoo._tiling import tiling_of


def neighbourhood_attention(qkv: Tensor, position: Tensor, size: tuple[int, int], head: int, kernel: int) -> Tensor:
    """The softmax, over the window, of q·(k - position) / √D, times v.

    Args:
        qkv: (N, H·W, 3C): q, k and v; in each, the D = C / head channels of a head are adjacent.
        position: (H·W, D), shared by all heads and images.
        size: (H, W), each at least 1.
        head: number of heads.
        kernel: side of the window in pixels. An even window reaches one pixel further down and to the right.

    Returns:
        (N, H·W, C).
    """
    return _NeighbourhoodAttention.apply(qkv, position, size, head, kernel)


class _NeighbourhoodAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, position: Tensor, size: tuple[int, int], head: int, kernel: int) -> Tensor:
        ctx.save_for_backward(qkv, position)
        ctx.geometry = size, head, kernel
        kind, batch, channels = qkv.dtype, qkv.shape[0], qkv.shape[2] // 3
        with without_autocast(qkv.device):
            qkv, position = workable(qkv), workable(position)
            t = tiling_of(qkv, size, head, kernel)
            out = t.new_grid(qkv, batch, channels // head)
            images, bands = t.groups(batch, channels)

            def attend_in_images(i: slice) -> None:
                queries, keys, values = _rows(qkv[i], position, head)

                def attend_in_bands(b: slice) -> None:
                    weights = _weights(t.take(queries, t.queries[b]), t.take(keys, t.keys[b]), t.mask)
                    out[i, b] = t.from_tiles(torch.bmm(weights, t.take(values, t.keys[b])), i.stop - i.start)

                share(attend_in_bands, bands, qkv)

            if len(images) == 1:  # then threads share the bands of this image
                attend_in_images(images[0])
            else:
                share(attend_in_images, images, qkv)
            return t.off_grid(out).to(kind)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives()
        size, head, kernel = ctx.geometry
        with without_autocast(grad.device):
            qkv, position = (workable(t) for t in ctx.saved_tensors)
            batch, pixels, channels = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
            d = channels // head
            t = tiling_of(qkv, size, head, kernel)
            grad = t.on_grid(workable(grad))
            found = qkv.new_empty(batch, pixels, 3, channels)
            images, bands = t.groups(batch, channels)

            def gradients_in_images(i: slice) -> None:
                queries, keys, values = _rows(qkv[i], position, head)
                many = i.stop - i.start
                for_queries, sums = t.new_grid(qkv, many, d), t.new_sums(qkv, many, d)
                for b in bands:
                    tiles = (t.take(queries, t.queries[b]), t.take(keys, t.keys[b]), t.take(values, t.keys[b]))
                    of_queries, of_keys_and_values = _gradients(*tiles, t.to_tiles(grad[i, b]), t.mask)
                    for_queries[:, b] = t.from_tiles(of_queries, many)
                    t.add(sums, b, of_keys_and_values)
                torch.mul(t.off_grid(for_queries), d**-0.5, out=found[i, :, 0])
                found[i, :, 1:] = t.folded(sums).permute(1, 2, 0, 3)

            share(gradients_in_images, images, qkv)  # not bands: several bands add to one key, in a fixed order
            for_position = -found[:, :, 1].unflatten(2, (head, d)).sum((0, 2))
        kinds = (saved.dtype for saved in ctx.saved_tensors)
        return *(x.to(kind) for x, kind in zip((found.flatten(2), for_position), kinds, strict=True)), None, None, None


def _rows(qkv: Tensor, position: Tensor, head: int) -> tuple[Tensor, Tensor, Tensor]:
    """(N, H·W, 3C) -> q / √D, k - position and v as (N, H·W·head, D)."""
    d = position.shape[-1]
    q, k, v = qkv.view(*qkv.shape[:2], 3, head, d).unbind(2)
    return (q * d**-0.5).flatten(1, 2), (k - position.unsqueeze(1)).flatten(1, 2), v.flatten(1, 2)


def _weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """Attention weights: (B, queries, D), (B, keys, D) -> (B, queries, keys); each row sums to 1."""
    return torch.baddbmm(mask, q, k.transpose(1, 2)).softmax(-1)


def _gradients(q: Tensor, k: Tensor, v: Tensor, grad: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of q, (B, queries, D), and of k and v together, (2, B, keys, D)."""
    both = k.new_empty(2, *k.shape)
    weights = _weights(q, k, mask)
    torch.bmm(weights.transpose(1, 2), grad, out=both[1])
    for_logits = torch._softmax_backward_data(torch.bmm(grad, v.transpose(1, 2)), weights, -1, weights.dtype)
    torch.bmm(for_logits.transpose(1, 2), q, out=both[0])
    return torch.bmm(for_logits, k), both
