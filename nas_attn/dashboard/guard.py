"""The guard of the dashboard: it stops other web sites from reading a study through the user's browser.

A page of another site can reach a server on this machine in two ways. If it sends a cross-origin request, the Origin
header names the site. If the site's name is made to point to this machine (DNS rebinding), the Host header has that
name. A numeric address cannot be redirected.
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
    """A WSGI application in front of another one: it answers 403 if the Host or Origin is foreign.

    Args:
        app: the application behind it.
        host: the address that the server listens on. This address and loopback names are allowed. If it means all
            addresses of this machine, the machine's name and all numeric addresses are allowed too.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], host: str) -> None:
        self._app = app
        self._everywhere = host == "" or _is(host, "is_unspecified")
        own = (socket.gethostname(), socket.getfqdn(), f"{socket.gethostname()}.local") if self._everywhere else (host,)
        self._names = {_plain(name) for name in (*own, "localhost")}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass a request on, or refuse it."""
        host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN")
        if self._known(host) and (origin is None or _same(origin, host)):
            return self._app(environ, start_response)
        reason = "Refused: the request names another host, or comes from another web site.\n"
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
    """The name or address of a host in a normal form."""
    name = name.strip("[]").removesuffix(".").lower()
    return str(ipaddress.ip_address(name)) if _is(name, "version") else name


def _is(name: str, what: str) -> bool:
    """True if the name is an IP address with this property."""
    try:
        return bool(getattr(ipaddress.ip_address(name), what))
    except ValueError:
        return False
