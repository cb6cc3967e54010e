"""Rules for settings and the reach of kernels, shared by all modules."""

from __future__ import annotations

from nas_attn.errors import UserError


def indivisible(channels: int, divisor: int, name: str = "num_heads") -> str | None:
    """The reason to refuse a setting that must divide the channels; None if it does."""
    return None if channels % divisor == 0 else f"`{name}` must divide the channels, but got {divisor} and {channels}"


def too_narrow(name: str, reduction: int, channels: int, least: int = 1) -> str | None:
    """The reason to refuse a bottleneck of `channels // reduction` channels; None if it has at least `least` channels.

    Published code widens a narrower bottleneck to a minimum, so different reductions would give the same network.
    """
    if channels // reduction >= least:
        return None
    return f"`{name}` must divide the channels into at least {least}, but got {reduction} and {channels}"


def must_be_odd(name: str, *sizes: int) -> None:
    """Refuse even kernels, which cannot keep the size of a map.

    Raises:
        UserError: one of the sizes is even, or below 1.
    """
    if any(size < 1 or size % 2 == 0 for size in sizes):
        raise UserError(f"`{name}` must be odd", got=sizes[0] if len(sizes) == 1 else list(sizes))


def reachable(size: int, kernel: int, dilation: int = 1) -> tuple[int, ...]:
    """The distances in pixels, except 0, at which a tap can meet data on an axis of `size` pixels, and not padding."""
    return tuple(range(dilation, min(kernel // 2 * dilation, size - 1) + 1, dilation))
