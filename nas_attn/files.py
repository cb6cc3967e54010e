"""Files that are whole or absent."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from nas_attn.errors import EDQUOT, UserError


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old one or the new one, never a part.

    Raises:
        UserError: the folder cannot be made or written to.
        OSError: there is no room; `storage_full` says what to do about it.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, EDQUOT):  # another folder is no remedy
            raise
        raise UserError(
            "a folder that is written to must be writable",
            got=f"'{path.parent}' ({error.strerror})",
            remedy="Name another folder, or change its permissions.",
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)  # mkstemp makes it private; results are for sharing
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_text_atomic(path: Path, text: str) -> None:
    """`write_bytes_atomic` for text, as UTF-8."""
    write_bytes_atomic(path, text.encode())
