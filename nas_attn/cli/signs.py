"""Signs that an output's encoding lacks, such as a Δ in a file on an English Windows: others stand in their place."""

from __future__ import annotations

import codecs
import sys

NAME = "nas_attn"  # of the way to handle them, for Python's codecs
NEAREST = {"Δ": "d", "×": "x", "·": "*", "±": "+-", "−": "-", "–": "-", "…": "...", "√": "sqrt", "γ": "gamma"}


def print_any_sign() -> None:
    """Let stdout and stderr take every text; a choice of the user's own, such as `ascii:ignore`, stays."""
    codecs.register_error(NAME, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if stream.errors in ("strict", "surrogateescape", "backslashreplace"):
            stream.reconfigure(errors=NAME)  # type: ignore[union-attr]


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The nearest signs in ASCII, or the numbers of those that cannot be encoded."""
    assert isinstance(error, UnicodeEncodeError)
    wrong = error.object[error.start : error.end]
    return "".join(NEAREST.get(c) or c.encode("ascii", "backslashreplace").decode() for c in wrong), error.end
