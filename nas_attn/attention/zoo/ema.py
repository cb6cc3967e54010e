"""EMA: a gate for each group of channels, from two parallel branches that weight each other.

Paper: Efficient Multi-Scale Attention Module with Cross-Spatial Learning (arXiv:2305.13563).
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._layout import laid_as


@attention(
    "ema",
    family="multi-branch",
    paper="Efficient Multi-Scale Attention Module with Cross-Spatial Learning, 2305.13563",
    licence="own code from the paper; no licence file was found with the published code",
    weights="load as in github.com/YOLOonMe/EMA-attention-module",
)
class EMAttention(nn.Module):
    r"""Each of `factor` groups g of D = C / factor channels becomes g · σ(softmax(d₁)·y₂ + softmax(d₂)·y₁).

    y₁ = norm(g · σ(a) · σ(b)); a and b are the same 1×1 convolution of the means of g along rows and along columns. y₂
    is a 3×3 convolution of g. d₁ and d₂ are the means of y₁ and y₂ over the map. The products sum over the D channels.
    All groups share their weights.

    `norm` normalises every channel of an image by itself, so the mean of y₁ is the bias of `norm` for every image.
    Therefore d₁ is a learned constant, also in the published form; here it is read from that bias.

    Parameters: 10·D² + 4·D. The state dictionary has the published keys.

    Args:
        channels: C, channels of the map.
        factor: number of groups; must divide C.
    Raises:
        SlotRefused: `factor` does not divide `channels`.
    """

    def __init__(self, channels: int, factor: Annotated[int, Choice(8, 16, 32, default=8)] = 32) -> None:
        super().__init__()
        self.groups = factor
        width = channels // factor
        self.gn = nn.GroupNorm(width, width)
        self.conv1x1 = nn.Conv2d(width, width, 1)
        self.conv3x3 = nn.Conv2d(width, width, 3, padding=1)

    @classmethod
    def unsupported(cls, channels: int, *, factor: int) -> str | None:
        return indivisible(channels, factor, "factor")

    def forward(self, x: Tensor) -> Tensor:
        group = x.reshape(-1, x.shape[1] // self.groups, x.shape[2], x.shape[3])  # (N·factor, D, H, W)
        rows = self.conv1x1(group.mean(3, keepdim=True)).sigmoid()
        columns = self.conv1x1(group.mean(2, keepdim=True)).sigmoid()
        gated = self.gn(group * rows * columns)
        convolved = self.conv3x3(group)
        of_gated = self.gn.bias.softmax(0).reshape(1, 1, -1).expand(group.shape[0], -1, -1)
        of_convolved = convolved.mean((2, 3)).softmax(1).unsqueeze(1)
        weights = of_gated @ convolved.flatten(2) + of_convolved @ gated.flatten(2)  # (N·factor, 1, H·W)
        return laid_as((group * weights.reshape(-1, 1, x.shape[2], x.shape[3]).sigmoid()).reshape(x.shape), x)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
