"""The two forms in which a module can run: `reference`, which defines its cost, and `fast`, which is the default.

A module with two forms has the methods `reference(x)` and `fast(x)`, with equal outputs, gradients and `state_dict`.
Its `forward` calls `fast_wanted(self)`. If a graph is recorded (tracing, export, compiling), the reference form runs:
it uses ordinary operators, so the graph is valid for other sizes and in other runtimes. Fast forms have first
derivatives only. If activation checkpointing (`torch.utils.checkpoint`) runs its forward pass inside
`reference_form()`, it must run its backward pass inside it too: the backward pass computes again, in the form that is
set at that time.
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
    """A context in which every module runs its reference form."""
    token = _REFERENCE.set(True)
    try:
        yield
    finally:
        _REFERENCE.reset(token)


def fast_wanted(module: nn.Module | None = None) -> bool:
    """True if a module with two forms should run the fast one now.

    Args:
        module: the module itself. If a hook is registered on one of its parts, or globally, the module must run the
            reference form, so that every hook is called with the maps that it expects. None: the fast form skips no
            part, so hooks do not matter.
    """
    if recording() or _REFERENCE.get():
        return False
    return module is None or not (_global_hook() or _hook_on_a_part(module))


def recording() -> bool:
    """True if this forward pass is recorded as a graph: by `torch.compile`, `torch.export`, tracing or ONNX export."""
    return bool(torch.compiler.is_compiling() or torch.jit.is_tracing())


def as_built(cls: type[nn.Module], *parts: nn.Module) -> bool:
    """True if all parts still have exactly this class and its `forward`.

    A fast form reads the weights of its parts and does not call them. So it would skip a part that was replaced by a
    low-rank adapter, a parametrised layer or a quantised layer.
    """
    return all(type(part) is cls and "forward" not in vars(part) for part in parts)


def _global_hook() -> bool:
    t = nn.modules.module
    return bool(
        t._global_forward_hooks
        or t._global_forward_pre_hooks
        or t._global_backward_hooks
        or t._global_backward_pre_hooks
    )


def _hook_on_a_part(module: nn.Module) -> bool:
    """True if a part of `module`, at any depth, has a hook. Hooks of the module itself are called in every form."""
    parts = list(module._modules.values())
    for part in parts:  # the list grows in the loop; `module.modules()` would take several times as long in every step
        if part is None:
            continue
        if part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks:
            return True
        if part._modules:
            parts += part._modules.values()
    return False


def refuse_second_derivatives() -> None:
    """Refuse second derivatives. A fast form calls this function in its backward pass.

    Raises:
        RuntimeError: autograd is recording the backward pass.
    """
    if torch.is_grad_enabled():
        raise RuntimeError("fast forms have first derivatives only; use nas_attn.attention.forms.reference_form()")
