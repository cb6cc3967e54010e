"""The types of the arguments in an attention row: text is read as literals, and wrong types are refused."""

from __future__ import annotations

import ast
import collections.abc
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from nas_attn.errors import UserError


def literal(value: Any) -> Any:
    """An argument as Ultralytics' parser reads it: a Python literal in a text becomes its value, a list a tuple."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return value
    return tuple(value) if isinstance(value, list) else value


def check_types(name: str, parameters: Mapping[str, inspect.Parameter], values: Sequence[Any], where: str) -> None:
    """Refuse an argument of a wrong type, or one too many that is no number; without an annotation, any type is right.

    Args:
        name: the module, for the message.
        parameters: the parameters of its constructor, without channels.
        values: the arguments of the row, in the order of the parameters; the last ones may be missing.
        where: the row, for the message.

    Raises:
        UserError: the message names the first wrong argument.
    """
    described = ", ".join(f"{n}: {_shown(p.annotation)}".removesuffix(": ") for n, p in parameters.items())
    rule = f"the arguments of {name}, after the channels, must be [{described}]"
    for (parameter, p), value in zip(parameters.items(), values, strict=False):
        if not _is(value, p.annotation):
            shown = list(value) if isinstance(value, tuple) else value
            raise UserError(rule, got=f"{shown!r} for `{parameter}`", where=where)
    if wrong := [v for v in values[len(parameters) :] if isinstance(v, str | dict | bool)]:
        raise UserError(rule, got=f"{wrong[0]!r}, one argument too many", where=where)


def _parts(annotation: Any) -> list[Any]:
    """The alternatives of a union of types; for any other type, the type itself."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [part for one in typing.get_args(annotation) for part in _parts(one)]
    return [annotation]


def _is(value: Any, annotation: Any) -> bool:
    return any(_is_one(value, part) for part in _parts(annotation))


def _is_one(value: Any, kind: Any) -> bool:
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if kind in (bool, str, type(None)):
        return isinstance(value, kind)
    if _is_list(kind):
        inner = next((a for a in typing.get_args(kind) if a is not Ellipsis), Any)
        return isinstance(value, list | tuple) and all(_is(v, inner) for v in value)
    return True


def _is_list(kind: Any) -> bool:
    return (typing.get_origin(kind) or kind) in (tuple, list, collections.abc.Sequence)


def _shown(annotation: Any) -> str:
    """A type in words; empty if it is not checked."""
    found = []
    for kind in _parts(annotation):
        inner = [_shown(a) for a in typing.get_args(kind) if a is not Ellipsis]
        if kind in (int, float, bool, str):
            found.append(kind.__name__)
        elif _is_list(kind):
            found.append(f"list of {inner[0]}" if inner and inner[0] else "list")
        elif kind is type(None):
            found.append("None")
    return " or ".join(found)
