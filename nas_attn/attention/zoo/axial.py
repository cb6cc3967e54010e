"""Axial attention: every pixel attends along its column and its row.

Papers, one for each `order`: `serial`: Axial-DeepLab: Stand-Alone Axial-Attention for Panoptic Segmentation
(arXiv:2003.07853). `parallel`: Axial Attention in Multidimensional Transformers (arXiv:1912.12180). `criss_cross`:
CCNet: Criss-Cross Attention for Semantic Segmentation (arXiv:1811.11721).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._depthwise import DepthwiseConv2d
from nas_attn.attention.zoo._lines import along, criss_cross, from_grid, to_grid
from nas_attn.errors import UserError

ORDERS = ("serial", "parallel", "criss_cross")


@attention(
    "axial",
    family="self-attention",
    paper="Axial-DeepLab: Stand-Alone Axial-Attention for Panoptic Segmentation, 2003.07853",
    licence="own code from the papers; published code: Apache-2.0 (Axial-DeepLab), MIT (CCNet)",
)
class AxialAttention(nn.Module):
    r"""`proj(A(q, k, v) + P(v))`, with A softmax attention along columns and rows.

    A has H·W·(H + W) logits per head instead of (H·W)². The three values of `order`: `serial` attends along columns,
    then along rows with the same q and k and the first result as values, so every pixel reaches every pixel. `parallel`
    is the mean of attention along columns and attention along rows. `criss_cross` has one softmax over the column and
    the row together, in which the pixel itself counts once. P is a depthwise 3×3 convolution, which works on any map
    size; Axial-DeepLab's learned positions are made for one size.

    Both directions share q, k, v and the projection, as in CCNet; Axial-DeepLab has two layers with normalisation
    instead. So the three orders cost the same and differ in nothing else.

    Parameters: 4C² + 14C.

    Args:
        dim: C, channels of the map, a multiple of `num_heads`.
        num_heads: number of heads; each has D = C / num_heads channels.
        order: `serial`, `parallel` or `criss_cross`.
    Shape:
        (N, C, H, W) -> (N, C, H, W); any H, W from 1.
    Raises:
        SlotRefused: `num_heads` does not divide `dim`.
        UserError: `order` is none of the three.
    """

    def __init__(
        self,
        dim: int,
        num_heads: Annotated[int, Choice(2, 4, 8)] = 4,
        order: Annotated[str, Choice(*ORDERS)] = "serial",
    ) -> None:
        super().__init__()
        if order not in ORDERS:
            raise UserError(f"`order` must be one of {', '.join(ORDERS)}", got=repr(order))
        self.num_heads, self.order = num_heads, order
        self.qkv = nn.Conv2d(dim, 3 * dim, 1)
        self.pe = DepthwiseConv2d(dim, 3)
        self.proj = nn.Conv2d(dim, dim, 1)

    @classmethod
    def unsupported(cls, channels: int, *, num_heads: int, order: str) -> str | None:
        return indivisible(channels, num_heads)

    @classmethod
    def attention_logits(cls, channels: int, height: int, width: int, *, num_heads: int, order: str) -> int:
        return num_heads * height * width * (height + width)

    @classmethod
    def effective(cls, height: int, width: int, *, num_heads: int, order: str) -> Hashable:
        """Equal keys for equal functions: a single pixel attends to itself only. On a map of one row or one column,
        `serial` and `criss_cross` are equal, because attention across the line does not change the values."""
        if height * width == 1:
            return None
        return num_heads, "serial" if order == "criss_cross" and 1 in (height, width) else order

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, 1)
        grids = [to_grid(part, self.num_heads) for part in (q, k, v)]
        out = from_grid(getattr(self, f"_{self.order}")(*grids), x)
        return self.proj(out + self.pe(v))

    def _serial(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return along(2, q, k, along(1, q, k, v))

    def _parallel(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return 0.5 * (along(1, q, k, v) + along(2, q, k, v))

    def _criss_cross(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return criss_cross(q, k, v, q.shape[-1] ** -0.5)
