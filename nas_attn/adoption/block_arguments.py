"""The check of a block's arguments against the parameters of Ultralytics' block, for blocks with attention inside."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from nas_attn.errors import UserError

_KINDS = {"bool": (bool,), "int": (int,), "float": (int, float)}
_LITERALS = {"True": True, "False": False}


def is_map_size(value: object) -> bool:
    """True if an argument is a [height, width] of a map, which classes with a table for one map size take."""
    return isinstance(value, list | tuple) and len(value) == 2 and all(_is(v, "int") and v > 0 for v in value)


def without_map_size(block: str, arguments: Sequence[Any], where: str) -> tuple[list[Any], list[list[int]]]:
    """(the arguments of the block itself, the map sizes among the arguments).

    Args:
        block: name of Ultralytics' block.
        arguments: the arguments in the row.
        where: the row, for the message.

    Raises:
        UserError: the block does not take these arguments.
    """
    sizes = [a for a in arguments if is_map_size(a)]
    rest = [a for a in arguments if not is_map_size(a)]
    parameters = _parameters(block)
    described = ", ".join(f"{n}: {k}" if k else n for n, k in parameters)
    rule = f"the arguments of a {block} must be [{described}]"
    if not rest:
        raise UserError(rule, got=f"none for `{parameters[0][0]}`", where=where)
    for (name, kind), value in zip(parameters, rest, strict=False):
        if kind and not _is(value, kind):
            raise UserError(rule, got=f"{value!r} for `{name}`", where=where)
    if len(rest) > len(parameters):
        raise UserError(rule, got=f"{rest[len(parameters)]!r}, one argument too many", where=where)
    return rest, sizes


def _is(value: object, kind: str) -> bool:
    value = _LITERALS.get(value, value) if isinstance(value, str) else value
    return isinstance(value, _KINDS[kind]) and (kind == "bool" or not isinstance(value, bool))


def _parameters(block: str) -> list[tuple[str, str]]:
    """(name, kind) for each argument that a row gives; the parser itself adds the input channels and the repeats."""
    from ultralytics.nn import tasks

    found = list(inspect.signature(getattr(tasks, block)).parameters.values())[1:]
    if len(found) > 1 and found[1].name == "n":
        del found[1]
    return [(p.name, _kind(p)) for p in found]


def _kind(parameter: inspect.Parameter) -> str:
    """The kind of a parameter by its annotation, else by its default: `bool`, `int` or `float`; empty for any other."""
    stated = getattr(parameter.annotation, "__name__", parameter.annotation)
    for kind in (stated, type(parameter.default).__name__):
        if kind in _KINDS:
            return str(kind)
    return ""
