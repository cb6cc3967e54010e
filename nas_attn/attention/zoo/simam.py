"""SimAM: a gate for every value of the map, from its distance to the channel's mean; no parameters.

Paper: SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural Networks (ICML 2021).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated

from torch import Tensor, nn

from nas_attn.attention.choice import Choice
from nas_attn.attention.registry import attention


@attention(
    "simam",
    family="channel+spatial",
    paper="SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural Networks, ICML 2021",
    licence="own code from the paper; no licence was found with the published code",
)
class SimAM(nn.Module):
    """`x · σ((x − μ)² / (4(v + e_lambda)) + 1/2)` with μ and v the mean and variance of a channel over the map.

    v divides by H·W − 1, as published. On a map of one pixel v is 0; the published code divides 0 by 0. The gate is
    computed in float32 and rounded once, because squares of half-precision activations overflow from 256.

    Args:
        channels: channels of the map; not used, but the first argument in the published signature.
        e_lambda: number added to the variance.
    """

    def __init__(
        self, channels: int | None = None, e_lambda: Annotated[float, Choice(0.0001, 0.001, 0.01, 0.1)] = 0.0001
    ) -> None:
        super().__init__()
        self.e_lambda = e_lambda

    @classmethod
    def effective(cls, height: int, width: int, *, e_lambda: float) -> Hashable:
        """Equal keys for equal functions: on a map of one pixel, every gate is σ(1/2)."""
        return e_lambda if height * width > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        exact = x.double() if x.dtype.itemsize == 8 else x.float()
        others = x.shape[2] * x.shape[3] - 1
        # while a graph is traced, this is a tensor, and must stay one: the graph is then valid for other sizes
        others = others.clamp(min=1) if isinstance(others, Tensor) else max(others, 1)
        squares = (exact - exact.mean((2, 3), keepdim=True)).square()
        variance = squares.sum((2, 3), keepdim=True) / others
        gate = (squares / (4 * (variance + self.e_lambda)) + 0.5).sigmoid()
        return x * gate.to(x.dtype)

    def extra_repr(self) -> str:
        return f"e_lambda={self.e_lambda:g}"
