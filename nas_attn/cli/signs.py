"""Replacements for signs that the encoding of an output lacks, such as Δ in a file on an English Windows."""

from __future__ import annotations

import codecs
import sys

NAME = "nas_attn"  # name of the error handler for Python's codecs
NEAREST = {"Δ": "d", "×": "x", "·": "*", "±": "+-", "−": "-", "–": "-", "…": "...", "√": "sqrt", "γ": "gamma"}


def print_any_sign() -> None:
    """Let stdout and stderr print any sign. An error handler that the user chose, such as `ascii:ignore`, stays."""
    codecs.register_error(NAME, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if stream.errors in ("strict", "surrogateescape", "backslashreplace"):
            stream.reconfigure(errors=NAME)  # type: ignore[union-attr]


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The nearest ASCII text for signs that cannot be encoded; escape codes for signs without one."""
    assert isinstance(error, UnicodeEncodeError)
    wrong = error.object[error.start : error.end]
    return "".join(NEAREST.get(c) or c.encode("ascii", "backslashreplace").decode() for c in wrong), error.end
