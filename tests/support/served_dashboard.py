"""A dashboard on a free port, for browser tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[str]:
    """A context in which a dashboard serves a run folder; yields its address."""
    from nas_attn.dashboard.server import address, make_server

    server = make_server(folder, **options)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield address(server)
    server.shutdown()
    thread.join(20)
    server.server_close()
