"""Multi-head self-attention of every pixel to every pixel.

Papers: Attention Is All You Need (arXiv:1706.03762); CSWin Transformer (arXiv:2107.00652), for the position signal from
a depthwise convolution of the values.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._depthwise import DepthwiseConv2d
from nas_attn.attention.zoo._heads import attend, to_heads, to_map
from nas_attn.errors import UserError


@attention(
    "mhsa",
    family="self-attention",
    paper="Attention Is All You Need, 1706.03762",
    licence="own code from the papers; published code: Apache-2.0 (tensor2tensor), MIT (CSWin)",
)
class GlobalSelfAttention(nn.Module):
    r"""`proj(concat_h softmax(q_h·k_hᵀ / √D)·v_h + P(v))` with q, k, v from one 1×1 convolution.

    P is the position signal, because attention alone does not know the position of a pixel. Tables of learned or
    relative positions are made for one map size, but a detector has no fixed map size. So P is a depthwise 3×3
    convolution of v, or nothing. It is padded with zeros, so it also sees the borders. There is no normalisation and no
    feed-forward part: this is only the attention layer of a transformer block.

    Parameters: 4C² + 4C, and 10C more with position=conv.

    Args:
        dim: C, channels of the map, a multiple of `num_heads`.
        num_heads: number of heads; each has D = C / num_heads channels.
        position: `conv`, or `none` for no position signal.
    Shape:
        (N, C, H, W) -> (N, C, H, W); any H, W from 1.
    Raises:
        SlotRefused: `num_heads` does not divide `dim`.
        UserError: `position` is neither.
    """

    def __init__(
        self,
        dim: int,
        num_heads: Annotated[int, Choice(1, 2, 4, 8)] = 4,
        position: Annotated[str, Choice("conv", "none")] = "conv",
    ) -> None:
        super().__init__()
        if position not in ("conv", "none"):
            raise UserError("`position` must be conv or none", got=repr(position))
        self.num_heads = num_heads
        self.qkv = nn.Conv2d(dim, 3 * dim, 1)
        self.pe = DepthwiseConv2d(dim, 3) if position == "conv" else None
        self.proj = nn.Conv2d(dim, dim, 1)

    @classmethod
    def unsupported(cls, channels: int, *, num_heads: int, position: str) -> str | None:
        return indivisible(channels, num_heads)

    @classmethod
    def attention_logits(cls, channels: int, height: int, width: int, *, num_heads: int, position: str) -> int:
        return num_heads * (height * width) ** 2

    @classmethod
    def effective(cls, height: int, width: int, *, num_heads: int, position: str) -> Hashable:
        """Equal keys for equal functions: on a map of one pixel, the number of heads does not matter."""
        return num_heads if height * width > 1 else 1, position

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, 1)
        out = to_map(attend(*(to_heads(part, self.num_heads) for part in (q, k, v))), x)
        return self.proj(out if self.pe is None else out + self.pe(v))
