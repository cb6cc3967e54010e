"""The error for a community's file that cannot be read as YAML, with its remedy."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from nas_attn.errors import UserError

FULL_WIDTH = {"\uff0c": ",", "\uff1a": ":", "\uff3b": "[", "\uff3d": "]", "\u3010": "[", "\u3011": "]", "\u3001": ",",
              "\uff0d": "-", "\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\u3000": " "}  # fmt: skip


def unreadable(error: yaml.MarkedYAMLError, text: str, where: str) -> UserError:
    """The error for a file that YAML cannot read: line and column, counted from 1, and a remedy.

    Args:
        error: the error of the YAML reader.
        text: content of the file.
        where: the file.
    """
    lines = text.splitlines()
    marks = [m for m in (error.problem_mark, error.context_mark) if m is not None]
    place = f", line {marks[0].line + 1}, column {marks[0].column + 1}" if marks else ""
    near = [lines[m.line] for m in marks if m.line < len(lines)]
    if any("\t" in _code(line) for line in near):
        remedy = "Replace tabs by spaces: YAML allows no tab at the start of a line."
    else:
        remedy = full_width(near) or "Compare the line with its neighbours: brackets, commas, and the space after `-`."
    return UserError("a model YAML must be readable as YAML", got=error.problem, where=f"{where}{place}", remedy=remedy)


def full_width(lines: Sequence[str]) -> str:
    """The remedy for full-width punctuation outside comments; empty if there is none."""
    found = dict.fromkeys(c for line in lines for c in _code(line) if c in FULL_WIDTH)
    return f"Replace the full-width {', '.join(f'{c!r} by {FULL_WIDTH[c]!r}' for c in found)}." if found else ""


def _code(line: str) -> str:
    """A line without its comment."""
    return line.partition("#")[0]
