"""GAM: a gate from an MLP over the channels of every pixel, then a gate from large convolutions.

Paper: Global Attention Mechanism: Retain Information to Enhance Channel-Spatial Interactions (arXiv:2112.05561).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.attention.zoo._constraints import must_be_odd, reachable, too_narrow


@attention(
    "gam",
    family="channel+spatial",
    paper="Global Attention Mechanism: Retain Information to Enhance Channel-Spatial Interactions, 2112.05561",
    licence="own code from the paper",
)
class GAM(nn.Module):
    r"""y = x · σ(W₂·ReLU(W₁·x)) at every pixel, then y · σ(norm(conv₂(ReLU(norm(conv₁(y)))))).

    Nothing is pooled, so both gates have the size of the map. W₁ and conv₁ reduce the map to D = C // `rate` channels.
    Some copies of the code have no sigmoid after W₂; then x is multiplied by an unbounded factor, so the sigmoid is
    kept here. W₁ and W₂ are 1×1 convolutions, which saves two permutations. The paper's grouped variant for ResNet-50
    is left out.

    Parameters, k = kernel_size: 2·C·D + C + D for the first gate, and 2·k²·C·D + 3·(C + D) for the second. The module
    is heavy: at k = 7 and rate = 4 it has about 25 times the parameters of a plain 1×1 convolution.

    Args:
        channels: C, channels of the map.
        rate: C divided by D, the width between the two layers of each gate.
        kernel_size: k, side of both convolutions; odd; published: 7.
    Raises:
        SlotRefused: fewer channels than `rate`.
        UserError: an even `kernel_size`.
    """

    def __init__(
        self,
        channels: int,
        rate: Annotated[int, Choice(4, 8, 16)] = 4,
        kernel_size: Annotated[int, Choice(3, 5, 7)] = 7,
    ) -> None:
        super().__init__()
        must_be_odd("kernel_size", kernel_size)
        width, padding = channels // rate, kernel_size // 2
        self.channel_attention = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, channels, 1))
        self.spatial_attention = nn.Sequential(
            nn.Conv2d(channels, width, kernel_size, padding=padding),
            BatchNorm(width),
            nn.ReLU(),
            nn.Conv2d(width, channels, kernel_size, padding=padding),
            BatchNorm(channels),
        )

    @classmethod
    def unsupported(cls, channels: int, *, rate: int, kernel_size: int) -> str | None:
        return too_narrow("rate", rate, channels)

    @classmethod
    def effective(cls, height: int, width: int, *, rate: int, kernel_size: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return rate, reachable(height, kernel_size), reachable(width, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        y = x * self.channel_attention(x).sigmoid()
        return y * self.spatial_attention(y).sigmoid()
