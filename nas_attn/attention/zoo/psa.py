"""Position-sensitive attention of YOLOv10 and YOLO11: self-attention with a depthwise position signal, then 1×1 mixing.

Paper: YOLOv10: Real-Time End-to-End Object Detection (arXiv:2405.14458).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor

from nas_attn.attention.choice import Choice
from nas_attn.attention.forms import as_built, fast_wanted
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._heads import attend, to_map
from nas_attn.attention.zoo._layout import laid_as
from nas_attn.attention.zoo._published import PublishedNames


@attention(
    "psa",
    family="self-attention",
    paper="YOLOv10: Real-Time End-to-End Object Detection, 2405.14458",
    licence="through ultralytics (AGPL-3.0)",
    weights="load as in Ultralytics' PSABlock",
    cannot={"single_value": "normalises by batch statistics, as YOLOv10 does"},
)
class PositionSensitive(PublishedNames):
    r"""`y = x + A(x)`, then `y + F(y)`: Ultralytics' `PSABlock`, the repeated block of `PSA` and `C2PSA`.

    A: one 1×1 convolution gives q, k, v head by head (q_h, k_h, v_h); then softmax(q·kᵀ/√dk)·v, plus a depthwise 3×3
    convolution of v; then a 1×1 convolution. F: 1×1 to 2C, SiLU, 1×1 back to C. Every convolution has batch
    normalisation and no bias. `PSA` and `C2PSA` apply the block to a part of the channels; at a slot, the block itself
    is used.

    The fast form pads the keys with zeros to the width of the values. So a fused kernel can compute the attention and
    does not store the logits.

    Parameters, h heads with dk = int(attn_ratio · C/h): 6C² + 21C + 2·h·dk·(C + 2).

    Args:
        channels: C, channels of the map, a multiple of `num_heads`.
        attn_ratio: width of a key or query divided by the width of a value.
        num_heads: number of heads.
    Shape:
        (N, C, H, W) -> (N, C, H, W); any H, W from 1. Training needs more than one value per channel.
    Raises:
        SlotRefused: `num_heads` does not divide `channels`, or `attn_ratio` leaves a head without key channels.
    """

    published = ("attn.", "block.attn."), ("ffn.", "block.ffn.")

    def __init__(
        self,
        channels: int,
        attn_ratio: Annotated[float, Choice(0.25, 0.5, 1.0)] = 0.5,
        num_heads: Annotated[int, Choice(2, 4, 8)] = 4,
    ) -> None:
        super().__init__()
        from ultralytics.nn.modules.block import PSABlock

        self.block = PSABlock(channels, attn_ratio=attn_ratio, num_heads=num_heads)

    @classmethod
    def unsupported(cls, channels: int, *, attn_ratio: float, num_heads: int) -> str | None:
        if reason := indivisible(channels, num_heads):
            return reason
        if int(channels // num_heads * attn_ratio) < 1:
            return (
                f"`num_heads` must divide the channels into heads of at least 1 / `attn_ratio` channels, "
                f"but got {num_heads} heads of {channels // num_heads} channels and {attn_ratio}"
            )
        return None

    @classmethod
    def attention_logits(cls, channels: int, height: int, width: int, *, attn_ratio: float, num_heads: int) -> int:
        return num_heads * (height * width) ** 2

    @classmethod
    def effective(cls, height: int, width: int, *, attn_ratio: float, num_heads: int) -> Hashable:
        """Equal keys for equal functions: on a map of one pixel, the value passes unchanged with any settings."""
        return (attn_ratio, num_heads) if height * width > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        from ultralytics.nn.modules.block import Attention, PSABlock

        passed_by = fast_wanted(self) and as_built(PSABlock, self.block) and as_built(Attention, self.block.attn)
        return self.fast(x) if passed_by else self.reference(x)

    def reference(self, x: Tensor) -> Tensor:
        """The block as Ultralytics computes it."""
        return self.block(x)

    def fast(self, x: Tensor) -> Tensor:
        """The same result as `reference`, with fused attention."""
        attn = self.block.attn
        widths = (attn.key_dim, attn.key_dim, attn.head_dim)
        heads = attn.qkv(x).reshape(x.shape[0], attn.num_heads, sum(widths), x.shape[2] * x.shape[3])
        q, k, v = heads.split(widths, 2)
        out = attend(*(part.transpose(-1, -2).contiguous() for part in (q, k, v)))
        x = x + attn.proj(to_map(out, x) + attn.pe(laid_as(v.reshape(x.shape), x)))
        return x + self.block.ffn(x)
