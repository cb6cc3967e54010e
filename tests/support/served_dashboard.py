"""A dashboard on a free port, and a mouse on a plot, for browser tests."""

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


def point_at(page: Any, locate: str, arg: Any, plot: str) -> str:
    """Move the mouse to a place of a plot, and return the text that the plot shows there.

    A plot that is just being drawn again does not see the mouse, so it is moved again, as people do.

    Args:
        page: the page, of Playwright.
        locate: a script that gives the place on the screen.
        arg: its argument.
        plot: a selector of the plot.
    """
    from playwright.sync_api import TimeoutError

    told = page.locator(f"{plot} .hoverlayer .hovertext")
    for tries_left in reversed(range(10)):
        where = page.evaluate(locate, arg)
        page.mouse.move(where["x"] - 40, where["y"] - 40)
        page.mouse.move(where["x"], where["y"], steps=4)
        try:
            told.first.wait_for(timeout=2000)
            break
        except TimeoutError:
            if not tries_left:
                raise
    return str(told.first.text_content())
