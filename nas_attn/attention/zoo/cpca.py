"""CPCA: channel gates first, then a gate for every value from strip convolutions of several lengths.

Paper: Channel prior convolutional attention for medical image segmentation (arXiv:2306.05196).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

import torch
from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import reachable, too_narrow
from nas_attn.attention.zoo._large_kernel import depthwise
from nas_attn.attention.zoo._published import PublishedNames

PUBLISHED = (7, 11, 21)


@attention(
    "cpca",
    family="channel+spatial",
    paper="Channel prior convolutional attention for medical image segmentation, 2306.05196",
    licence="own code; published code: Apache-2.0 (github.com/Cuthbert-Huang/CPCANet)",
    weights="load as in github.com/Cuthbert-Huang/CPCANet",
)
class CPCA(PublishedNames):
    """`P(y · P(b + Σ_k S_k(b)))` with y = z · (σ(M(avg z)) + σ(M(max z))), z = gelu(P(x)), b = D(y).

    P is a 1×1 convolution, used three times with the same weights. M(p) = W2 · relu(W1 · p + b1) + b2 is a bottleneck
    of R = ⌊C/reduction⌋ channels. D is a depthwise 5×5 convolution. S_k is a depthwise 1×k, then a k×1 convolution. All
    have a bias. This follows the published code. The paper's text applies σ once, to the sum, and mentions no
    convolution before the channel gates or after the spatial gates.

    Parameters, K = sum of `kernels`: C² + C + 2·C·R + R + C + 26·C + 2·C·(K + 3).

    Args:
        channels: C, channels of the map.
        reduction: C divided by the width of M.
        kernels: lengths of the strip convolutions in pixels; odd.
    Raises:
        SlotRefused: fewer channels than `reduction`.
        UserError: an even kernel length.
    """

    def __init__(
        self,
        channels: int,
        reduction: Annotated[int, Choice(2, 4, 8)] = 4,
        kernels: Annotated[tuple[int, ...], Choice((3, 5, 7), (5, 7, 11), PUBLISHED)] = PUBLISHED,
    ) -> None:
        super().__init__()
        self.kernels = tuple(kernels)
        names = ((f"dconv1_{k}.", f"dconv{k}_1.") for k in self.kernels)
        self.published = tuple((s, f"strips.{n}.{i}.") for n, pair in enumerate(names) for i, s in enumerate(pair))
        self.ca = nn.ModuleDict(
            {
                "fc1": nn.Conv2d(channels, channels // reduction, 1),
                "fc2": nn.Conv2d(channels // reduction, channels, 1),
            }
        )
        self.dconv5_5 = depthwise(channels, (5, 5))
        self.strips = nn.ModuleList(
            nn.Sequential(depthwise(channels, (1, k)), depthwise(channels, (k, 1))) for k in self.kernels
        )
        self.conv = nn.Conv2d(channels, channels, 1)

    @classmethod
    def unsupported(cls, channels: int, *, reduction: int, kernels: tuple[int, ...]) -> str | None:
        return too_narrow("reduction", reduction, channels)

    @classmethod
    def effective(cls, height: int, width: int, *, reduction: int, kernels: tuple[int, ...]) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return reduction, tuple((reachable(height, k), reachable(width, k)) for k in kernels)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.gelu(self.conv(x))
        pooled = torch.cat([x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)], 2)
        of_mean, of_maximum = self.ca["fc2"](self.ca["fc1"](pooled).relu()).sigmoid().chunk(2, 2)
        x = x * (of_mean + of_maximum)  # autocast would compute `sum`, and so the whole map, in float32
        base = self.dconv5_5(x)
        total = base
        for strip in self.strips:
            total = total + strip(base)
        return self.conv(self.conv(total) * x)
