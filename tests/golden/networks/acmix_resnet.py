"""ResNet with bottleneck blocks in which ACmix replaces the 3×3 convolution.

Papers: Deep Residual Learning (arXiv:1512.03385); On the Integration of Self-Attention and Convolution
(arXiv:2111.14556). The released network initialises every convolution again after building it (Kaiming). This
overwrites the initial shifts of `dep_conv`, so its convolution path starts as noise. Sizes do not depend on this, and
this builder does not initialise layers again.
"""

from __future__ import annotations

from torch import Tensor, nn

from nas_attn.attention.zoo.acmix import ACmix

DEPTHS = {26: (1, 2, 4, 1), 38: (2, 3, 5, 2), 50: (3, 4, 6, 3)}
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4


class Bottleneck(nn.Module):
    """1×1, ACmix, 1×1, each normalised, plus a shortcut that is projected if the shape changes."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        out = EXPANSION * width
        self.body = nn.Sequential(
            nn.Conv2d(before, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            ACmix(width, width, kernel_att=7, head=4, kernel_conv=3, stride=stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != out:
            self.shortcut = nn.Sequential(nn.Conv2d(before, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        return (self.body(x) + self.shortcut(x)).relu()


class ACmixResNet(nn.Module):
    """(N, 3, H, W) -> (N, 1000) class scores; `depth` is 26, 38 or 50."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        ]
        before = 64
        for width, blocks in zip(WIDTHS, DEPTHS[depth], strict=True):
            for i in range(blocks):
                layers.append(Bottleneck(before, width, stride=2 if i == 0 and width > 64 else 1))
                before = EXPANSION * width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(before, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))
