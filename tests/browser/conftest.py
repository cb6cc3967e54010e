"""Fixtures: a real Chromium, a fabricated study and a served dashboard."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fabricated_studies import Fabricator, fabricate
from served_dashboard import serving

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 90_000  # a page of plots takes a busy machine without a graphics card long
CALLBACKS = re.compile("/_dash-update-component")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """The system's Chromium, driven by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="missing part: playwright, pip install -e '.[ci]'")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"missing part: chromium (none of {', '.join(NAMES)} is on the PATH)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Held:
    """Answers of the server that do not reach the page before `release`."""

    def __init__(self, page, output: str) -> None:
        self._page, self._output = page, output
        self._kept: list = []
        self._holding = True
        page.route(CALLBACKS, self._take)

    def wait(self) -> None:
        """Wait until there is an answer."""
        wait_until(self._page, lambda: bool(self._kept))

    def release(self) -> None:
        """Send all kept answers to the page, and keep no more."""
        self._holding = False
        for route, answer in self._kept:
            route.fulfill(response=answer)

    def _take(self, route) -> None:
        if self._holding and self._output in output_of(route.request):
            self._kept.append((route, route.fetch()))
        else:
            route.continue_()


def wait_until(page, true: Callable[[], bool]) -> None:
    """Let the page run until the condition is true."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not true():
        assert time.monotonic() < end, "did not come true"
        page.wait_for_timeout(50)


def output_of(request) -> str:
    """The output that a callback request asks for."""
    return str(request.post_data_json["output"])


class Watched:
    """A page with all its requests and all its errors."""

    def __init__(self, page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda r: self.requests.append(r.url))
        page.on("pageerror", lambda e: self.complaints.append(f"page error: {e}"))
        page.on("console", self._said)

    def _said(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def outside(self, *allowed: str) -> list[str]:
        """The requests to other servers."""
        return [url for url in self.requests if not url.startswith((*allowed, "data:", "blob:"))]

    def hold(self, output: str) -> Held:
        """Keep back the answers whose output has a text in its name."""
        return Held(self.page, output)

    def wait_until(self, true: Callable[[], bool]) -> None:
        """Let the page run until the condition is true."""
        wait_until(self.page, true)

    def answers(self, output: str) -> list:
        """A growing list of the answers, from now on, whose output has a text in its name."""
        found: list = []

        def take(answer) -> None:
            if CALLBACKS.search(answer.url) and output in output_of(answer.request):
                found.append(answer)

        self.page.on("response", take)
        return found


@pytest.fixture
def watched(chromium) -> Iterator[Watched]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    yield Watched(context.new_page())
    context.close()


@pytest.fixture
def study(tmp_path: Path) -> Fabricator:
    return fabricate(tmp_path / "bccd", 12)


@pytest.fixture
def served(study: Fabricator) -> Iterator[str]:
    """The address of a dashboard that serves `study`."""
    with serving(study.folder, yaml_of=lambda c: f"# yaml of {c.key}\nnc: 3\n") as address:
        yield address
