"""LKA: large-kernel attention from a small and a dilated depthwise convolution.

Paper: Visual Attention Network (arXiv:2202.09741).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._large_kernel import K_SIZES, decompose, decomposed_reach, depthwise


@attention(
    "lka",
    family="large kernel",
    paper="Visual Attention Network, 2202.09741",
    licence="own code from the paper; published code: Apache-2.0",
    weights="load as in github.com/Visual-Attention-Network/VAN-Classification",
)
class LKA(nn.Module):
    """`x · conv1(conv_spatial(conv0(x)))`: k1×k1, dilated k2×k2, 1×1, all with bias.

    Parameters: C(k1² + k2² + 2) + C² + C.

    Args:
        dim: C, channels of the map.
        k_size: pixels that the two depthwise kernels span together.
    Raises:
        UserError: the papers give no split for `k_size`.
    """

    def __init__(self, dim: int, k_size: Annotated[int, Choice(*K_SIZES)] = 23) -> None:
        super().__init__()
        k1, k2, dilation = decompose(k_size)
        self.conv0 = depthwise(dim, (k1, k1))
        self.conv_spatial = depthwise(dim, (k2, k2), dilation)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    @classmethod
    def effective(cls, height: int, width: int, *, k_size: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return decomposed_reach(k_size, height, width)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(self.conv_spatial(self.conv0(x)))
