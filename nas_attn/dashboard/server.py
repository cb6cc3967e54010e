"""The server of the dashboard. It opens its own socket, so that a busy port gives a clear error message."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nas_attn.dashboard.app import build_app
from nas_attn.dashboard.guard import Guard
from nas_attn.errors import UserError
from nas_attn.study.view import Candidate

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

LOOPBACK, PORT = "127.0.0.1", 8050


def serve(
    folder: Path,
    host: str = LOOPBACK,
    port: int = PORT,
    yaml_of: Callable[[Candidate], str] | None = None,
) -> None:
    """Serve the dashboard of a run folder until interrupted, and print its address on stderr.

    Args:
        folder: the run folder; it is only read.
        host: address to listen on; by default only this machine can connect. Requests for other hosts get 403, see
            `Guard`.
        port: TCP port; 0 takes a free one.
        yaml_of: returns the model YAML of a candidate.

    Raises:
        UserError: the folder holds no study and no ablation, or the address is not available.
    """
    server = make_server(folder, host, port, yaml_of)
    try:
        print(f"Dashboard of {folder}: {address(server)} (stop it with Ctrl-C)", file=sys.stderr, flush=True)
        if not _is_loopback(host):
            print(
                "Everybody who can reach this machine can read the study at this address.", file=sys.stderr, flush=True
            )
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def make_server(
    folder: Path, host: str = LOOPBACK, port: int = 0, yaml_of: Callable[[Candidate], str] | None = None
) -> BaseWSGIServer:
    """A bound server that does not serve yet: call `serve_forever()`, then `server_close()`.

    Raises:
        UserError: the folder holds no study and no ablation, or the address is not available.
    """
    from werkzeug.serving import make_server as make

    app = build_app(folder, yaml_of)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # otherwise it prints a line for each request
    with _listen(host, port) as listener:
        # the server works on a duplicate of the descriptor
        return make(host, listener.getsockname()[1], Guard(app.server, host), threaded=True, fd=listener.fileno())


def address(server: BaseWSGIServer) -> str:
    """The URL of a server."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"http://{host}:{server.port}/"


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise UserError("`--port` must be between 0 and 65535", got=port)
    listener = None
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        if os.name != "nt":  # on Windows this option would allow a port that another process uses
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen()
    except OSError as error:
        if listener is not None:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            remedy = f"Another program uses it. Give another port, e.g. `--port {min(port + 1, 65535)}`."
            raise UserError("`--port` must be free", got=port, remedy=remedy) from error
        if error.errno == errno.EACCES:
            remedy = "Ports below 1024 need system rights. Give another port, e.g. `--port 8050`."
            raise UserError("`--port` must be a port that you may open", got=port, remedy=remedy) from error
        rule = "`--host` must be an address of this machine"
        raise UserError(
            rule, got=f"'{host}' ({error.strerror})", remedy="Leave out --host; then only this machine can connect."
        ) from error
    return listener


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
