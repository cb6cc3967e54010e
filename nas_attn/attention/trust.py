"""The module files that may run: those that the user has named on this account, or all of them with `--trust`.

A run folder, a bundle and a checkpoint carry the source of modules. That source runs if the user has named the very
same content once (`--modules FILE`, a study file). The list of named contents lies in the user's cache, sealed with a
key that only this user can read, and not in the folder whose files are to run.
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

REMEDY = "If you trust whoever made it, give --trust."
KEY_BYTES = 32


def remember(sources: Iterable[Source]) -> None:
    """Note that the user named these contents. If the cache cannot be written, they must be named again next time."""
    if not (new := [s for s in sources if not _named(s)]):
        return
    with contextlib.suppress(OSError):
        handle = os.open(_place("named"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_LINK, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.writelines(_seal(s, _key(make=True)) + "\n" for s in new)


def remember_files(files: Iterable[str | Path]) -> None:
    """`remember` for files; a file that cannot be read is passed over, and its loader reports it."""
    for file in files:
        with contextlib.suppress(UserError):
            remember([user.read(Path(file).expanduser().resolve())])


def knows(source: Source) -> bool:
    """True if this content may run: it was named, or ran in this process already, or everything is trusted."""
    return all_trusted() or user.has_run(source) or _named(source)


def check(sources: Iterable[Source], where: str) -> None:
    """Refuse contents that the user never named; with `--trust` they pass and are remembered.

    Raises:
        UserError: a content was never named.
    """
    sources = list(sources)
    if strange := [s for s in sources if not knows(s)]:
        raise UserError(
            "module files run only if you have named them yourself on this account",
            got=", ".join(f"{s.stem}.py with digest {s.digest}" for s in strange),
            where=where,
            remedy=f"Read them; then name them with --modules FILE. {REMEDY}",
        )
    if all_trusted():
        remember(sources)


_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def _place(name: str) -> Path:
    user_id = os.getuid() if hasattr(os, "getuid") else "user"
    folder = cache_root() / f"trust-{user_id}"  # a cache may be shared
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / name


def _key(*, make: bool = False) -> bytes:
    """The user's key; empty if there is none, or if others may have read it."""
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
