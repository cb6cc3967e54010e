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


def neighbourhood_attention(qkv: Tensor, size: tuple[int, int], head: int, kernel: int) -> Tensor:
    """The softmax, over the window, of q·k, times v.

    Args:
        qkv: (N, H·W, 3C): q, k and v; in each, the D = C / head channels of a head are adjacent.
        size: (H, W), each at least 1.
        head: number of heads.
        kernel: side of the window in pixels. An even window reaches one pixel further down and to the right.

    Returns:
        (N, H·W, C).
    """
    return _NeighbourhoodAttention.apply(qkv, size, head, kernel)


class _NeighbourhoodAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, size: tuple[int, int], head: int, kernel: int) -> Tensor:
        ctx.save_for_backward(qkv)
        ctx.geometry = size, head, kernel
        kind, batch, channels = qkv.dtype, qkv.shape[0], qkv.shape[2] // 3
        with without_autocast(qkv.device):
            qkv = workable(qkv)
            t = tiling_of(qkv, size, head, kernel)
            rows, out = _rows(qkv, head), t.new_grid(qkv, batch, channels // head)
            images, bands = t.groups(batch, channels)

            def attend_in_images(i: slice) -> None:
                def attend_in_bands(b: slice) -> None:
                    weights = _weights(t.take(rows[i], t.queries[b]), t.take(rows[i], t.keys[b]), t.mask)
                    out[i, b] = t.from_tiles(torch.bmm(weights, t.take(rows[i], t.values[b])), i.stop - i.start)

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
        (saved,) = ctx.saved_tensors
        with without_autocast(grad.device):
            qkv = workable(saved)
            batch, channels = qkv.shape[0], qkv.shape[2] // 3
            d = channels // head
            t = tiling_of(qkv, size, head, kernel)
            rows, grad, found = _rows(qkv, head), t.on_grid(workable(grad)), torch.empty_like(qkv)
            images, bands = t.groups(batch, channels)

            def gradients_in_images(i: slice) -> None:
                many = i.stop - i.start
                for_queries, sums = t.new_grid(qkv, many, d), t.new_sums(qkv, many, d)
                for b in bands:
                    q, k, v = (t.take(rows[i], index[b]) for index in (t.queries, t.keys, t.values))
                    of_queries, of_keys_and_values = _gradients(q, k, v, t.to_tiles(grad[i, b]), t.mask)
                    for_queries[:, b] = t.from_tiles(of_queries, many)
                    t.add(sums, b, of_keys_and_values)
                found[i, :, :channels] = t.off_grid(for_queries)
                found[i, :, channels:].unflatten(2, (2, channels)).copy_(t.folded(sums).permute(1, 2, 0, 3))

            share(gradients_in_images, images, qkv)  # not bands: several bands add to one key, in a fixed order
        return found.to(saved.dtype), None, None, None


def _rows(qkv: Tensor, head: int) -> Tensor:
    """(N, H·W, 3C) -> (N, H·W·3·head, D), as `Tiling` counts them."""
    return qkv.reshape(qkv.shape[0], qkv.shape[1] * 3 * head, qkv.shape[2] // (3 * head))


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
