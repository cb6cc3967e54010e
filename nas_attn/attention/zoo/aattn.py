"""Area attention of YOLO12: self-attention within horizontal strips of the map.

Paper: YOLOv12: Attention-Centric Real-Time Object Detectors (arXiv:2502.12524).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from nas_attn.attention.choice import Choice
from nas_attn.attention.forms import recording
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._heads import attend, blocked, to_map
from nas_attn.attention.zoo._layout import laid_as
from nas_attn.attention.zoo._published import PublishedNames


@attention(
    "aattn",
    family="self-attention",
    paper="YOLOv12: Attention-Centric Real-Time Object Detectors, 2502.12524",
    licence="through ultralytics (AGPL-3.0)",
    weights="load as in Ultralytics' AAttn",
    cannot={"single_value": "normalises by batch statistics, as YOLO12 does"},
)
class AreaAttention(PublishedNames):
    r"""`proj(A(q, k, v) + pe(v))`: Ultralytics' `AAttn` with its weights and keys, for maps of any size.

    The H·W pixels, row by row, are cut into `area` runs of ceil(H·W / area) pixels. A pixel attends within its run:
    softmax(q·kᵀ/√D)·v per head. `pe` is a depthwise 7×7 convolution of the whole v. Every convolution has batch
    normalisation and no bias. The channels of q, k and v are stored head by head.

    Ultralytics' forward fails if `area` does not divide H·W. Here the last run is padded with positions that no pixel
    attends to; if `area` divides H·W, both give the same output. Attention is fused, so the logits are not stored.

    Parameters: 4C² + 59C with any settings.

    Args:
        dim: C, channels of the map, a multiple of `num_heads`; YOLO12 uses 32 channels per head.
        num_heads: number of heads.
        area: number of runs; 1 is attention over the whole map.
    Shape:
        (N, C, H, W) -> (N, C, H, W); any H, W from 1. Training needs more than one value per channel.
    Raises:
        SlotRefused: `num_heads` does not divide `dim`.
    """

    published = ("qkv.", "attn.qkv."), ("proj.", "attn.proj."), ("pe.", "attn.pe.")

    def __init__(
        self,
        dim: int,
        num_heads: Annotated[int, Choice(2, 4, 8)] = 4,
        area: Annotated[int, Choice(1, 4)] = 1,
    ) -> None:
        super().__init__()
        from ultralytics.nn.modules.block import AAttn

        self.attn = AAttn(dim, num_heads, area)

    @classmethod
    def unsupported(cls, channels: int, *, num_heads: int, area: int) -> str | None:
        return indivisible(channels, num_heads)

    @classmethod
    def attention_logits(cls, channels: int, height: int, width: int, *, num_heads: int, area: int) -> int:
        return num_heads * area * (-(-height * width // area)) ** 2

    @classmethod
    def effective(cls, height: int, width: int, *, num_heads: int, area: int) -> Hashable:
        """Equal keys for equal functions: if each run is one pixel, the value passes unchanged with any settings."""
        return (num_heads, area) if height * width > area else None

    def forward(self, x: Tensor) -> Tensor:
        heads, area, d = self.attn.num_heads, self.attn.area, self.attn.head_dim
        images, pixels = x.shape[0], x.shape[2] * x.shape[3]
        qkv = self.attn.qkv(x).reshape(images, heads, 3 * d, pixels)
        v = laid_as(qkv[:, :, 2 * d :].reshape(x.shape), x)
        run = (pixels + area - 1) // area
        bias = None
        if area > 1 and (recording() or run * area != pixels):  # a graph must hold for any size
            qkv = F.pad(qkv, (0, run * area - pixels))
            bias = blocked(torch.arange(run * area, device=x.device).reshape(1, area, 1, run) < pixels, qkv.dtype)
        # runs are a further batch axis: (N·heads, area, run, D)
        q, k, v_runs = (
            part.transpose(-1, -2).contiguous().reshape(images * heads, area, run, d)
            for part in qkv.split((d, d, d), 2)
        )
        out = attend(q, k, v_runs, bias)
        out = out.reshape(images, heads, area * run, d)[:, :, :pixels]
        return self.attn.proj(to_map(out, x) + self.attn.pe(v))
