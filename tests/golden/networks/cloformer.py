"""CloFormer: four stages of EfficientAttention and a feed-forward unit; its depthwise convolution also downsamples.

Paper: Rethinking Local Perception in Lightweight Vision Transformer (arXiv:2303.17803).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nas_attn.attention.zoo.efficient_attention import EfficientAttention

DEPTHS = (2, 2, 6, 2)
WINDOWS = (8, 4, 2, 1)
KERNELS = (3, 5, 7, 9)
MLP_KERNEL, MLP_RATIO = 5, 4


class Size(NamedTuple):
    """For each stage: channels, and heads of the local and of the global branch."""

    widths: tuple[int, ...]
    splits: tuple[tuple[int, int], ...]


SIZES = {
    "XXS": Size((32, 64, 128, 256), ((3, 1), (2, 2), (4, 4), (4, 12))),
    "XS": Size((48, 96, 160, 352), ((2, 1), (3, 3), (5, 5), (7, 15))),
    "S": Size((64, 128, 224, 448), ((3, 1), (4, 4), (7, 7), (7, 21))),
}


class Block(nn.Module):
    """x + attention(norm(x)), then shortcut(x) + feed_forward(norm(x)); at stride 2 both halve the map."""

    def __init__(self, dim: int, out: int, split: tuple[int, int], kernel: int, window: int, stride: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(1, dim) for _ in range(2))
        self.attention = EfficientAttention(dim, sum(split), split, (kernel,), window)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(dim, dim, MLP_KERNEL, stride, MLP_KERNEL // 2), nn.BatchNorm2d(dim), nn.Conv2d(dim, out, 1)
            )
        hidden = dim * MLP_RATIO
        self.feed_forward = nn.Sequential(
            nn.Conv2d(dim, hidden, 1),
            nn.GELU(),
            nn.Conv2d(hidden, hidden, MLP_KERNEL, stride, MLP_KERNEL // 2, groups=hidden),
            nn.Conv2d(hidden, out, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norms[0](x))
        return self.shortcut(x) + self.feed_forward(self.norms[1](x))


def stem(width: int) -> nn.Sequential:
    """Four 3×3 convolutions, the first two with stride 2, then a 1×1 convolution."""
    layers: list[nn.Module] = []
    before = 3
    for channels, stride in ((width // 2, 2), (width, 2), (width, 1), (width, 1)):
        layers += [nn.Conv2d(before, channels, 3, stride, 1), nn.BatchNorm2d(channels), nn.ReLU()]
        before = channels
    return nn.Sequential(*layers, nn.Conv2d(width, width, 1), nn.GroupNorm(1, width))


class CloFormer(nn.Module):
    """(N, 3, H, W) -> (N, 1000) class scores."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        widths = (*size.widths, size.widths[-1])
        blocks: list[nn.Module] = []
        for i, (depth, split) in enumerate(zip(DEPTHS, size.splits, strict=True)):
            for last in (False,) * (depth - 1) + (True,):
                out, stride = (widths[i + 1], 2) if last and i < 3 else (widths[i], 1)
                blocks.append(Block(widths[i], out, split, KERNELS[i], WINDOWS[i], stride))
        self.features = nn.Sequential(stem(widths[0]), *blocks, nn.GroupNorm(1, widths[-1]))
        self.head = nn.Linear(widths[-1], 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.features(x).mean((2, 3)), 1))
