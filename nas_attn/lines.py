"""Sentences for people: numbers with their nouns, and lines that break between words."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TextIO


def many(number: int, noun: str) -> str:
    """A number with its noun: `1 epoch`, `2,000 images`, `2 boxes`."""
    plural = noun + ("es" if noun.endswith("x") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def wrapped(line: str, width: int) -> str:
    """The line, broken into lines of at most `width` characters. All but the first are indented below its text."""
    lead = len(line) - len(line.lstrip(" -"))
    wrapper = textwrap.TextWrapper(max(40, width), break_long_words=False, break_on_hyphens=False)
    wrapper.subsequent_indent = " " * (lead if "-" in line[:lead] else lead + 2)
    return wrapper.fill(line)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print sentences: wrapped in a terminal, line by line as they are in a file or a pipe.

    Args:
        text: one or several lines.
        stream: where to; None: stdout.
    """
    stream = stream or sys.stdout
    if stream.isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(wrapped(line, width) for line in text.split("\n"))
    print(text, file=stream)
