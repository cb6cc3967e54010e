"""The URL of an Optuna storage. Its password is used to connect, and is never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus

VARIABLE = "NAS_ATTN_STORAGE"  # used if --storage is not given; other users can see a command line
MASK = "***"
LEFT_OUT = "the driver's message is left out, because it could contain a part of the password"
_SCHEME = r"((?:sqlite[\w+]*:/*|[\w+.-]+:/+)?+"
_ADDRESS = re.compile(_SCHEME + r"[^:]*:)(.*)@", re.DOTALL)  # up to the last @, even in a malformed URL
_NO_SCHEME = re.compile(r"([^:]*:)(?!//)(.*)@", re.DOTALL)  # `user:/secret@host` looks as if `user` were a scheme
_NO_PORT = re.compile(  # the host is missing, so the password is in the place of the port; it may contain / and ?
    _SCHEME + r"(?:[^@/?]*@)?+(?>\[[0-9a-fA-F:.]+\]|[^:/?]*):)(?!\d*(?:[/?]|\Z))(.+)", re.DOTALL
)
_FILE = re.compile(r"sqlite(?:\+(?:pysqlite|aiosqlite|pysqlcipher))?:///")
_WITH_AT = re.compile(  # an @ in these parameters does not end a password
    r"(?:^|(?<=&))(?:user|username|uid|application_name|host|options|ssl\w+)=[^&]*"
)
_KEY = re.compile(r"password|passwd|passphrase|pwd|secret|token|credential|odbc_connect|\bpass$", re.IGNORECASE)
_PAIR = re.compile(r"(?:^|&)([^&=]*)=(.*?)(?=&[^&=]*=|\Z)", re.DOTALL)  # text without = belongs to the value before it
_NAMED = re.compile(  # in a connection string
    r"(?:(?:\b|_)[a-z_]*(?:password|passwd|passphrase|pwd|secret|token)|\bpass)\s*=((?:(?![\s;&]+\w+\s*=).)*)",
    re.IGNORECASE | re.DOTALL,
)
_RESERVED = re.compile(r"[@:/?#&\[\]]")  # a driver may split a password at these characters
_PART = 4  # a text with this many characters of a password in a row is not shown


def masked(url: str) -> str:
    """The URL with `***` in place of its secrets; the URL may be malformed."""
    shown, end = "", -1
    for start, stop in sorted(_secrets(url)):
        if start > end:
            shown += url[max(end, 0) : start] + MASK
        end = max(end, stop)
    return shown + url[max(end, 0) :]


def _secrets(url: str) -> list[tuple[int, int]]:
    """The parts of a URL that may be secret, as (start, stop); they may overlap. If in doubt, more is secret."""
    address, _, query = url.partition("?")
    spans = [found.span(1) for found in _NAMED.finditer(url)]
    if not _FILE.match(url):
        before = url if "@" in _WITH_AT.sub("", query) else address
        found = _ADDRESS.match(before) or _NO_SCHEME.match(before) or _NO_PORT.match(url)
        spans += [found.span(2)] if found else []
    for pair in _PAIR.finditer(query):
        key, value = (unquote_plus(unquote_plus(part)) for part in pair.groups())
        if _KEY.search(key) or _NAMED.search(value):
            spans.append((len(address) + 1 + pair.start(2), len(address) + 1 + pair.end(2)))
    return spans


class StorageUrl:
    """An SQLAlchemy URL whose `str`, `repr` and JSON do not show the password.

    A password that was masked when the URL was recorded is removed. Then the database finds the password in its own
    places (PGPASSWORD, .pgpass).

    Attributes:
        secret: the URL to connect with.
    """

    def __init__(self, url: str) -> None:
        address, mark, query = url.replace(f":{MASK}@", "@").partition("?")
        kept = re.sub(rf"(?:^|&)[^&=]*={re.escape(MASK)}(?=&|$)", "", query)
        self.secret = address + (mark + query if kept == query else mark + kept.lstrip("&") if kept else "")

    def __str__(self) -> str:
        return masked(self.secret)

    def __repr__(self) -> str:
        return f"StorageUrl({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorageUrl) and self.secret == other.secret

    def __hash__(self) -> int:
        return hash(self.secret)

    def hide(self, text: str) -> str:
        """A text of other software, such as a driver's message, with the secrets of this URL masked.

        If the text may still contain a part of a secret, `LEFT_OUT` is returned instead.
        """
        text = text.replace(self.secret, str(self))
        raw = [self.secret[start:stop] for start, stop in _secrets(self.secret)]
        secrets = sorted({*raw, *map(unquote, raw), *map(unquote_plus, raw)} - {""}, key=len, reverse=True)
        if any(map(_RESERVED.search, raw)):
            return LEFT_OUT
        for secret in secrets:
            if len(secret) >= _PART:
                text = text.replace(secret, MASK)
        parts = (secret[i : i + _PART] for secret in secrets for i in range(max(1, len(secret) - _PART + 1)))
        return LEFT_OUT if any(part.lower() in text.lower() for part in parts) else text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # readers of a study do not need it

        return core_schema.no_info_wrap_validator_function(
            lambda value, as_text: value if isinstance(value, cls) else cls(as_text(value)),
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value, info: str(value) if info.mode == "json" else value, info_arg=True
            ),
        )


def sqlite_url(file: Path) -> str:
    """The URL of an SQLite file; a path may hold characters that mean something else in a URL."""
    import sqlalchemy  # readers of a study do without

    return sqlalchemy.URL.create("sqlite", database=str(file.resolve())).render_as_string(hide_password=False)


def without_secrets(record: Mapping[str, Any]) -> dict[str, Any]:
    """The header of a study, or the content of a study file, with the password of its storage masked.

    Records and readers get only this form.
    """
    shown = dict(record)
    if isinstance(url := shown.get("storage"), str):
        shown["storage"] = masked(url)
    for part in ("config", "file"):
        if isinstance(inner := shown.get(part), Mapping):
            shown[part] = without_secrets(inner)
    return shown
