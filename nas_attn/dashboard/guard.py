"""The dashboard's guard: a page of another web site must not read a study through the reader's own browser.

Such a page can reach a server on this machine in two ways. It asks across origins: then the Origin header names it. Or
its own name is made to point here (DNS rebinding): then the Host header is that name. A numeric address cannot be made
to point elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from typing import Any

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/@?#,\s]+)(:\d{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://(.+)", re.IGNORECASE)


class Guard:
    """A WSGI application in front of another: 403 for a foreign Host or Origin.

    Args:
        app: the application.
        host: the address that the server listens on. Names of loopback are always answered, and this one; if it
            means every address of this machine, then also its name and all numeric addresses.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], host: str) -> None:
        self._app = app
        self._everywhere = host == "" or _is(host, "is_unspecified")
        own = (socket.gethostname(), socket.getfqdn(), f"{socket.gethostname()}.local") if self._everywhere else (host,)
        self._names = {_plain(name) for name in (*own, "localhost")}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or refuse it."""
        host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
        if self._known(host) and (origin is None or _same(origin, host)):
            return self._app(environ, start_response)
        reason = "Refused: this page is asked for by a name that is not its own, or by another web site.\n"
        start_response("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", str(len(reason)))])
        return [reason.encode()]

    def _known(self, authority: str) -> bool:
        found = _AUTHORITY.fullmatch(authority)
        if found is None:
            return False
        name = _plain(found[1])
        return name in self._names or _is(name, "is_loopback") or (self._everywhere and _is(name, "version"))


def _same(origin: str, host: str) -> bool:
    found = _ORIGIN.fullmatch(origin)
    return found is not None and found[1].lower() == host.lower()


def _plain(name: str) -> str:
    """A host's name or address, written in one way."""
    name = name.strip("[]").removesuffix(".").lower()
    return str(ipaddress.ip_address(name)) if _is(name, "version") else name


def _is(name: str, what: str) -> bool:
    """True if a name is an address with this property."""
    try:
        return bool(getattr(ipaddress.ip_address(name), what))
    except ValueError:
        return False
