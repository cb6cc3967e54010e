"""The opt-in hook: two small files in site-packages, so that every `yolo` and `YOLO(...)` knows our modules.

When an interpreter starts, `nas_attn_hook.pth` imports `_nas_attn_hook.py`, which waits for Ultralytics' YAML parser
and imports nothing itself. This module writes both files, so they belong to no installed distribution: they stay when
the package is uninstalled, and then do no harm.
"""

from __future__ import annotations

import importlib.util
import py_compile
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nas_attn.atomic_files import write_text_atomic
from nas_attn.environment import PACKAGE
from nas_attn.errors import UserError

MODULE = "_nas_attn_hook"
FILES = (f"{MODULE}.py", "nas_attn_hook.pth")  # in the order in which they may be written
State = Literal["installed", "outdated", "incomplete", "absent"]


@dataclass(frozen=True)
class Hook:
    """The hook of one site-packages folder.

    Attributes:
        folder: the site-packages folder; `here` takes that of the running interpreter.
    """

    folder: Path

    @classmethod
    def here(cls) -> Hook:
        """The hook of the running interpreter's site-packages, installed or not."""
        return cls(Path(sysconfig.get_path("purelib")))

    @property
    def state(self) -> State:
        """The state: `outdated` was written by another version of this package, `incomplete` lacks one of its files."""
        found = [(self.folder / name).is_file() for name in FILES]
        if not all(found):
            return "incomplete" if any(found) else "absent"
        same = all((self.folder / n).read_text("utf-8", "replace") == text for n, text in _contents().items())
        return "installed" if same else "outdated"

    def install(self, *, outside_environments: bool = False) -> State:
        """Write the hook's files unless they are installed already; return the former state.

        Args:
            outside_environments: install even if the interpreter belongs to the system and not to an environment.

        Raises:
            UserError: the interpreter is in no environment, the folder cannot be written to, or other files have these
                names.
        """
        if not (outside_environments or in_environment()):
            raise UserError(
                "the hook must be installed into a virtual environment",
                got=f"the interpreter of the system, {sys.prefix}",
                remedy="Create one with `python3 -m venv .venv`, or give --system to change it for all its users.",
            )
        self._refuse_others()
        before = self.state
        if before != "installed":
            for name, text in _contents().items():
                try:
                    write_text_atomic(self.folder / name, text)
                except UserError as error:
                    rule, remedy = "site-packages must be writable to install the hook", "Use your own environment."
                    raise UserError(rule, got=error.got, remedy=remedy) from error
            py_compile.compile(str(self.folder / FILES[0]))  # other users may not be able to write the compiled file
        return before

    def remove(self) -> State:
        """Delete the hook's files and their compiled form; return the former state.

        Raises:
            UserError: other files have these names, or the folder cannot be written to.
        """
        self._refuse_others()
        before = self.state
        cached = Path(importlib.util.cache_from_source(str(self.folder / FILES[0])))
        compiled = sorted(cached.parent.glob(f"{MODULE}.*.pyc"))
        try:
            # the file that starts the module goes first
            for path in (*(self.folder / n for n in reversed(FILES)), *compiled):
                path.unlink(missing_ok=True)
            if compiled and not any(cached.parent.iterdir()):
                cached.parent.rmdir()
        except OSError as error:
            got = f"'{self.folder}' ({error.strerror})"
            raise UserError("site-packages must be writable to remove the hook", got=got) from error
        return before

    def _refuse_others(self) -> None:
        for name in FILES:
            path = self.folder / name
            if path.exists() and (not path.is_file() or "nas_attn" not in path.read_text("utf-8", "replace")):
                raise UserError("a file with the hook's name must be the hook", got=f"'{path}'", remedy="Move it away.")


def in_environment() -> bool:
    """True if the interpreter belongs to a virtual environment or a conda environment."""
    return sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").is_dir()


def _contents() -> dict[str, str]:
    source = (PACKAGE / "_registration.py").read_text("utf-8")
    return dict(zip(FILES, (f"{source}\n\nhook()\n", f"import {MODULE}\n"), strict=True))
