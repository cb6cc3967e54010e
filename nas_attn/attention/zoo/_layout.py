"""The memory format of maps. A module returns the format of its input; otherwise the next layers would copy the map."""

from __future__ import annotations

import torch
from torch import Tensor


def channels_last(x: Tensor) -> bool:
    """True if the map is channels_last but not contiguous; a map of one pixel is both."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def laid_as(y: Tensor, like: Tensor) -> Tensor:
    """`y` in the memory format of `like`; it is copied only if it has another format."""
    return y.contiguous(memory_format=torch.channels_last if channels_last(like) else torch.contiguous_format)
