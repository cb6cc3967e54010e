"""The memory format of maps: a module answers in the format of its input, or its neighbours pay for copies."""

from __future__ import annotations

import torch
from torch import Tensor


def channels_last(x: Tensor) -> bool:
    """True if the map is channels_last and not contiguous as well, as a map of one pixel is."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def laid_as(y: Tensor, like: Tensor) -> Tensor:
    """`y`, channels_last if `like` is, else contiguous; copied only if it has the other format."""
    return y.contiguous(memory_format=torch.channels_last if channels_last(like) else torch.contiguous_format)
