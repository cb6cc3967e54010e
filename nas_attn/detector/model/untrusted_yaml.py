"""What keeps a stranger's model YAML from running code: Ultralytics' parser evaluates its `activation` as Python, and
calls whatever its rows name.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from typing import Any

from nas_attn.errors import UserError

_OPS = "torchvision.ops."


def check_activation(activation: Any, where: str) -> None:
    """Refuse an activation that is anything but a layer of torch with literal arguments; nothing is evaluated.

    Raises:
        UserError: it is.
    """
    if activation is not None and not (isinstance(activation, str) and _is_layer_call(activation.strip())):
        raise UserError(
            "`activation` must be a layer of torch.nn with plain numbers as arguments",
            got=repr(activation)[:200],
            where=where,
            remedy="Write for example nn.SiLU() or torch.nn.LeakyReLU(0.1); Ultralytics would run anything else as "
            "Python code.",
        )


def check_module(name: str, where: str) -> None:
    """Refuse a row's module that the parser would find, but that is no layer; unknown names are left to others.

    Raises:
        UserError: it is a function, a whole model, or no class.
    """
    from ultralytics.nn import tasks

    found = _found(name, tasks)
    if found is None:
        return
    if not _is_layer(found) or found.__module__ == tasks.__name__:  # a whole model's constructor reads another YAML
        raise UserError(
            "a row's module must be a layer",
            got=f"'{name}', which is something else in Ultralytics or torch",
            where=where,
            remedy="Name a layer of Ultralytics, one of torch as nn.NAME, or one of `python -m nas_attn modules`.",
        )


def _found(name: str, tasks: Any) -> Any:
    """What Ultralytics' parser takes for a row's module; None where it finds nothing."""
    from torch import nn

    if name.startswith("nn."):
        return getattr(nn, name[len("nn.") :], None)
    if name.startswith(_OPS):
        import torchvision

        return getattr(torchvision.ops, name[len(_OPS) :], None)
    return vars(tasks).get(name)


def _is_layer(found: Any) -> bool:
    from torch import nn

    return inspect.isclass(found) and issubclass(found, nn.Module)


def _is_layer_call(text: str) -> bool:
    from torch import nn

    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return False
    space = ast.unparse(call.func.value)
    values: Sequence[ast.expr] = [*call.args, *(keyword.value for keyword in call.keywords)]
    return (
        space in ("nn", "torch.nn")
        and _is_layer(getattr(nn, call.func.attr, None))
        and all(keyword.arg for keyword in call.keywords)
        and all(map(_is_literal, values))
    )


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return False
    return True
