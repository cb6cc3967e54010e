"""SHSA: self-attention with one head on a part of the channels; the other channels pass by.

Paper: SHViT: Single-Head Vision Transformer with Memory Efficient Macro Design (arXiv:2401.16456).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.attention.zoo._constraints import too_narrow
from nas_attn.attention.zoo._heads import attend, to_heads, to_map
from nas_attn.attention.zoo._published import PublishedNames


@attention(
    "shsa",
    family="self-attention",
    paper="SHViT: Single-Head Vision Transformer with Memory Efficient Macro Design, 2401.16456",
    licence="own code from the paper; published code: MIT",
    weights="load as in github.com/ysj9909/SHViT",
)
class SHSA(PublishedNames):
    r"""`BN(W · ReLU([A(x₁); x₂]))`; x₁ are the first P = ⌊C·partial_ratio⌋ channels, x₂ the others.

    A is softmax attention of every pixel to every pixel, softmax(q·kᵀ / √D)·v, with [q; k; v] = BN(W_qkv · GN(x₁)). q
    and k have D = qk_dim channels, v has P. GN normalises all values of x₁ of an image together. No convolution has a
    bias. There is no position signal: in SHViT a depthwise convolution before this layer gives it.

    In SHViT the layer stands in a residual branch, and its last scale factors start at 0. Here they start at 1, because
    the output of the layer replaces the map; `residual=scaled` adds a branch that starts at 0. Some YOLO ports have
    SiLU in place of ReLU.

    Parameters: P·(2·D + P) + 2·P + 2·(2·D + P) + C² + 2·C.

    Args:
        dim: C, channels of the map.
        qk_dim: D, channels of q and of k.
        partial_ratio: the share of the channels that attend; 1/4 in the published code, 1/4.67 in the paper.
    Raises:
        SlotRefused: C·partial_ratio is less than one channel.
    """

    published = (("qkv.c.", "qkv.0."), ("qkv.bn.", "qkv.1."), ("proj.1.c.", "proj.1."), ("proj.1.bn.", "proj.2."))

    def __init__(
        self,
        dim: int,
        qk_dim: Annotated[int, Choice(8, 16, 32)] = 16,
        partial_ratio: Annotated[float, Choice(0.25, 0.5)] = 0.25,
    ) -> None:
        super().__init__()
        attending = int(dim * partial_ratio)
        self.widths = qk_dim, qk_dim, attending
        self.pre_norm = nn.GroupNorm(1, attending)
        self.qkv = nn.Sequential(nn.Conv2d(attending, sum(self.widths), 1, bias=False), BatchNorm(sum(self.widths)))
        self.proj = nn.Sequential(nn.ReLU(), nn.Conv2d(dim, dim, 1, bias=False), BatchNorm(dim))

    @classmethod
    def unsupported(cls, channels: int, *, qk_dim: int, partial_ratio: float) -> str | None:
        return too_narrow("1 / partial_ratio", round(1 / partial_ratio), channels)

    @classmethod
    def attention_logits(cls, channels: int, height: int, width: int, *, qk_dim: int, partial_ratio: float) -> int:
        return (height * width) ** 2

    @classmethod
    def effective(cls, height: int, width: int, *, qk_dim: int, partial_ratio: float) -> Hashable:
        """Equal keys for equal functions: on a map of one pixel, q and k do not matter."""
        return qk_dim if height * width > 1 else None, partial_ratio

    def forward(self, x: Tensor) -> Tensor:
        attending, others = x.split([self.widths[2], x.shape[1] - self.widths[2]], 1)
        q, k, v = self.qkv(self.pre_norm(attending)).split(self.widths, 1)
        attended = to_map(attend(to_heads(q, 1), to_heads(k, 1), to_heads(v, 1)), x)
        return self.proj(torch.cat([attended, others.to(attended.dtype)], 1))
