"""Attention of every pixel to a short list of tokens. Attention matrices fit into a cache and are not kept.

The logits have the shape (tokens, pixels), so all products read and write long rows. The backward pass keeps only q, k,
v, the output and the log-sum-exp of each pixel. The weights are exp(logits - log-sum-exp). This difference, and the one
in the derivative of the softmax, are computed by the matrix products themselves, with one additional row.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from nas_attn.attention.forms import refuse_second_derivatives
from nas_attn.attention.zoo._precision import at_least_single, without_autocast
from nas_attn.attention.zoo._sharing import share

GROUP_BYTES = 2**20  # logits computed at a time: about the cache size of one CPU core
ACCELERATOR_BYTES = 2**25  # the same on an accelerator: few large operations, but never a whole attention matrix


def pooled_attention(q: Tensor, k: Tensor, v: Tensor, head: int) -> Tensor:
    """The softmax, over the tokens, of q·k / √D, times v.

    Args:
        q: (N, C, P), P pixels.
        k, v: (N, C, L), L tokens.
        head: number of heads; each has D = C / head adjacent channels.

    Returns:
        (N, C, P).
    """
    if torch.is_grad_enabled() and any(t.requires_grad for t in (q, k, v)):
        return _PooledAttention.apply(q, k, v, head)
    kind, shape = q.dtype, q.shape
    with without_autocast(q.device):
        q, k, v = (_by_head(t, head) for t in (q, k, v))
        keys, out = k.transpose(1, 2) * k.shape[1] ** -0.5, torch.empty_like(q)

        def attend(group: tuple[slice, slice]) -> None:
            b, pixels = group
            out[b, :, pixels] = torch.bmm(v[b], torch.bmm(keys[b], q[b, :, pixels]).softmax(1))

        share(attend, _groups(q, k, head), q)
        return out.view(shape).to(kind)


class _PooledAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, head: int) -> Tensor:
        kind, shape, inputs = q.dtype, q.shape, (q, k, v)
        with without_autocast(q.device):
            q, k, v = (_by_head(t, head) for t in inputs)
            d = q.shape[1]
            keys, out = k.transpose(1, 2) * d**-0.5, torch.empty_like(q)
            values = torch.cat([v, torch.ones_like(v[:, :1])], 1)  # the row of ones gives the sum of the weights
            log_sum = q.new_empty(q.shape[0], 1, q.shape[2])

            def attend(group: tuple[slice, slice]) -> None:
                b, pixels = group
                logits = torch.bmm(keys[b], q[b, :, pixels])
                largest = logits.amax(1, keepdim=True)
                found = torch.bmm(values[b], logits.sub_(largest).exp_())
                out[b, :, pixels] = found[:, :d] / found[:, d:]
                log_sum[b, :, pixels] = largest.add_(found[:, d:].log())

            share(attend, _groups(q, k, head), q)
        ctx.save_for_backward(*inputs, out, log_sum)
        ctx.head = head
        return out.view(shape).to(kind)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivatives()
        kind, head = grad.dtype, ctx.head
        *inputs, out, log_sum = ctx.saved_tensors
        with without_autocast(grad.device):
            q, k, v, grad = (_by_head(t, head) for t in (*inputs, grad))
            scaled = k * k.shape[1] ** -0.5
            less = -torch.ones_like(k[:, :1]).transpose(1, 2)
            keys, values = torch.cat([scaled.transpose(1, 2), less], 2), torch.cat([v.transpose(1, 2), less], 2)
            queries = torch.cat([q, log_sum], 1)
            grads = torch.cat([grad, (grad * out).sum(1, keepdim=True)], 1)
            dq, dk, dv = torch.empty_like(q), k.new_zeros(k.shape[0], k.shape[2], k.shape[1]), torch.zeros_like(v)

            def gradients(groups: list[tuple[slice, slice]]) -> None:
                for b, pixels in groups:
                    here, slope = queries[b, :, pixels], grads[b, :, pixels]
                    weights = torch.bmm(keys[b], here).exp_()
                    dv[b].baddbmm_(slope[:, :-1], weights.transpose(1, 2))
                    for_logits = torch.bmm(values[b], slope).mul_(weights)
                    dq[b, :, pixels] = torch.bmm(scaled[b], for_logits)
                    dk[b].baddbmm_(for_logits, here[:, :-1].transpose(1, 2))

            by_image = groupby(_groups(q, k, head), key=lambda group: group[0].start)  # fixes the order of its sums
            share(gradients, [list(groups) for _, groups in by_image], q)
            dk = dk.mul_(k.shape[1] ** -0.5).transpose(1, 2)
            return *(g.reshape(t.shape).to(kind) for g, t in zip((dq, dk, dv), inputs, strict=True)), None


def _by_head(x: Tensor, head: int) -> Tensor:
    """(N, C, P) -> (N · head, D, P)."""
    return at_least_single(x).reshape(x.shape[0] * head, x.shape[1] // head, x.shape[2])


def _groups(q: Tensor, k: Tensor, head: int) -> list[tuple[slice, slice]]:
    """Slices of (N · head) and of pixels: one image at a time on a CPU, few large operations on other devices."""
    on_cpu, total, pixels = q.device.type == "cpu", q.shape[0], q.shape[2]
    together, limit = (head, GROUP_BYTES) if on_cpu else (max(1, total), ACCELERATOR_BYTES)
    step = max(1, limit // (together * k.shape[2] * q.element_size()))
    return [(slice(b, b + together), slice(p, p + step)) for b in range(0, total, together)
            for p in range(0, pixels, step)]  # fmt: skip
