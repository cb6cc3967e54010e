"""Files written so that they are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import time
from collections.abc import Iterator
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
        _replace(Path(name), path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _replace(made: Path, path: Path) -> None:
    """Put a file in the place of another; Windows refuses as long as somebody reads either."""
    for patience in (0.01, 0.1, 1.0) if os.name == "nt" else ():
        with contextlib.suppress(PermissionError):
            made.replace(path)
            return
        time.sleep(patience)
    made.replace(path)


def write_text_atomic(path: Path, text: str) -> None:
    """`write_bytes_atomic` for text, as UTF-8."""
    write_bytes_atomic(path, text.encode())
