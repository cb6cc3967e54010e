"""A plain convolution: the control that shows the effect of the same number of parameters without attention."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible


@attention("conv", family="control", paper="none", licence="own code")
class PlainConv(nn.Module):
    """One grouped 3×3 convolution with bias, without normalisation or activation.

    Parameters: 9·C²/groups + C. It has no normalisation, so it trains on 1×1 maps at batch 1, and fusing layers does
    not change it.

    Args:
        channels: C, channels of the map.
        groups: number of channel groups; must divide C.
    Raises:
        SlotRefused: `groups` does not divide C.
    """

    def __init__(self, channels: int, groups: Annotated[int, Choice(1, 2, 4, 8, 16, 32, 64)] = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=groups)

    @classmethod
    def unsupported(cls, channels: int, *, groups: int) -> str | None:
        return indivisible(channels, groups, "groups")

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)
