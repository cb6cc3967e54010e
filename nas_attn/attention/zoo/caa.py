"""CAA: context anchor attention, a gate computed from local averages by long strip convolutions.

Paper: Poly Kernel Inception Network for Remote Sensing Detection (arXiv:2403.06258).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import reachable
from nas_attn.attention.zoo._large_kernel import depthwise
from nas_attn.attention.zoo._published import PublishedNames

PKINET = "github.com/NUST-Machine-Intelligence-Laboratory/PKINet"


@attention(
    "caa",
    family="strip",
    paper="Poly Kernel Inception Network for Remote Sensing Detection, 2403.06258",
    licence=f"own code from the paper; published code: Apache-2.0 ({PKINET})",
    weights=f"load as in the networks of {PKINET}, which use the module without batch norms",
)
class CAA(PublishedNames):
    """x · σ(conv2(v_conv(h_conv(conv1(average over 7×7))))): 1×1, depthwise 1×k and k×1, 1×1.

    All convolutions have a bias, and no normalisation or activation, as in the paper's formulas and in the networks of
    PKINet. The released class, which YOLO ports copy, by default adds batch normalisation and SiLU after both 1×1
    convolutions; then its gate never falls below 0.43. The average counts pixels outside the map as zeros. In PKINet
    the gate multiplies another branch; here it multiplies x.

    Parameters: 2·(C² + C) + 2·C·(k + 1).

    Args:
        channels: C, channels of the map.
        k_size: k, an odd number of pixels; in the paper 11 in the first block, and 2 more in each further block.
    Raises:
        UserError: an even `k_size`.
    """

    published = tuple((f"{layer}.conv.", f"{layer}.") for layer in ("conv1", "h_conv", "v_conv", "conv2"))

    def __init__(self, channels: int, k_size: Annotated[int, Choice(7, 11, 15, 19, 23)] = 11) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.h_conv = depthwise(channels, (1, k_size))
        self.v_conv = depthwise(channels, (k_size, 1))
        self.conv2 = nn.Conv2d(channels, channels, 1)

    @classmethod
    def effective(cls, height: int, width: int, *, k_size: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return reachable(height, k_size), reachable(width, k_size)

    def forward(self, x: Tensor) -> Tensor:
        average = functional.avg_pool2d(x, (1, 7), stride=1, padding=(0, 3))  # one axis at a time: 14 taps, not 49
        average = functional.avg_pool2d(average, (7, 1), stride=1, padding=(3, 0))
        context = self.conv1(average)
        return x * self.conv2(self.v_conv(self.h_conv(context))).sigmoid()
