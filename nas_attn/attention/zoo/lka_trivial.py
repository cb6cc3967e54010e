"""LKA-trivial: the large kernel as one undecomposed depthwise convolution.

Paper: Large Separable Kernel Attention (arXiv:2309.01439), first baseline. The key names are those of this project.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import reachable
from nas_attn.attention.zoo._large_kernel import K_SIZES, depthwise


@attention(
    "lka_trivial",
    family="large kernel",
    paper="Large Separable Kernel Attention, 2309.01439",
    licence="own code from the paper's definition; no code was published",
)
class LKATrivial(nn.Module):
    """`x · conv1(conv0(x))`: depthwise k×k, then 1×1, both with bias.

    Parameters: C(k² + 1) + C² + C.

    Args:
        dim: C, channels of the map.
        k_size: k, an odd number of pixels.
    Raises:
        UserError: an even `k_size`.
    """

    def __init__(self, dim: int, k_size: Annotated[int, Choice(*K_SIZES, default=11)]) -> None:
        super().__init__()
        self.conv0 = depthwise(dim, (k_size, k_size))
        self.conv1 = nn.Conv2d(dim, dim, 1)

    @classmethod
    def effective(cls, height: int, width: int, *, k_size: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return reachable(height, k_size), reachable(width, k_size)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv1(self.conv0(x))
