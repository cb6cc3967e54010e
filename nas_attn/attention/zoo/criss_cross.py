"""Criss-cross attention: every pixel attends to its row and its column, with one softmax over both.

Paper: CCNet: Criss-Cross Attention for Semantic Segmentation (arXiv:1811.11721).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import too_narrow
from nas_attn.attention.zoo._lines import criss_cross, from_grid, to_grid


@attention(
    "criss_cross",
    family="self-attention",
    paper="CCNet: Criss-Cross Attention for Semantic Segmentation, 1811.11721",
    licence="own code from the paper; published code: MIT",
    weights="load as in github.com/speedinghzl/CCNet",
)
class CrissCrossAttention(nn.Module):
    r"""`x + γ·Σ_j softmax_j(q·k_j)·v_j`; j runs over the pixels in the row and in the column of each pixel.

    The pixel itself counts once, so there are H + W − 1 logits, without a scale. There is one head. q and k are 1×1
    convolutions to C/reduction channels, v is one to C channels; all have a bias. γ is a learned number that starts at
    0, so the module starts as the identity. With recurrence 2, the same weights are applied to the result again: then
    every pixel reaches every pixel. `axial` with order criss_cross has the same attention with several heads, a scale,
    a position signal and a projection, and without γ.

    Parameters, R = ⌊C/reduction⌋: 2·(C·R + R) + C² + C + 1.

    Args:
        dim: C, channels of the map.
        reduction: C divided by the channels of q and k; 8 in the published code.
        recurrence: number of applications; 2 in the paper. YOLO ports apply it once.
    Raises:
        SlotRefused: fewer channels than `reduction`.
    """

    def __init__(
        self,
        dim: int,
        reduction: Annotated[int, Choice(4, 8, 16)] = 8,
        recurrence: Annotated[int, Choice(1, 2)] = 1,
    ) -> None:
        super().__init__()
        self.recurrence = recurrence
        self.query_conv = nn.Conv2d(dim, dim // reduction, 1)
        self.key_conv = nn.Conv2d(dim, dim // reduction, 1)
        self.value_conv = nn.Conv2d(dim, dim, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    @classmethod
    def unsupported(cls, channels: int, *, reduction: int, recurrence: int) -> str | None:
        return too_narrow("reduction", reduction, channels)

    @classmethod
    def attention_logits(cls, channels: int, height: int, width: int, *, reduction: int, recurrence: int) -> int:
        return height * width * (height + width)

    @classmethod
    def effective(cls, height: int, width: int, *, reduction: int, recurrence: int) -> Hashable:
        """Equal keys for equal functions: a single pixel attends to itself only."""
        return reduction if height * width > 1 else None, recurrence

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.recurrence):
            q, k, v = (to_grid(conv(x), 1) for conv in (self.query_conv, self.key_conv, self.value_conv))
            attended = from_grid(criss_cross(q, k, v), x)
            x = self.gamma.to(attended.dtype) * attended + x  # in this order, the sum lies as `attended` does
        return x

    def extra_repr(self) -> str:
        return f"recurrence={self.recurrence}"
