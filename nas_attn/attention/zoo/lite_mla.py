"""Multi-scale linear attention: ReLU instead of softmax, so the cost grows linearly with H·W.

Paper: EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense Prediction (arXiv:2205.14756).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.attention.zoo._constraints import indivisible, must_be_odd, reachable
from nas_attn.attention.zoo._layout import laid_as
from nas_attn.attention.zoo._precision import at_least_single, without_autocast
from nas_attn.attention.zoo._published import PublishedNames

EPS = 1e-5


@attention(
    "lite_mla",
    family="self-attention",
    paper="EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense Prediction, 2205.14756",
    licence="own code from the paper; published code: Apache-2.0",
    weights="load as in github.com/mit-han-lab/efficientvit",
)
class ReluLinearAttention(PublishedNames):
    r"""`BN(proj(concat(A(qkv), A(S_5(qkv)), …)))`, with one S per scale, and A linear attention per head of D channels.

    :math:`A(q, k, v)_i = \varphi(q_i) \sum_j \varphi(k_j)^\top v_j \,/\, (\varphi(q_i) \sum_j \varphi(k_j)^\top + ε)`
    with φ = ReLU. S_s aggregates a neighbourhood of q, k and v: a depthwise s×s convolution, then a 1×1 convolution
    within q, k or v of each head. No convolution has a bias. The sums over the map use at least float32, as in the
    published code, because half precision would overflow. ε is 1e-5 as in timm; the paper's repository has 1e-15, which
    has no effect in float32. One pixel in a batch of one is normalised by the running statistics (`BatchNorm`).

    Parameters, S = number of scales: 3C² + Σ_s(3C·s² + 3C·D) + (1 + S)·C² + 2C.

    Args:
        channels: C, channels of the map, a multiple of `head_dim`.
        head_dim: D, channels of a head.
        scales: kernel sides of the neighbourhoods in pixels; odd. The pixel itself is always included.
    Shape:
        (N, C, H, W) -> (N, C, H, W); any H, W from 1.
    Raises:
        SlotRefused: `head_dim` does not divide `channels`.
        UserError: an even scale.
    """

    published = ("qkv.conv.", "qkv."), ("proj.conv.", "proj."), ("proj.norm.", "norm.")

    def __init__(
        self,
        channels: int,
        head_dim: Annotated[int, Choice(8, 16, 32)] = 8,
        scales: Annotated[Sequence[int], Choice((3,), (5,), (7,), (3, 5))] = (5,),
    ) -> None:
        super().__init__()
        must_be_odd("scales", *scales)
        self.head_dim = head_dim
        wide, parts = 3 * channels, 3 * channels // head_dim
        self.qkv = nn.Conv2d(channels, wide, 1, bias=False)
        self.aggreg = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(wide, wide, s, padding=s // 2, groups=wide, bias=False),
                nn.Conv2d(wide, wide, 1, groups=parts, bias=False),
            )
            for s in scales
        )
        self.proj = nn.Conv2d(channels * (1 + len(scales)), channels, 1, bias=False)
        self.norm = BatchNorm(channels)

    @classmethod
    def unsupported(cls, channels: int, *, head_dim: int, scales: Sequence[int]) -> str | None:
        return indivisible(channels, head_dim, "head_dim")

    @classmethod
    def effective(cls, height: int, width: int, *, head_dim: int, scales: Sequence[int]) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return head_dim, tuple((reachable(height, s), reachable(width, s)) for s in scales)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x)
        out = torch.cat([self._attend(qkv), *(self._attend(gather(qkv)) for gather in self.aggreg)], 1)
        return self.norm(laid_as(self.proj(out), x))

    def _attend(self, qkv: Tensor) -> Tensor:
        """(N, 3C, H, W), with q, k, v of each head together -> (N, C, H, W)."""
        n, wide, d = qkv.shape[0], qkv.shape[1], self.head_dim
        with without_autocast(qkv.device):
            parts = at_least_single(qkv).reshape(n, wide // (3 * d), 3, d, qkv.shape[2] * qkv.shape[3])
            q, k, v = parts.unbind(2)
            pairs = F.pad(v, (0, 0, 0, 1), value=1.0) @ F.relu(k).transpose(-1, -2)  # (N, heads, D + 1, D)
            out = pairs @ F.relu(q)
            out = out[:, :, :-1] / (out[:, :, -1:] + EPS)
        return out.reshape(n, wide // 3, qkv.shape[2], qkv.shape[3]).to(qkv.dtype)
