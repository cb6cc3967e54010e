"""Checks of a model YAML before it is built: its form is right, and building it runs no foreign code.

Ultralytics' parser evaluates `activation` as Python and calls any object that a row names. Therefore an activation must
be a layer of torch with literal arguments, and a row must name a layer.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from nas_attn.errors import UserError
from nas_attn.safe_yaml import parse_yaml
from nas_attn.tasks import HEADS

FACTORS = ("depth_multiple", "width_multiple")
_OPS = "torchvision.ops."


def check_detector(source: Any, where: str) -> None:
    """Refuse a model dictionary that does not describe a detector.

    Args:
        source: content of a YAML file or checkpoint.
        where: name of the file or model, for messages.

    Raises:
        UserError: a rule is broken; the message names the first broken one.
    """
    if not isinstance(source, dict) or any(source.get(k) in (None, []) for k in ("nc", "backbone", "head")):
        raise UserError("a model YAML must have `nc`, `backbone` and `head`", where=where)
    if other := [k for k in source if not isinstance(k, str)]:
        raise UserError("a model YAML's keys must be text", got=other[0], where=where)
    if not _is_int(source["nc"]) or source["nc"] < 1:
        raise UserError("`nc` must be a whole number of at least 1", got=repr(source["nc"]), where=where)
    for part in ("backbone", "head"):
        if not isinstance(source[part], list):
            raise UserError(f"`{part}` must be a list of rows", got=repr(source[part]), where=where)
    _check_activation(source.get("activation"), where)
    for number, row in enumerate((*source["backbone"], *source["head"])):
        here = f"{where}, row {number} of `backbone` and `head`, counted from 0"
        if not _is_row(row):
            raise UserError("a row must read [from, repeats, module, arguments]", got=row, where=here)
        _check_module(row[2], here)
    for factor in FACTORS:
        if not _is_number(source.get(factor, 1.0)):
            raise UserError(f"`{factor}` must be a number", got=repr(source[factor]), where=where)
    scales = source.get("scales") or {}
    if not isinstance(scales, dict) or not all(
        isinstance(k, str) and isinstance(v, list | tuple) and len(v) == 3 and all(map(_is_number, v))
        for k, v in scales.items()
    ):
        raise UserError("`scales` must map letters to [depth, width, largest channel count]", got=scales, where=where)
    head = source["head"][-1][2]
    if head not in HEADS:
        raise UserError(f"a base model must end in one of {', '.join(HEADS)}", got=f"'{head}'", where=where)


def _is_row(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 4:
        return False
    sources = row[0] if isinstance(row[0], list) else [row[0]]
    numbers = bool(sources) and all(map(_is_int, (*sources, row[1])))
    return numbers and isinstance(row[2], str) and isinstance(row[3], list)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_activation(activation: Any, where: str) -> None:
    """Refuse an activation that is not a layer of torch with literal arguments; the text is never evaluated."""
    if activation is not None and not (isinstance(activation, str) and _is_layer_call(activation.strip())):
        raise UserError(
            "`activation` must be a layer of torch.nn with plain numbers as arguments",
            got=repr(activation)[:200],
            where=where,
            remedy="Write for example nn.SiLU() or torch.nn.LeakyReLU(0.1). Ultralytics would run any other text as "
            "Python code.",
        )


def _check_module(name: str, where: str) -> None:
    """Refuse the module of a row if the parser would find a function or a whole model under its name.

    A name that the parser does not know passes this check: `build_errors` explains it later.
    """
    from ultralytics.nn import tasks

    found = _found(name, tasks)
    if found is None:
        return
    if not is_layer(found) or found.__module__ == tasks.__name__:  # a whole model's constructor reads another YAML
        raise UserError(
            "a row's module must be a layer",
            got=f"'{name}', which is no layer in Ultralytics or torch",
            where=where,
            remedy="Name a layer of Ultralytics, one of torch as nn.NAME, or one of `python -m nas_attn modules`.",
        )


def _found(name: str, tasks: Any) -> Any:
    """The object that Ultralytics' parser finds for the module of a row; None if it finds nothing."""
    from torch import nn

    if name.startswith("nn."):
        return getattr(nn, name[len("nn.") :], None)
    if name.startswith(_OPS):
        import torchvision

        return getattr(torchvision.ops, name[len(_OPS) :], None)
    return vars(tasks).get(name)


def is_layer(found: Any) -> bool:
    """True for a subclass of `nn.Module`, which may also be a whole model."""
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
        and is_layer(getattr(nn, call.func.attr, None))
        and all(keyword.arg for keyword in call.keywords)
        and all(map(_is_literal, values))
    )


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, MemoryError, RecursionError):
        return False
    return True


def built_repeats(written: int, depth: float) -> int:
    """Number of modules that Ultralytics builds for a row.

    Args:
        written: the row's repeats.
        depth: depth factor of the scale.
    """
    return max(round(written * depth), 1) if written > 1 else 1


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        UserError: the file cannot be read, or is no YAML.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8", errors="ignore"))
    except (yaml.YAMLError, OSError) as error:
        raise UserError("a model YAML must be readable as YAML", got=str(error), where=str(path)) from error
