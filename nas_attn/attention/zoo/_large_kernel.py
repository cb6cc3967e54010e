"""Shared parts of the large-kernel family: one large kernel size as two smaller kernels, and depthwise convolutions."""

from __future__ import annotations

from collections.abc import Hashable

from nas_attn.attention.zoo._constraints import reachable
from nas_attn.attention.zoo._depthwise import DepthwiseConv2d
from nas_attn.errors import UserError

K_SIZES = (7, 11, 23, 35, 41, 53)


def decompose(k_size: int) -> tuple[int, int, int]:
    """(k1, k2, d): kernel k1 = 2d − 1, then kernel k2 = ⌊k/d⌋ with dilation d; together they span `k_size` pixels.

    Raises:
        UserError: the papers give no such split for this size.
    """
    if k_size not in K_SIZES:
        raise UserError(f"`k_size` must be one of {', '.join(map(str, K_SIZES))}", got=k_size)
    dilation = 2 if k_size < 23 else 3
    return 2 * dilation - 1, k_size // dilation, dilation


def decomposed_reach(k_size: int, height: int, width: int) -> Hashable:
    """For each axis, the taps of both kernels from `decompose` that can meet data on a map of this size."""
    k1, k2, dilation = decompose(k_size)
    return tuple((reachable(n, k1), reachable(n, k2, dilation)) for n in (height, width))


def depthwise(dim: int, kernel: tuple[int, int], dilation: int = 1) -> DepthwiseConv2d:
    """A depthwise convolution of `dim` channels that keeps the size of the map.

    Raises:
        UserError: the kernel is even, so it cannot keep the size.
    """
    if not all(k % 2 for k in kernel):
        raise UserError("a large kernel must have an odd size", got=max(kernel))
    return DepthwiseConv2d(dim, kernel, dilation)
