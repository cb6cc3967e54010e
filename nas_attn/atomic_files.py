"""Files written so that they are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from nas_attn.errors import EDQUOT, NotWritable, UserError

NAME_RULE = "a name or path must be one that a file can have"


def is_file(path: str | Path) -> bool:
    """True if there is such a file; False for a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113 (`Path.is_file` raises for a name that no file can have)


@contextlib.contextmanager
def making(path: Path) -> Iterator[None]:
    """Turn the system's errors about a file or folder inside into a `UserError` for the user who named it.

    Raises:
        UserError: no file can have this name; `NotWritable` if its folder cannot be made or written to.
        OSError: the disk is full; `storage_full` has the remedy.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, EDQUOT):  # another folder would not help
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

    Raises:
        UserError, OSError: see `making`.
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
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """`write_bytes_atomic` for text, as UTF-8."""
    write_bytes_atomic(path, text.encode())


def check_free(files: Iterable[Path], force: bool, option: str = "-o") -> None:
    """Refuse to write over a file.

    Args:
        files: the files that will be written.
        force: write over existing files.
        option: the option that names another file, for the message.

    Raises:
        UserError: one of them exists, or is a folder.
    """
    for file in files:
        if Path(file).is_dir():
            raise UserError("a file must not have the name of a folder", got=f"'{file}'", where=option)
        if Path(file).exists() and not force:
            raise UserError(
                "a file that exists is not written over",
                got=f"'{file}'",
                where=option,
                remedy=f"Name another file with {option}, or give --force (in Python force=True).",
            )
