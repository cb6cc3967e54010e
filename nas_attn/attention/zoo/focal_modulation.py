"""Focal modulation: a query times a context that is gathered from several depthwise convolutions, gated per pixel.

Paper: Focal Modulation Networks (arXiv:2203.11926).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention
from nas_attn.attention.zoo._constraints import must_be_odd, reachable
from nas_attn.attention.zoo._depthwise import DepthwiseConv2d
from nas_attn.attention.zoo._published import PublishedNames

FACTOR = 2  # by which a kernel is larger than the one before


@attention(
    "focal_modulation",
    family="attention+convolution",
    paper="Focal Modulation Networks, 2203.11926",
    licence="own code from the paper; published code: MIT",
    weights="load as in github.com/microsoft/FocalNet, from layers without normalisation of the modulator",
)
class FocalModulation(PublishedNames):
    r"""`proj(q ⊙ h(Σ_{l=1}^{L} g_l ⊙ z_l + g_{L+1} ⊙ gelu(mean(z_L))))` with [q; z_0; g] from one 1×1 convolution.

    z_l = gelu(depthwise_l(z_{l−1})), with a kernel of focal_window + 2·(l − 1) pixels and no bias. q and z have C
    channels, each gate g_l has one. `h` and `proj` are 1×1 convolutions; all three have a bias. There is no softmax, so
    the cost grows linearly with H·W. The published linear layers are 1×1 convolutions here. The published options to
    divide the sum by L + 1, and to normalise before `proj`, are left out; they are off in YOLO ports.

    Parameters, L levels of k_l pixels: (C + 1)·(2·C + L + 1) + Σ k_l²·C + 2·(C² + C).

    Args:
        dim: C, channels of the map.
        focal_window: side of the first kernel in pixels; odd. 3 or 5 in most published networks.
        focal_level: L, number of kernels; 2 or 3 in most published networks.
        focal_factor: pixels by which each kernel is larger than the one before; even.
    Raises:
        UserError: a kernel has an even side.
    """

    published = (("f.", "f_linear."),)  # Ultralytics' parser sets an attribute `f` on every layer

    def __init__(
        self,
        dim: int,
        focal_window: Annotated[int, Choice(3, 5, 7, 9)] = 3,
        focal_level: Annotated[int, Choice(1, 2, 3)] = 2,
        focal_factor: int = FACTOR,
    ) -> None:
        super().__init__()
        kernels = [focal_window + focal_factor * level for level in range(focal_level)]
        must_be_odd("focal_window", *kernels)
        self.f_linear = nn.Conv2d(dim, 2 * dim + focal_level + 1, 1)
        self.focal_layers = nn.ModuleList(
            nn.Sequential(DepthwiseConv2d(dim, kernel, bias=False), nn.GELU()) for kernel in kernels
        )
        self.h = nn.Conv2d(dim, dim, 1)
        self.proj = nn.Conv2d(dim, dim, 1)

    @classmethod
    def effective(cls, height: int, width: int, *, focal_window: int, focal_level: int) -> Hashable:
        """Equal keys for equal functions: only taps that can meet data count."""
        kernels = (focal_window + FACTOR * level for level in range(focal_level))
        return tuple((reachable(height, kernel), reachable(width, kernel)) for kernel in kernels)

    @classmethod
    def extra_macs(cls, channels: int, height: int, width: int, *, focal_window: int, focal_level: int) -> int:
        """Multiply-accumulates of the gated sum of the contexts."""
        return (focal_level + 1) * channels * height * width

    def forward(self, x: Tensor) -> Tensor:
        levels = len(self.focal_layers)
        query, context, gates = self.f_linear(x).split([x.shape[1], x.shape[1], levels + 1], 1)
        parts = []
        for level, layer in enumerate(self.focal_layers):
            context = layer(context)
            parts.append(context * gates[:, level : level + 1])
        whole = functional.gelu(context.mean((2, 3), keepdim=True))
        total = parts[0]
        for part in (*parts[1:], whole * gates[:, levels:]):
            total = total + part
        return self.proj(query * self.h(total))
