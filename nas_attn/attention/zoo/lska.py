"""LSKA: large-kernel attention from separable depthwise convolutions.

Paper: Large Separable Kernel Attention: Rethinking the Large Kernel Attention Design in CNN (arXiv:2309.01439).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._large_kernel import K_SIZES, decompose, decomposed_reach, depthwise
from nas_attn.attention.zoo._published import PublishedNames


@attention(
    "lska",
    family="large kernel",
    paper="Large Separable Kernel Attention, 2309.01439",
    licence="own code from the paper; published code: Apache-2.0",
    weights="load as in github.com/StevenLauHKHK/Large-Separable-Kernel-Attention",
)
class LSKA(PublishedNames):
    """`x · conv1(a)`; a results from four depthwise convolutions of x: 1×k1, k1×1, dilated 1×k2, dilated k2×1.

    All convolutions have a bias. Parameters: C(2·k1 + 2·k2 + 4) + C² + C.

    Args:
        dim: C, channels of the map.
        k_size: pixels that the kernels of one axis span together.
    Raises:
        UserError: the papers give no split for `k_size`.
    """

    published = (  # in the paper's code for detection and segmentation; its classifiers use our names
        ("DW_conv_h.", "conv0h."),
        ("DW_conv_v.", "conv0v."),
        ("DW_D_conv_h.", "conv_spatial_h."),
        ("DW_D_conv_v.", "conv_spatial_v."),
    )

    def __init__(self, dim: int, k_size: Annotated[int, Choice(*K_SIZES, default=11)]) -> None:
        super().__init__()
        k1, k2, dilation = decompose(k_size)
        self.conv0h = depthwise(dim, (1, k1))
        self.conv0v = depthwise(dim, (k1, 1))
        self.conv_spatial_h = depthwise(dim, (1, k2), dilation)
        self.conv_spatial_v = depthwise(dim, (k2, 1), dilation)
        self.conv1 = nn.Conv2d(dim, dim, 1)

    @classmethod
    def effective(cls, height: int, width: int, *, k_size: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        return decomposed_reach(k_size, height, width)

    def forward(self, x: Tensor) -> Tensor:
        attention_map = self.conv0v(self.conv0h(x))
        attention_map = self.conv_spatial_v(self.conv_spatial_h(attention_map))
        return x * self.conv1(attention_map)
