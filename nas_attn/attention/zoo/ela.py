"""ELA: a gate for each row and each column of every channel, from convolutions along the row and column means.

Paper: ELA: Efficient Local Attention for Deep Convolutional Neural Networks (arXiv:2403.01123).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible, must_be_odd, reachable


@attention(
    "ela",
    family="strip",
    paper="ELA: Efficient Local Attention for Deep Convolutional Neural Networks, 2403.01123",
    licence="own code from the paper; no code was published with it",
)
class ELA(nn.Module):
    """`x · σ(GN(F(row means))) · σ(GN(F(column means)))`, with the same convolution F and norm for both directions.

    F is a one-dimensional convolution without bias, in C / group_width groups. The paper's sizes (kernel_size,
    group_width): ELA-B is 7 and 1, ELA-L is 7 and 8, ELA-S is 5 and 8, all with 16 groups in the norm; ELA-T is 5 and
    1, with 32 groups. Here the norm has 16 groups too, or the largest smaller power of two that divides C and leaves at
    least two channels per group, because a single value has no variance.

    Parameters: C·group_width·kernel_size + 2·C. timm's `EfficientLocalAttn` is another module: it has a convolution
    and a norm for each direction, one group in the norm, and SiLU after it.

    Args:
        channels: C, channels of the map, a multiple of `group_width`.
        kernel_size: kernel size of F in pixels; odd.
        group_width: number of channels that F mixes.
    Raises:
        SlotRefused: `group_width` does not divide the channels.
        UserError: an even `kernel_size`.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Annotated[int, Choice(3, 5, 7, 9)] = 7,
        group_width: Annotated[int, Choice(1, 8)] = 1,
    ) -> None:
        super().__init__()
        must_be_odd("kernel_size", kernel_size)
        groups = channels // group_width
        self.conv = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)
        self.gn = nn.GroupNorm(next((g for g in (16, 8, 4, 2) if channels % g == 0 and channels > g), 1), channels)

    @classmethod
    def unsupported(cls, channels: int, *, kernel_size: int, group_width: int) -> str | None:
        return indivisible(channels, group_width, "group_width")

    @classmethod
    def effective(cls, height: int, width: int, *, kernel_size: int, group_width: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return group_width, reachable(height, kernel_size), reachable(width, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        # autocast normalises in float32; without the cast, the output map would be float32 too
        rows = self.gn(self.conv(x.mean(3))).sigmoid().to(x.dtype)  # (N, C, H)
        columns = self.gn(self.conv(x.mean(2))).sigmoid().to(x.dtype)  # (N, C, W)
        return x * rows.unsqueeze(3) * columns.unsqueeze(2)
