"""Which form of its mathematics a module runs: `reference`, which defines its cost, or `fast`, which is the default.

A module with two forms has methods `reference(x)` and `fast(x)` of equal outputs, gradients and `state_dict`, and its
`forward` asks `fast_wanted()`. Where a graph is recorded (tracing, export, compiling) the reference form runs: it is
made of ordinary operators and sizes, so that the graph holds for other sizes and in other runtimes. Fast forms have
first derivatives only. A step of checkpointing (`torch.utils.checkpoint`) that began inside `reference_form()` has to
end inside it: what is computed again is computed in the form of that moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn

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


def untouched(*layers: nn.Module) -> bool:
    """Whether these 1×1 and other convolutions do nothing but apply their weights.

    Fast forms read weights without calling layers. What hangs on a layer (hooks of pruning, quantising and counting) or
    stands in its place (a low-rank adapter) would be passed by.
    """
    return all(type(m) is nn.Conv2d and not m._forward_hooks and not m._forward_pre_hooks for m in layers)


def refuse_second_derivatives() -> None:
    """To be called in the backward pass of a fast form.

    Raises:
        RuntimeError: a graph of the backward pass is being built.
    """
    if torch.is_grad_enabled():
        raise RuntimeError("fast forms have first derivatives only; use nas_attn.attention.forms.reference_form()")
