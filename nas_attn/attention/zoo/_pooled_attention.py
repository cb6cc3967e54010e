"""Attention of every pixel to a short list of tokens: no attention matrix is kept, and none larger than a cache made.

The logits stand as (tokens, pixels), so that all products read and write long rows. For the backward pass only q, k, v,
the output and each pixel's log-sum-exp are kept; the weights are exp(logits - log-sum-exp), and both that difference
and the one in the softmax's derivative come out of matrix products with one more row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nas_attn.attention.zoo._precision import without_autocast, workable

GROUP_BYTES = 2**20  # logits in hand at a time: about what one CPU core's own cache holds
ACCELERATOR_BYTES = 2**28


def pooled_attention(q: Tensor, k: Tensor, v: Tensor, head: int) -> Tensor:
    """softmax over the tokens of q·k / √D, times v.

    Args:
        q: (N, C, P), P pixels.
        k, v: (N, C, L), L tokens.
        head: number of heads, D = C / head channels each, beside one another.

    Returns:
        (N, C, P).
    """
    if torch.is_grad_enabled() and any(t.requires_grad for t in (q, k, v)):
        return _PooledAttention.apply(q, k, v, head)
    kind = q.dtype
    with without_autocast(q.device):
        q, k, v = (workable(t).unflatten(1, (head, -1)) for t in (q, k, v))
        keys, out = k.transpose(2, 3) * k.shape[2] ** -0.5, torch.empty_like(q)
        for i, pixels in _groups(q, k.shape[-1]):
            out[i, ..., pixels] = torch.bmm(v[i], torch.bmm(keys[i], q[i, ..., pixels]).softmax(1))
        return out.flatten(1, 2).to(kind)


class _PooledAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, head: int) -> Tensor:
        kind, inputs = q.dtype, (q, k, v)
        with without_autocast(q.device):
            q, k, v = (workable(t).unflatten(1, (head, -1)) for t in inputs)
            d = q.shape[2]
            keys, out = k.transpose(2, 3) * d**-0.5, torch.empty_like(q)
            values = torch.cat([v, torch.ones_like(v[:, :, :1])], 2)  # the row of ones sums the weights
            log_sum = q.new_empty(*q.shape[:2], 1, q.shape[-1])
            for i, pixels in _groups(q, k.shape[-1]):
                logits = torch.bmm(keys[i], q[i, ..., pixels])
                largest = logits.amax(1, keepdim=True)
                found = torch.bmm(values[i], logits.sub_(largest).exp_())
                out[i, ..., pixels] = found[:, :d] / found[:, d:]
                log_sum[i, ..., pixels] = largest.add_(found[:, d:].log())
            out = out.flatten(1, 2)
        ctx.save_for_backward(*inputs, out, log_sum)
        ctx.head = head
        return out.to(kind)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        kind, head = grad.dtype, ctx.head
        *tensors, log_sum = ctx.saved_tensors
        with without_autocast(grad.device):
            q, k, v, out, grad = (workable(t).unflatten(1, (head, -1)) for t in (*tensors, grad.contiguous()))
            d = q.shape[2]
            scaled = k * d**-0.5
            less = -torch.ones_like(k[:, :, :1]).transpose(2, 3)
            keys, values = torch.cat([scaled.transpose(2, 3), less], 3), torch.cat([v.transpose(2, 3), less], 3)
            queries = torch.cat([q, log_sum], 2)
            grads = torch.cat([grad, (grad * out).sum(2, keepdim=True)], 2)
            dq = torch.empty_like(q)
            dk, dv = torch.zeros_like(k.transpose(2, 3), memory_format=torch.contiguous_format), torch.zeros_like(v)
            for i, pixels in _groups(q, k.shape[-1]):
                a, g = queries[i, ..., pixels], grads[i, ..., pixels]
                weights = torch.bmm(keys[i], a).exp_()
                dv[i].baddbmm_(g[:, :d], weights.transpose(1, 2))
                for_logits = torch.bmm(values[i], g).mul_(weights)
                dq[i, ..., pixels] = torch.bmm(scaled[i], for_logits)
                dk[i].baddbmm_(for_logits, a[:, :d].transpose(1, 2))
            dk = dk.mul_(d**-0.5).transpose(2, 3)
            return *(t.flatten(1, 2).to(kind) for t in (dq, dk, dv)), None


def _groups(q: Tensor, tokens: int) -> list[tuple[int, slice]]:
    """(image, slice of pixels) for all of (N, head, D, P)."""
    limit = GROUP_BYTES if q.device.type == "cpu" else ACCELERATOR_BYTES
    step = max(1, limit // (q.shape[1] * tokens * q.element_size()))
    return [(i, slice(p, p + step)) for i in range(q.shape[0]) for p in range(0, q.shape[-1], step)]
