"""In what precision our own autograd functions work."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def workable(x: Tensor) -> Tensor:
    """CPUs multiply matrices in float32 and float64; half precision there would be slow and lose digits."""
    return x.float() if x.device.type == "cpu" and x.dtype in (torch.half, torch.bfloat16) else x


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Inside, no operator changes its precision: the callers above have chosen it."""
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()
