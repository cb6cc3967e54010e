"""The run folder of a study: the paths of its files, and the lease that lets only one process write there."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from nas_attn.atomic_files import write_text_atomic
from nas_attn.errors import StudyLocked, UserError
from nas_attn.study.records import RecordLog

if TYPE_CHECKING:
    from nas_attn.attention.user import Source

try:
    import fcntl
except ImportError:  # Windows has no flock; there the user must not start two supervisors
    fcntl = None  # type: ignore[assignment]


class RunFolder:
    """The paths of one study's files.

    Args:
        path: the folder, `runs/NAME` by default.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.log = RecordLog(self.path)
        self.cache = self.path / "cache"
        self.workers = self.path / "workers"
        self.database = self.path / "study.db"
        self.base_weights = self.path / "base.pt"

    def keep_modules(self, sources: Iterable[Source]) -> None:
        """Copy module files into the run folder: the study stays readable if the user's own files change later."""
        for source in sources:
            copy = self.path / "modules" / source.digest / f"{source.stem}.py"
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                write_text_atomic(copy, source.text)

    def modules(self) -> list[Path]:
        """The copies that `keep_modules` made."""
        return sorted((self.path / "modules").glob("*/*.py"))

    def result(self, name: str) -> Path:
        """The file in which a worker stores the evaluation of a trial, or of the base run.

        Args:
            name: number of the trial, four digits; or `base`.
        """
        return self.path / "trials" / name / "evaluation.json"

    def checkpoint(self, name: str) -> Path:
        """The file in which a worker stores the state from which a stopped trial continues; `name` as for `result`."""
        return self.path / "trials" / name / "checkpoint.pt"

    def create(self) -> None:
        """Make the folder, and check that files can be written there.

        Raises:
            UserError: the folder cannot be made or written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise UserError(
                "the run folder must be writable",
                got=f"'{self.path}' ({error.strerror})",
                remedy="Name another folder with --runs FOLDER, or change the permissions of this one.",
            ) from error


class Lease:
    """A lock on a run folder, so that a study has one supervisor. A context manager.

    The operating system frees the lock when the process ends, even after a crash.

    Args:
        folder: the run folder, which exists.

    Raises:
        StudyLocked: another process holds the lock; the message names that process.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.path / "lease"
        self._handle: int | None = None

    def __enter__(self) -> Lease:
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        if fcntl is not None:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = self._path.read_text() or "{}"
                os.close(self._handle)
                self._handle = None
                who = json.loads(holder) if holder.strip().endswith("}") else {}
                raise StudyLocked(
                    f"another process works on '{self._path.parent}' (process {who.get('pid', '?')} on "
                    f"{who.get('host', '?')}). Wait until it ends, or stop it. Then give the same command again."
                ) from error
        os.ftruncate(self._handle, 0)
        os.write(self._handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        return self

    def __exit__(self, *exc: object) -> None:
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None
