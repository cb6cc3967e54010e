"""The precision that a module uses for its inner computations."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def workable(x: Tensor) -> Tensor:
    """`x`, in float32 if it is in half precision on a CPU: half-precision matrix products are slow and lossy there."""
    return x.float() if x.device.type == "cpu" and x.dtype in (torch.half, torch.bfloat16) else x


def at_least_single(x: Tensor) -> Tensor:
    """`x` in float32 if its precision is lower: for sums that would overflow or lose digits in half precision."""
    return x if x.dtype == torch.float64 else x.float()


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """A context in which autocast is off, so that the module chooses the precision."""
    # older versions of torch.compile cannot call this function; they compile only for devices with autocast
    known = torch.compiler.is_compiling() or torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()
