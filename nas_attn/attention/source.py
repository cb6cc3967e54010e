"""The content of a Python file of a user, which holds attention modules or layers."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nas_attn.atomic_files import is_file
from nas_attn.attention import table
from nas_attn.errors import UserError

PREFIX = "nas_attn_user_"  # of the Python modules that hold the classes of such files


@dataclass(frozen=True)
class Source:
    """The content of a module file: plain data, the same on every machine.

    Attributes:
        stem: the file's name without folder and suffix.
        text: its source.
    """

    stem: str
    text: str

    @cached_property
    def digest(self) -> str:
        """16 hex digits of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def module(self) -> str:
        """Name of the Python module that holds its classes."""
        return f"{PREFIX}{re.sub(r'[^A-Za-z0-9_]', '_', self.stem)}_{self.digest}"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its modules in the registry."""
        return tuple(e.name for e in table.present() if e.cls.__module__ == self.module)

    def __hash__(self) -> int:
        return hash((self.stem, self.text))


def read(path: Path) -> Source:
    """The content of a Python file.

    Raises:
        UserError: the file is not a Python file, or cannot be read.
    """
    if path.suffix != ".py" or not is_file(path):
        rule = "a file of modules or layers must be an existing Python file (.py)"
        remedy = "Give its path, relative to the file that names it or, on the command line, to the current folder."
        raise UserError(rule, got=f"'{path}'", remedy=remedy)
    try:
        return Source(path.stem, importlib.util.decode_source(path.read_bytes()))
    except OSError as error:
        raise UserError("a file must be readable", got=f"'{path}' ({error.strerror})") from error
    except (UnicodeDecodeError, SyntaxError) as error:
        raise UserError("a file of modules or layers must be Python", got=str(error), where=str(path)) from None
