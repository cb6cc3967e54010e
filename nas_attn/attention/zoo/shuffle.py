"""Shuffle attention: one half of each channel group gets channel gates, the other half pixel gates; then a shuffle.

Paper: SA-Net: Shuffle Attention for Deep Convolutional Neural Networks (arXiv:2102.00240).
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import indivisible
from nas_attn.attention.zoo._layout import channels_last


@attention(
    "shuffle",
    family="channel+spatial",
    paper="SA-Net: Shuffle Attention for Deep Convolutional Neural Networks, 2102.00240",
    licence="own code from the paper; no licence file was found with the published code",
    weights="load as in github.com/wofmanaf/SA-Net",
)
class ShuffleAttention(nn.Module):
    r"""Each group has two halves: a becomes a · σ(cweight·mean(a) + cbias), b becomes b · σ(sweight·norm(b) + sbias).

    `norm` normalises every channel of an image by itself. The weights have one value per channel, and all groups share
    them. At the end, the first and the second half of all channels are interleaved (channel shuffle with two groups).
    At the start, all gates are the constant σ(1).

    Parameters: 3·C / groups. The state dictionary has the published keys. Ultralytics treats every parameter with
    `bias` in its name as a bias, so `cbias` and `sbias` start at its warm-up learning rate for biases (0.1) and have no
    weight decay.

    Args:
        channels: C, channels of the map.
        groups: number of groups; 2·`groups` must divide C. Published: 64, which is too many for narrow maps, and 8 for
            MobileNetV2.
    Raises:
        SlotRefused: 2·`groups` does not divide `channels`.
    """

    def __init__(self, channels: int, groups: Annotated[int, Choice(2, 4, 8, 16, 32, default=8)] = 64) -> None:
        super().__init__()
        self.groups = groups
        width = channels // (2 * groups)
        self.cweight = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.cbias = nn.Parameter(torch.ones(1, width, 1, 1))
        self.sweight = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.sbias = nn.Parameter(torch.ones(1, width, 1, 1))
        self.gn = nn.GroupNorm(width, width)

    @classmethod
    def unsupported(cls, channels: int, *, groups: int) -> str | None:
        return indivisible(channels, 2 * groups, "2 * groups")

    def forward(self, x: Tensor) -> Tensor:
        group = x.reshape(-1, x.shape[1] // self.groups, x.shape[2], x.shape[3])  # (N·groups, C/groups, H, W)
        a, b = group.chunk(2, 1)
        a = a * (self.cweight * a.mean((2, 3), keepdim=True) + self.cbias).sigmoid()
        b = b * (self.sweight * self.gn(b) + self.sbias).sigmoid()
        halves = torch.cat([a, b], 1).reshape(-1, 2, x.shape[1] // 2, x.shape[2], x.shape[3])
        if channels_last(x):
            halves = halves.permute(0, 3, 4, 2, 1).reshape(x.shape[0], x.shape[2], x.shape[3], x.shape[1])
            return halves.permute(0, 3, 1, 2).to(x.dtype)
        return halves.transpose(1, 2).reshape(x.shape).to(x.dtype)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
