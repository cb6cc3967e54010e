"""What settings must fulfil, and how far they reach: the same words and the same sums for every module."""

from __future__ import annotations

from nas_attn.errors import UserError


def indivisible(channels: int, divisor: int, name: str = "num_heads") -> str | None:
    """Why a setting that is to divide the channels cannot stand on them; None where it can."""
    return None if channels % divisor == 0 else f"`{name}` must divide the channels, but got {divisor} and {channels}"


def too_narrow(name: str, reduction: int, channels: int, least: int = 1) -> str | None:
    """Why `channels // reduction` channels are fewer than `least`; None where they are not.

    Published code lifts a narrower bottleneck to a floor, under which different reductions are one network.
    """
    if channels // reduction >= least:
        return None
    return f"`{name}` must divide the channels into at least {least}, but got {reduction} and {channels}"


def must_be_odd(name: str, *sizes: int) -> None:
    """An even kernel cannot keep a map's size.

    Raises:
        UserError: one of the sizes is even, or below 1.
    """
    if any(size < 1 or size % 2 == 0 for size in sizes):
        raise UserError(f"`{name}` must be odd", got=sizes[0] if len(sizes) == 1 else list(sizes))


def reachable(size: int, kernel: int, dilation: int = 1) -> tuple[int, ...]:
    """Distances in pixels, beside 0, at which a tap meets data on an axis of `size` pixels; the others see padding."""
    return tuple(range(dilation, min(kernel // 2 * dilation, size - 1) + 1, dilation))
