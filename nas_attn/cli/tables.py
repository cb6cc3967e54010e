"""The console for results: tables and sentences on stdout."""

from __future__ import annotations

import sys

from rich.console import Console

PIPE_WIDTH = 160  # characters, if stdout is no terminal


def stdout() -> Console:
    """The console that prints results."""
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
