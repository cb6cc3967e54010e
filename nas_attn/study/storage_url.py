"""The address of an Optuna storage, whose password is used and never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

VARIABLE = "NAS_ATTN_STORAGE"  # read where no --storage is given: a command line is seen by others
MASK = "***"
_ADDRESS = re.compile(r"((?:[\w+.-]+:/+)?+[^:]*:)(.*)@", re.DOTALL)  # up to the last @: also where it is malformed
_FILE = re.compile(r"sqlite[\w+]*:///")
_NAMED = re.compile(  # in a query, or in a connection string inside one
    r"((?:\b|_|%[0-9a-f]{2})[a-z_]*(?:password|passwd|passphrase|pwd|secret|token)(?:=|%3d)|\bpass=)"
    r"((?:(?!%3b|%20|\+)[^&;\s'\"])+)",
    re.IGNORECASE,
)


def masked(url: str) -> str:
    """The URL, well formed or not, without its secrets."""
    at = _password(url)
    return _NAMED.sub(rf"\1{MASK}", url[: at.start] + MASK + url[at.stop :] if at else url)


def _password(url: str) -> slice | None:
    """Where the password before the host stands; rather too much where the URL is malformed."""
    address, _, query = url.partition("?")
    found = _ADDRESS.match(address)
    if found is None or re.search(":.*@", query):
        found = _ADDRESS.match(url)
    return slice(*found.span(2)) if found and not _FILE.match(url) else None


class StorageUrl:
    """An SQLAlchemy URL; `str` and `repr` have no password, and neither has JSON.

    A password that was masked when it was recorded is none: the database's own ways (PGPASSWORD, .pgpass) then hold.

    Attributes:
        secret: the URL to connect with.
    """

    def __init__(self, url: str) -> None:
        without = re.sub(rf"[?&][^&=]*={re.escape(MASK)}(?=&|$)", "", url.replace(f":{MASK}@", "@"))
        self.secret = without if "?" in without else without.replace("&", "?", 1)

    def __str__(self) -> str:
        return masked(self.secret)

    def __repr__(self) -> str:
        return f"StorageUrl({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorageUrl) and self.secret == other.secret

    def __hash__(self) -> int:
        return hash(self.secret)

    def hide(self, text: str) -> str:
        """A text of somebody else's, such as a driver's message, without this URL's secrets."""
        text = text.replace(self.secret, str(self))
        at = _password(self.secret)
        secrets = [*([self.secret[at]] if at else []), *(value for _, value in _NAMED.findall(self.secret))]
        for secret in filter(None, (*secrets, *map(unquote, secrets))):
            text = text.replace(secret, MASK)
        return text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # readers of a study do without

        return core_schema.no_info_wrap_validator_function(
            lambda value, as_text: value if isinstance(value, cls) else cls(as_text(value)),
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value, info: str(value) if info.mode == "json" else value, info_arg=True
            ),
        )


def without_secrets(record: Mapping[str, Any]) -> dict[str, Any]:
    """A study's header, or what a study file says, with its storage masked: as it is shown, and as it is recorded."""
    shown = dict(record)
    if isinstance(url := shown.get("storage"), str):
        shown["storage"] = masked(url)
    for part in ("config", "file"):
        if isinstance(inner := shown.get(part), Mapping):
            shown[part] = without_secrets(inner)
    return shown
