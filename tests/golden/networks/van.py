"""VAN: four stages of blocks, each a gated large kernel and a feed-forward unit with a depthwise convolution.

Paper: Visual Attention Network (arXiv:2202.09741). LSKA's paper (arXiv:2309.01439) changes only the gate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas_attn.attention.zoo._large_kernel import depthwise


class Size(NamedTuple):
    """For each stage: channels, blocks, and hidden channels of the feed-forward unit divided by the channels."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    ratios: tuple[int, ...] = (8, 8, 4, 4)


SIZES = {
    "B0": Size((32, 64, 160, 256), (3, 3, 5, 2)),
    "B1": Size((64, 128, 320, 512), (2, 2, 4, 2)),
    "B2": Size((64, 128, 320, 512), (3, 3, 12, 3)),
    "B3": Size((64, 128, 320, 512), (3, 5, 27, 3)),
}


class Attention(nn.Module):
    """1×1, GELU, the tested gate, 1×1, plus the input."""

    def __init__(self, dim: int, gate: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(dim, dim, 1), nn.GELU(), gate(dim), nn.Conv2d(dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Branch(nn.Module):
    """x + γ · body(BN(x)), with one γ per channel that starts at 0.01."""

    def __init__(self, dim: int, body: nn.Module) -> None:
        super().__init__()
        self.norm, self.body = nn.BatchNorm2d(dim), body
        self.gamma = nn.Parameter(torch.full((dim, 1, 1), 1e-2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gamma * self.body(self.norm(x))


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def feed_forward(dim: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(dim, hidden, 1), depthwise(hidden, (3, 3)), nn.GELU(), nn.Conv2d(hidden, dim, 1))


class VAN(nn.Module):
    """(N, 3, H, W) -> (N, 1000) class scores.

    Args:
        size: channels and blocks of each stage.
        gate: function from a number of channels to the attention layer of a block.
    """

    def __init__(self, size: Size, gate: Callable[[int], nn.Module]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width, depth, ratio in zip(*size, strict=True):
            kernel, stride = (7, 4) if before == 3 else (3, 2)
            layers += [nn.Conv2d(before, width, kernel, stride, kernel // 2), nn.BatchNorm2d(width)]
            for _ in range(depth):
                layers += [Branch(width, Attention(width, gate)), Branch(width, feed_forward(width, ratio * width))]
            layers.append(ChannelNorm(width, eps=1e-6))
            before = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(before, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))
