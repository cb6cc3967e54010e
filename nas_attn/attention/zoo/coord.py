"""Coordinate attention: a gate for each row and each column of every channel.

Paper: Coordinate Attention for Efficient Mobile Network Design (arXiv:2103.02907).
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._batch_norm import BatchNorm
from nas_attn.attention.zoo._constraints import too_narrow


@attention(
    "coord",
    family="strip",
    paper="Coordinate Attention for Efficient Mobile Network Design, 2103.02907",
    licence="own code from the paper; published code: MIT",
    weights="load as in github.com/houqb/CoordAttention",
)
class CoordinateAttention(nn.Module):
    """`x · σ(F_h(f_h)) · σ(F_w(f_w))`, with [f_h; f_w] = hardswish(BN(F_1([row means; column means]))).

    F_1 reduces the H + W means from C to R = ⌊C/reduction⌋ channels, and F_h and F_w expand the two parts back to C.
    All three are 1×1 convolutions with bias. Parameters: 3·C·R + 3·R + 2·C, including two per channel of the norm.

    The published R is max(8, C // 32), which is 8 at every width up to 256. With this minimum, all reductions from C/8
    up would give the same network. So there is no minimum here, and the default is the reduction that gives the
    published 8 channels at C = 64. timm's `CoordAttn` multiplies the width by a further 2/3, rounds it to a multiple of
    8, and has no biases. The keys are the published ones. The name differs from the published `CoordAtt`, because the
    second argument of that class is a number of channels.

    Args:
        channels: C, channels of the map.
        reduction: C divided by the width of the bottleneck.
    Raises:
        SlotRefused: fewer channels than `reduction`.
    """

    def __init__(self, channels: int, reduction: Annotated[int, Choice(4, 8, 16, 32)] = 8) -> None:
        super().__init__()
        narrow = channels // reduction
        self.conv1 = nn.Conv2d(channels, narrow, 1)
        self.bn1 = BatchNorm(narrow)
        self.act = nn.Hardswish()
        self.conv_h = nn.Conv2d(narrow, channels, 1)
        self.conv_w = nn.Conv2d(narrow, channels, 1)

    @classmethod
    def unsupported(cls, channels: int, *, reduction: int) -> str | None:
        return too_narrow("reduction", reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        height = x.shape[2]
        means = torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)], 2)  # (N, C, H + W, 1)
        strips = self.act(self.bn1(self.conv1(means)))
        rows = self.conv_h(strips[:, :, :height]).sigmoid()
        columns = self.conv_w(strips[:, :, height:].transpose(2, 3)).sigmoid()
        return x * columns * rows
