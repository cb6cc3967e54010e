"""In what precision a module works inside."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def workable(x: Tensor) -> Tensor:
    """CPUs multiply matrices in float32 and float64; half precision there would be slow and lose digits."""
    return x.float() if x.device.type == "cpu" and x.dtype in (torch.half, torch.bfloat16) else x


def at_least_single(x: Tensor) -> Tensor:
    """`x` in float32 where it is in less: for sums that half precision would overflow or round away."""
    return x if x.dtype == torch.float64 else x.float()


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Inside, no operator changes its precision: the module has chosen it."""
    # older torch.compile cannot look the device up; what it compiles runs on one that has autocast
    known = torch.compiler.is_compiling() or torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()
