"""Messages for errors of Ultralytics' parser: the row of a model YAML that it cannot build, and the reason."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from nas_attn.detector.model import community_names
from nas_attn.detector.model.model_yaml import is_layer
from nas_attn.detector.model.rows import PREFIX, rows_of
from nas_attn.environment import shell_word
from nas_attn.errors import UserError

PARSER, FORWARD = "parse_model", "_predict_once"  # functions of `ultralytics.nn.tasks` that loop over the rows
_CHANNELS = re.compile(r"to have (\d+) channels, but got (\d+) channels")


def build_refusal(error: Exception, model_yaml: Mapping[str, Any], where: str) -> UserError:
    """The `UserError` for an error that Ultralytics raised while it built a model.

    Ultralytics' messages name no row, so the row is read from the frames of the traceback.

    Args:
        error: Ultralytics' error, with its traceback.
        model_yaml: the model dictionary.
        where: the file, or the name of the model.
    """
    refusal = _refusal(error, model_yaml, where)
    if Path(where).suffix in (".yaml", ".yml") and _is_article(rows_of(model_yaml)):
        refusal.remedy = (
            "It names attention modules as articles do: write a model YAML that builds with "
            f"`python -m nas_attn adopt {shell_word(where)}`."
        )
    return refusal


def _refusal(error: Exception, model_yaml: Mapping[str, Any], where: str) -> UserError:
    rows = rows_of(model_yaml)
    phase, number, read = _place(error.__traceback__)
    reason = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(", but expected one of:").rstrip(".")
    rule = "a model YAML must be one that Ultralytics builds"
    if not 0 <= number < len(rows):
        return UserError(rule, got=reason, where=where)
    row = rows[number]
    where = f"{where}, row {number} [{', '.join(map(str, row))}]"
    if phase == PARSER and _is_unknown(error, str(row[2])):
        return _unknown(str(row[2]), where)
    remedy = "Rows are counted from 0, those of `backbone` first."
    channels = _CHANNELS.search(str(error))
    made, given = map(int, channels.groups()) if channels else (_own_channels(row), read)
    if made and given and made != given:
        got = f"a row for {made} channels, while its input has {given}"
        return UserError("a row must be made for the channels of its input", got=got, where=where, remedy=remedy)
    return UserError(rule, got=reason, where=where, remedy=remedy)


def _is_article(rows: Iterable[Sequence[Any]]) -> bool:
    """True if a row names a module of the registry in a form that this package does not write."""
    known = community_names.parser_names()
    found = [community_names.lookup(str(row[2]), known) for row in rows if not str(row[2]).startswith(PREFIX)]
    return any(named and named.module for named in found)


def _own_channels(row: Sequence[Any]) -> int:
    """The channels that a row of this package is built for, which is its first number; 0 for any other row."""
    numbers = (value for value in row[3] if isinstance(value, int))
    return next(numbers, 0) if str(row[2]).startswith(PREFIX) else 0


def _place(trace: TracebackType | None) -> tuple[str, int, int]:
    """(function, row, channels that the row reads) of the failure; -1 and 0 if the traceback does not show them."""
    found = "", -1, 0
    for frame, _ in traceback.walk_tb(trace):
        name, known = frame.f_code.co_name, frame.f_locals
        if name == PARSER and isinstance(known.get("i"), int):
            found = name, known["i"], 0
        elif name == FORWARD and isinstance(getattr(known.get("m"), "i", None), int):
            shape: Any = getattr(known.get("x"), "shape", ())
            found = name, known["m"].i, shape[1] if len(shape) == 4 else 0
    return found


def _is_unknown(error: Exception, name: str) -> bool:
    return (isinstance(error, KeyError) and error.args == (name,)) or (
        isinstance(error, AttributeError) and name.startswith(("nn.", "torchvision.ops."))
        and name.rpartition(".")[2] in str(error)
    )  # fmt: skip


def _unknown(name: str, where: str) -> UserError:
    """The error for a module that the parser does not know. It suggests the nearest name: a list would be too long."""
    import difflib

    from torch import nn
    from ultralytics.nn import tasks

    prefix = "nn." if name.startswith("nn.") else ""
    space = vars(nn) if prefix else vars(tasks)
    layers = [f"{prefix}{k}" for k, v in space.items() if is_layer(v)]
    close = difflib.get_close_matches(name, layers, 1)
    remedy = (f"Did you mean '{close[0]}'? " if close else "") + (
        "Known are the layers of Ultralytics, those of torch as nn.NAME, and those of `python -m nas_attn modules`."
    )
    return UserError("a row's module must be one that Ultralytics builds", got=f"'{name}'", where=where, remedy=remedy)
