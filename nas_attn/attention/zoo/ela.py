"""ELA: a gate for each row and each column of every channel, from convolutions along the strips.

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
    licence="own code from the paper; no code was published beside it",
)
class ELA(nn.Module):
    """`x · σ(GN(F(row means))) · σ(GN(F(column means)))`: one convolution F and one norm for both directions.

    F is a one-dimensional convolution without bias in C / group_width groups. The paper's sizes: ELA-B is
    kernel_size 7, group_width 1; ELA-L is 7 and 8; ELA-S is 5 and 8, all with 16 groups in the norm (ELA-T, which is
    5 and 1, has 32). Here the norm has 16 groups too, or the next power of two below that divides C and leaves each
    group two channels or more: one value has no variance.

    Parameters: C·group_width·kernel_size + 2·C. timm's `EfficientLocalAttn` is another module: its own convolution
    and norm for each direction, one group in the norm, and SiLU behind it.

    Args:
        channels: C, channels of the map, a multiple of `group_width`.
        kernel_size: of F, in pixels; odd.
        group_width: channels that F mixes.
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
        """Equal for settings of one function: the kernel's taps that can meet data."""
        return group_width, reachable(height, kernel_size), reachable(width, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        # autocast normalises in float32; a map times such a gate would stay there
        rows = self.gn(self.conv(x.mean(3))).sigmoid().to(x.dtype)  # (N, C, H)
        columns = self.gn(self.conv(x.mean(2))).sigmoid().to(x.dtype)  # (N, C, W)
        return x * rows.unsqueeze(3) * columns.unsqueeze(2)
