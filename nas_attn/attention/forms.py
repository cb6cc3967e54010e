"""The two forms in which a module may run: `reference`, which defines its cost, and `fast`, which is the default.

A module with two forms has methods `reference(x)` and `fast(x)` of equal outputs, gradients and `state_dict`, and its
`forward` asks `fast_wanted(self)`. If a graph is recorded (tracing, export, compiling), the reference form runs: it is
made of ordinary operators and sizes, so that the graph holds for other sizes and in other runtimes. Fast forms have
first derivatives only. A step of checkpointing (`torch.utils.checkpoint`) that began inside `reference_form()` has to
end inside it, because it computes again in the form that is set when it ends.
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
        module: the module itself. If a hook of any kind hangs on one of its parts, or globally, it runs the reference
            form, so that every hook is called, with the maps that it expects. None: no part of it is skipped, so
            hooks do not matter.
    """
    if recording() or _REFERENCE.get():
        return False
    return module is None or not (_global_hook() or _hook_on_a_part(module))


def recording() -> bool:
    """True if this forward pass is recorded as a graph: by `torch.compile`, `torch.export`, tracing or ONNX export."""
    return bool(torch.compiler.is_compiling() or torch.jit.is_tracing())


def as_built(cls: type[nn.Module], *parts: nn.Module) -> bool:
    """True if these parts are still of exactly this class, with the `forward` of the class.

    A fast form reads the weights of its parts and does not call them. A part that was replaced (by a low-rank adapter,
    a parametrised or a quantised layer) would be skipped.
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
    """True if a hook hangs on a part of `module`, at any depth. The module's own hooks are called in every form."""
    parts = list(module._modules.values())
    for part in parts:  # the list grows; `module.modules()` would take several times as long, in every step
        if part is None:
            continue
        if part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks:
            return True
        if part._modules:
            parts += part._modules.values()
    return False


def refuse_second_derivatives() -> None:
    """Refuse second derivatives; to be called in the backward pass of a fast form.

    Raises:
        RuntimeError: a graph of the backward pass is being built.
    """
    if torch.is_grad_enabled():
        raise RuntimeError("fast forms have first derivatives only; use nas_attn.attention.forms.reference_form()")
