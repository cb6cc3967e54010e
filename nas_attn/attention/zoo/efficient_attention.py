"""CloFormer's attention: local branches with gated depthwise convolutions, and a global branch with pooled keys.

Paper: Rethinking Local Perception in Lightweight Vision Transformer (arXiv:2303.17803).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas_attn.attention.choice import Choice
from nas_attn.attention.forms import as_built, fast_wanted
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._depthwise import DepthwiseConv2d
from nas_attn.attention.zoo._layout import channels_last, laid_as
from nas_attn.attention.zoo._pooled_attention import pooled_attention
from nas_attn.errors import SlotRefused, UserError

FITS = 2**20  # attention logits of an image: the largest number whose attention the reference computes faster
KERNEL_SIZES = (3, 5, 7)  # of the local branches, in order; a search uses the first n for n branches


class AttnMap(nn.Module):
    """1×1, SiLU, 1×1: computes the gate of a local branch from q ⊙ k. (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.act_block = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.SiLU(), nn.Conv2d(dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.act_block(x)


@attention(
    "efficient_attention",
    family="attention+convolution",
    paper="Rethinking Local Perception in Lightweight Vision Transformer, 2303.17803",
    licence="own code from the paper; published code: MIT",
    weights="load as in github.com/qhfan/CloFormer",
)
class EfficientAttention(nn.Module):
    """Local branches and one global branch that share the heads; their outputs are concatenated and projected.

    A local branch mixes its q, k and v by one depthwise convolution, then applies a gate:
    tanh(AttnMap(q ⊙ k) / √D) ⊙ v. In the global branch, every pixel attends to averages over windows. Windows at the
    border may be smaller, so no pixel is dropped and a map may have any size. Branches without heads are left out.

    Args:
        dim: C, channels of the map, a multiple of `num_heads`.
        num_heads: number of heads; each has D = C / num_heads channels.
        group_split: number of heads of each local branch, then of the global branch; the sum is `num_heads`.
        kernel_sizes: kernel side of each local branch in pixels; odd.
        window_size: side of the averaged windows in pixels.
        attn_drop: dropout probability on gates and attention weights.
        proj_drop: dropout probability on the output.
        qkv_bias: true if the projections have a bias.
    Shape:
        (N, C, H, W) -> (N, C, H, W); any H, W from 1.
    Raises:
        SlotRefused: `num_heads` does not divide `dim`.
        UserError: `group_split`, `num_heads` and `kernel_sizes` do not fit together.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        group_split: Annotated[Sequence[int], Choice((4, 4), (2, 6), (6, 2), (8, 0), (0, 8), (2, 2, 4))],
        kernel_sizes: Sequence[int],
        window_size: Annotated[int, Choice(1, 2, 4, 8, default=4)] = 7,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        qkv_bias: bool = True,
    ) -> None:
        super().__init__()
        _check(group_split, num_heads, kernel_sizes)
        if reason := self.unsupported(dim, group_split=group_split, window_size=window_size):
            raise SlotRefused(reason)
        self.dim_head = dim // num_heads
        local = [(n * self.dim_head, k) for n, k in zip(group_split, kernel_sizes, strict=False) if n]
        self.convs = nn.ModuleList(DepthwiseConv2d(3 * c, k) for c, k in local)
        self.act_blocks = nn.ModuleList(AttnMap(c) for c, _ in local)
        self.qkvs = nn.ModuleList(nn.Conv2d(dim, 3 * c, 1, bias=qkv_bias) for c, _ in local)
        self.global_heads = group_split[-1]
        if self.global_heads:
            c = self.global_heads * self.dim_head
            self.global_q = nn.Conv2d(dim, c, 1, bias=qkv_bias)
            self.global_kv = nn.Conv2d(dim, 2 * c, 1, bias=qkv_bias)
            self.avgpool = (
                nn.AvgPool2d(window_size, ceil_mode=True, count_include_pad=False) if window_size > 1 else nn.Identity()
            )
        self.proj = nn.Conv2d(dim, dim, 1, bias=qkv_bias)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj_drop = nn.Dropout(proj_drop)

    @classmethod
    def unsupported(cls, channels: int, *, group_split: Sequence[int], window_size: int) -> str | None:
        return indivisible(channels, sum(group_split))

    @classmethod
    def from_settings(cls, channels: int, *, group_split: Sequence[int], window_size: int) -> dict[str, Any]:
        """The constructor arguments that follow from the searched ones."""
        return {"num_heads": sum(group_split), "kernel_sizes": KERNEL_SIZES[: len(group_split) - 1]}

    @classmethod
    def attention_logits(
        cls, channels: int, height: int, width: int, *, group_split: Sequence[int], window_size: int
    ) -> int:
        """Attention logits of the global branch per image."""
        tokens = -(-height // window_size) * -(-width // window_size)
        return group_split[-1] * height * width * tokens

    @classmethod
    def effective(cls, height: int, width: int, *, group_split: Sequence[int], window_size: int) -> Hashable:
        """Equal keys for equal functions: windows matter only with global heads, and only up to the map size."""
        windows = (min(window_size, height), min(window_size, width)) if group_split[-1] else None
        return tuple(group_split), windows

    def forward(self, x: Tensor) -> Tensor:
        if not fast_wanted(self) or not self._as_built():
            return self.reference(x)
        # the fast form does not store attention weights, so it cannot apply dropout to them
        dropping = self.training and self.attn_drop.p > 0
        return self.reference(x) if dropping else self.fast(x)

    def _as_built(self) -> bool:
        """True if no part was replaced that the fast form reads, or calls with pixel rows instead of maps."""
        gates = [attn_map.act_block for attn_map in self.act_blocks if as_built(AttnMap, attn_map)]
        if len(gates) < len(self.act_blocks) or not as_built(nn.Sequential, *gates) or any(len(g) != 3 for g in gates):
            return False
        read = [*self.qkvs, *(gate[place] for gate in gates for place in (0, 2)), self.proj]
        if self.global_heads:
            read += [self.global_q, self.global_kv]
        acts = [gate[1] for gate in gates]
        return as_built(nn.Conv2d, *read) and as_built(nn.SiLU, *acts) and as_built(nn.Dropout, self.attn_drop)

    def reference(self, x: Tensor) -> Tensor:
        """The module as the paper defines it, operator by operator; cost is counted on this form."""
        branches = zip(self.qkvs, self.convs, self.act_blocks, strict=True)
        out = [self._local(x, *branch) for branch in branches]
        if self.global_heads:
            out.append(self._global(x))
        return self.proj_drop(self.proj(torch.cat(out, 1)))

    def fast(self, x: Tensor) -> Tensor:
        """The same result as `reference`: 1×1 convolutions as matrix products, and the global branch in pieces."""
        if self._fits(x):
            return self.reference(x)
        # in this memory format, depthwise convolutions take a tenth of the time
        given, x = x, x.contiguous(memory_format=torch.channels_last)
        size, rows = x.shape[-2:], x.permute(0, 2, 3, 1).flatten(1, 2)
        out = []
        for to_qkv, mixer, attn_map in zip(self.qkvs, self.convs, self.act_blocks, strict=True):
            mixed = mixer(_linear(rows, to_qkv).transpose(1, 2).unflatten(2, size))
            q, k, v = mixed.permute(0, 2, 3, 1).flatten(1, 2).chunk(3, -1)
            first, act, last = attn_map.act_block
            gate = torch.tanh(_linear(act(_linear(q * k, first)), last, self.dim_head**-0.5))
            out.append(self.attn_drop(gate) * v)
        if self.global_heads:
            q = _columns(rows.transpose(1, 2), self.global_q)
            k, v = _columns(self.avgpool(x).flatten(2), self.global_kv).chunk(2, 1)
            out.append(pooled_attention(q, k, v, self.global_heads).transpose(1, 2))
        y = _linear(torch.cat(out, -1), self.proj).transpose(1, 2).unflatten(2, size)
        return self.proj_drop(laid_as(y, given))

    def _fits(self, x: Tensor) -> bool:
        """True if a CPU computes the reference faster: no gradient is kept, and the attention fits into its cache."""
        if torch.is_grad_enabled() or x.device.type != "cpu" or channels_last(x):
            return False
        pool = getattr(self, "avgpool", None)
        side = int(pool.kernel_size) if isinstance(pool, nn.AvgPool2d) else 1
        tokens = math.ceil(x.shape[2] / side) * math.ceil(x.shape[3] / side)
        return bool(self.global_heads * x.shape[2] * x.shape[3] * tokens <= FITS)

    def _local(self, x: Tensor, to_qkv: nn.Module, mixer: nn.Module, attn_map: nn.Module) -> Tensor:
        q, k, v = mixer(to_qkv(x)).chunk(3, 1)
        gate = torch.tanh(attn_map(q * k) * self.dim_head**-0.5)
        return self.attn_drop(gate) * v

    def _global(self, x: Tensor) -> Tensor:
        # both name the number of heads: a free head axis would silently accept a wrong number of tokens
        heads, d = self.global_heads, self.dim_head
        q = self.global_q(x).unflatten(1, (heads, d)).flatten(3).transpose(-1, -2) * d**-0.5
        k, v = self.global_kv(self.avgpool(x)).unflatten(1, (2, heads, d)).flatten(4).unbind(1)
        weights = self.attn_drop((q @ k).softmax(-1).to(v.dtype))
        return (weights @ v.transpose(-1, -2)).transpose(-1, -2).flatten(1, 2).unflatten(2, x.shape[-2:])


def _linear(rows: Tensor, conv: nn.Conv2d, gain: float = 1.0) -> Tensor:
    """A 1×1 convolution, times `gain`, of (N, P, C) pixel rows."""
    weight, bias = conv.weight.flatten(1), conv.bias
    if gain != 1.0:
        weight, bias = weight * gain, None if bias is None else bias * gain
    return functional.linear(rows, weight, bias)


def _columns(columns: Tensor, conv: nn.Conv2d) -> Tensor:
    """A 1×1 convolution of (N, C, P), in that layout."""
    out = torch.matmul(conv.weight.flatten(1), columns)
    return out if conv.bias is None else out + conv.bias.unsqueeze(1).to(out.dtype)  # autocast makes the types differ


def _check(group_split: Sequence[int], num_heads: int, kernel_sizes: Sequence[int]) -> None:
    if sum(group_split) != num_heads or num_heads < 1 or min(group_split) < 0:
        raise UserError("`group_split` must split `num_heads` heads", got=f"{list(group_split)} for {num_heads} heads")
    if len(kernel_sizes) != len(group_split) - 1 or any(k % 2 == 0 for k in kernel_sizes):
        raise UserError(
            "`kernel_sizes` must have one odd size for each local branch",
            got=f"{list(kernel_sizes)} for {len(group_split) - 1} local branches",
        )
