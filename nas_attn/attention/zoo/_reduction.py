"""What bottlenecks share: how far a reduction may narrow a map's channels."""

from __future__ import annotations


def too_narrow(name: str, reduction: int, channels: int, least: int = 1) -> str | None:
    """Why `channels // reduction` channels are fewer than `least`; None where they are not.

    Published code lifts a narrower bottleneck to a floor, under which different reductions are one network.
    """
    if channels // reduction >= least:
        return None
    return f"`{name}` must divide the channels into at least {least}, but got {reduction} and {channels}"
