"""In which memory format a map lies: a module answers in its input's, or its neighbours pay for copies."""

from __future__ import annotations

import torch
from torch import Tensor


def channels_last(x: Tensor) -> bool:
    """Whether the map lies channels_last, and not the ordinary way as well, as a map of one pixel does."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def laid_as(y: Tensor, like: Tensor) -> Tensor:
    """`y`, channels_last where `like` is and contiguous elsewhere; copied only where it lies otherwise."""
    return y.contiguous(memory_format=torch.channels_last if channels_last(like) else torch.contiguous_format)
