"""Which form of its mathematics a module runs: `reference`, which defines its cost, or `fast`, which is the default.

A module with two forms has methods `reference(x)` and `fast(x)` of equal outputs, gradients and `state_dict`, and its
`forward` asks `fast_wanted()`. Where a graph is recorded (tracing, export, compiling) the reference form runs: it is
made of ordinary operators and sizes, so that the graph holds for other sizes and in other runtimes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_REFERENCE: ContextVar[bool] = ContextVar("nas_attn_reference_form", default=False)


@contextmanager
def reference_form() -> Iterator[None]:
    """Inside, every module runs its reference form."""
    token = _REFERENCE.set(True)
    try:
        yield
    finally:
        _REFERENCE.reset(token)


def fast_wanted() -> bool:
    """Whether a module with two forms should run the fast one now."""
    if recording():
        return False
    return not _REFERENCE.get()


def recording() -> bool:
    """Whether the operators of this forward pass become a graph: `torch.compile`, `torch.export`, tracing, ONNX."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()
