"""Training arguments of Ultralytics: read as its command line reads them, and checked by its own rules."""

from __future__ import annotations

import ast
from typing import Any

from nas_attn.errors import UserError


def taken_by_ultralytics(name: str, value: Any, shown: object = None) -> Any:
    """The value of a training argument, checked by Ultralytics' own rules of types and ranges.

    Args:
        name: an argument that Ultralytics has.
        value: its value.
        shown: the value as the user wrote it, for the message; None for `value`.

    Raises:
        UserError: Ultralytics refuses the value.
    """
    from ultralytics.cfg import check_cfg

    one = {name: value}
    try:
        check_cfg(one)
    except (TypeError, ValueError) as error:
        rule = "a training argument must be one that Ultralytics takes"
        where = f"{name}={value if shown is None else shown}"
        raise UserError(rule, got=str(error).rstrip("."), where=where) from None
    return one[name]


def read_value(text: str) -> Any:
    """The value that Ultralytics' command line would read from the text."""
    named = {"none": None, "true": True, "false": False}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return text
