"""The run folder of a study: the paths of its files, and the lease that lets only one process write there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from nas_attn.atomic_files import write_text_atomic
from nas_attn.errors import StudyLocked, UserError
from nas_attn.study.records import RecordLog

if TYPE_CHECKING:
    from nas_attn.attention.user import Source


HOLDER = "lease.json"  # not the locked file itself: on Windows, other processes cannot read that


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

    def progress(self, name: str) -> Path:
        """The file in which a worker writes how far a trial is; `name` as for `result`."""
        return self.path / "trials" / name / "progress.json"

    def clear(self) -> None:
        """Remove the records and all that belongs to trials. Decoded images and copies of module files stay."""
        for file in (self.log.path, self.database, self.base_weights):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.path / "trials", ignore_errors=True)

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
        self._folder = folder.path
        self._lock = FileLock(folder.path / "lease", timeout=0)
        self._holder = folder.path / HOLDER

    def __enter__(self) -> Lease:
        try:
            self._lock.acquire()
        except Timeout:
            who = self._who()
            raise StudyLocked(
                f"another process works on '{self._folder}' (process {who.get('pid', '?')} on "
                f"{who.get('host', '?')}). Wait until it ends, or stop it. Then give the same command again."
            ) from None
        try:
            write_text_atomic(self._holder, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _who(self) -> dict[str, Any]:
        """The holder's `pid` and `host`; empty if it has not written them yet."""
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads(self._holder.read_text(encoding="utf-8"))
            return found
        return {}


def is_held(folder: RunFolder) -> bool:
    """True if a process works in the run folder. One whose end cannot be seen from here counts as alive."""
    try:
        found = json.loads((folder.path / HOLDER).read_text(encoding="utf-8"))
        import psutil
    except (OSError, ValueError):
        return False
    except ImportError:
        return True
    return found.get("host") != socket.gethostname() or bool(psutil.pid_exists(int(found.get("pid", 0))))
