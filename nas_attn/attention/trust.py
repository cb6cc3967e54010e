"""Module files that may run: those that the user has named on this account, or all files with `--trust`.

A run folder, a bundle and a checkpoint carry the source of modules. That source runs only if the user has named exactly
this content before (`--modules FILE`, or a study file). The list of named contents is in the user's cache, signed with
a key that only this user can read. It is not in the folder whose files are to run.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from nas_attn.attention import user
from nas_attn.attention.user import Source
from nas_attn.environment import all_trusted, cache_root
from nas_attn.errors import UserError

REMEDY = "If you trust its author, give --trust."
KEY_BYTES = 32


def remember(sources: Iterable[Source]) -> None:
    """Record that the user named these contents. If the cache cannot be written, the user must name them again."""
    if not (new := [s for s in sources if not _named(s)]):
        return
    with contextlib.suppress(OSError):
        handle = os.open(_place("named"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_LINK, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.writelines(_seal(s, _key(make=True)) + "\n" for s in new)


def remember_files(files: Iterable[str | Path]) -> None:
    """`remember` for files. An unreadable file is skipped; the code that loads it reports the error."""
    for file in files:
        with contextlib.suppress(UserError):
            remember([user.read(Path(file).expanduser().resolve())])


def knows(source: Source) -> bool:
    """True if this content may run: the user named it, it already ran in this process, or `--trust` is given."""
    return all_trusted() or user.has_run(source) or _named(source)


def check(sources: Iterable[Source], where: str) -> None:
    """Refuse contents that the user has not named. With `--trust`, all contents pass and are remembered.

    Args:
        sources: the contents that are to run.
        where: the place that an error names.

    Raises:
        UserError: the user has not named one of the contents.
    """
    sources = list(sources)
    if strange := [s for s in sources if not knows(s)]:
        raise UserError(
            "module files run only if you have named them on this account",
            got=", ".join(f"{s.stem}.py with digest {s.digest}" for s in strange),
            where=where,
            remedy=f"Read the files, then name them with --modules FILE. {REMEDY}",
        )
    if all_trusted():
        remember(sources)


_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def _place(name: str) -> Path:
    user_id = os.getuid() if hasattr(os, "getuid") else "user"
    folder = cache_root() / f"trust-{user_id}"  # several users may share a cache
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / name


def _key(*, make: bool = False) -> bytes:
    """The user's key; empty if there is none, or if other users can read the file."""
    path = _place("key")
    if make:
        with contextlib.suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_LINK), "rb") as file:
            about = os.fstat(file.fileno())
            own = not hasattr(os, "getuid") or (about.st_uid == os.getuid() and not stat.S_IMODE(about.st_mode) & 0o077)
            key = file.read()
    except OSError:
        return b""
    return key if own and len(key) == KEY_BYTES else b""


def _seal(source: Source, key: bytes) -> str:
    return hmac.digest(key or secrets.token_bytes(KEY_BYTES), f"{source.stem}\n{source.text}".encode(), "sha256").hex()


def _named(source: Source) -> bool:
    try:
        key, lines = _key(), _place("named").read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return bool(key) and any(hmac.compare_digest(_seal(source, key), line) for line in lines if line.isascii())
