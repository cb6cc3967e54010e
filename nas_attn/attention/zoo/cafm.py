"""CAFM: attention between channels for the whole map, plus convolutions for the neighbourhood.

Paper: Hybrid Convolutional and Attention Network for Hyperspectral Image Denoising (arXiv:2403.10067).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._depthwise import DepthwiseConv2d
from nas_attn.attention.zoo._layout import laid_as
from nas_attn.attention.zoo._precision import at_least_single, without_autocast
from nas_attn.attention.zoo._published import PublishedNames
from nas_attn.errors import UserError

ORDERS = ("published", "pixels")


@attention(
    "cafm",
    family="attention+convolution",
    paper="Hybrid Convolutional and Attention Network for Hyperspectral Image Denoising, 2403.10067",
    licence="own code from the paper; no licence file was found with the published code (github.com/summitgao/HCANet)",
    weights="load as in github.com/summitgao/HCANet",
)
class CAFM(PublishedNames):
    r"""`project_out(softmax(τ·q̂·k̂ᵀ)·v) + dep_conv(fc([q; k; v]))` with q, k, v from a 1×1, then a depthwise 3×3.

    The first term is attention between the D = C / num_heads channels of a head: q̂ and k̂ are q and k, each channel
    divided by its norm over the map, and τ is a learned number for each head. So there are D² logits for a head,
    whatever the size of the map. In the second term, `fc` maps the 3·num_heads parts of D channels to 9 parts at every
    pixel, and `dep_conv` is a 3×3 convolution with one group for each of the D channels, like the convolution of ACmix.
    Only `fc` and `dep_conv` have a bias.

    The published code reads the numbers of [q; k; v] for `fc` in another order than it wrote them: it takes a map
    (3·C, H·W) as (H·W, 3·C). So the second term mixes channels and distant pixels, and is another function for each
    size of the map. `local_order=published` does the same; `pixels` reads the parts of each pixel, as ACmix does. The
    published 3-D convolutions work on one slice: their other taps meet zeros only, and are left out here.

    Parameters: 4·C² + 27·C + num_heads + 27·num_heads + 9 + 81·C + C.

    Args:
        dim: C, channels of the map, a multiple of `num_heads`.
        num_heads: number of heads; each has D = C / num_heads channels.
        local_order: `published` or `pixels`.
    Raises:
        SlotRefused: `num_heads` does not divide `dim`.
        UserError: `local_order` is neither.
    """

    def __init__(
        self,
        dim: int,
        num_heads: Annotated[int, Choice(1, 2, 4, 8)] = 4,
        local_order: Annotated[str, Choice(*ORDERS)] = "published",
    ) -> None:
        super().__init__()
        if local_order not in ORDERS:
            raise UserError(f"`local_order` must be {' or '.join(ORDERS)}", got=repr(local_order))
        self.num_heads, self.local_order = num_heads, local_order
        groups = dim // num_heads
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=False)
        self.qkv_dwconv = DepthwiseConv2d(3 * dim, 3, bias=False)
        self.project_out = nn.Conv2d(dim, dim, 1, bias=False)
        self.fc = nn.Conv2d(3 * num_heads, 9, 1)
        self.dep_conv = nn.Conv2d(9 * groups, dim, 3, padding=1, groups=groups)

    @classmethod
    def unsupported(cls, channels: int, *, num_heads: int, local_order: str) -> str | None:
        return indivisible(channels, num_heads)

    @classmethod
    def effective(cls, height: int, width: int, *, num_heads: int, local_order: str) -> Hashable:
        """Equal keys for equal functions: on a map of one pixel, both orders are the same."""
        return num_heads, local_order if height * width > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv_dwconv(self.qkv(x))
        return laid_as(self.project_out(self._between_channels(qkv)) + self._local(qkv), x)

    def _between_channels(self, qkv: Tensor) -> Tensor:
        n, wide, height, width = qkv.shape
        parts = qkv.reshape(n, 3, self.num_heads, wide // (3 * self.num_heads), height * width)
        with without_autocast(qkv.device):  # norms over the map would overflow in half precision
            q, k, v = at_least_single(parts).unbind(1)
            q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
            weights = ((q @ k.transpose(-1, -2)) * at_least_single(self.temperature)).softmax(-1)
            out = (weights @ v).to(qkv.dtype)
        return out.reshape(n, wide // 3, height, width)

    def _local(self, qkv: Tensor) -> Tensor:
        n, wide, height, width = qkv.shape
        parts, groups, pixels = 3 * self.num_heads, wide // (3 * self.num_heads), height * width
        if self.local_order == "published":
            mixed = qkv.reshape(n, pixels, parts, groups).permute(0, 2, 3, 1)
        else:
            mixed = qkv.reshape(n, parts, groups, pixels)
        mixed = self.fc(mixed).transpose(1, 2).reshape(n, 9 * groups, height, width)
        return self.dep_conv(mixed)

    def extra_repr(self) -> str:
        return f"num_heads={self.num_heads}, local_order={self.local_order}"
