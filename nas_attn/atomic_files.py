"""Atomic writing of files: a file is complete or absent, never partial."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from nas_attn.errors import EDQUOT, NotWritable, UserError

NAME_RULE = "a name or path must be one that a file can have"


def is_file(path: str | Path) -> bool:
    """True if the path is a file; False also for a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113 (`Path.is_file` raises for a name that no file can have)


@contextlib.contextmanager
def making(path: Path) -> Iterator[None]:
    """A context that turns the system's errors about a file into a `UserError`, because the user named the file.

    Args:
        path: the file that is created or written inside.

    Raises:
        UserError: no file can have this name.
        NotWritable: its folder cannot be created or written to.
        OSError: the disk is full; `storage_full` has the remedy.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, EDQUOT):  # naming another folder would not help
            raise
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(NAME_RULE, got=f"'{path}' ({error.strerror})", remedy="Give a shorter one.") from error
        raise NotWritable(
            "a folder that is written to must be writable",
            got=f"'{path.parent}' ({error.strerror})",
            remedy="Name another folder, or change its permissions.",
        ) from error


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part, even after a crash.

    Args:
        path: the file; missing folders above it are created.
        data: the new content.

    Raises:
        UserError, OSError: as `making` raises them.
    """
    path = Path(path)
    with making(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # mkstemp makes it private, but results are shared
        _replace(Path(name), path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _replace(made: Path, path: Path) -> None:
    """Replace a file by a new one. Windows refuses as long as a process reads one of them."""
    for patience in (0.01, 0.1, 1.0) if os.name == "nt" else ():
        with contextlib.suppress(PermissionError):
            made.replace(path)
            return
        time.sleep(patience)
    made.replace(path)


def write_text_atomic(path: Path, text: str) -> None:
    """`write_bytes_atomic` for text, as UTF-8."""
    write_bytes_atomic(path, text.encode())


def check_free(files: Iterable[Path], force: bool, option: str = "-o") -> None:
    """Refuse to overwrite an existing file.

    Args:
        files: the files that will be written.
        force: overwrite existing files.
        option: the option that names another file, for the message.

    Raises:
        UserError: a file exists and `force` is false, or a folder has its name.
    """
    for file in files:
        if Path(file).is_dir():
            raise UserError("a file must not have the name of a folder", got=f"'{file}'", where=option)
        if Path(file).exists() and not force:
            raise UserError(
                "an existing file must not be overwritten",
                got=f"'{file}'",
                where=option,
                remedy=f"Name another file with {option}, or give --force (in Python force=True).",
            )
