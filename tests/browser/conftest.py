"""A real Chromium, a fabricated study and a served dashboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fabricate import Fabricator, fabricate
from serving import serving

NAMES = ("chromium", "chromium-browser", "google-chrome")
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
    sync_api = pytest.importorskip("playwright.sync_api", reason="missing part: playwright")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"missing part: chromium (none of {', '.join(NAMES)} is on the PATH)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Watched:
    """A page and everything it asked for or complained about."""

    def __init__(self, page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda r: self.requests.append(r.url))
        page.on("pageerror", lambda e: self.complaints.append(f"page error: {e}"))
        page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(f"{m.type}: {m.text}"))

    def outside(self, *allowed: str) -> list[str]:
        """Requests to anywhere else."""
        return [url for url in self.requests if not url.startswith((*allowed, "data:", "blob:"))]


@pytest.fixture
def watched(chromium) -> Iterator[Watched]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    yield Watched(context.new_page())
    context.close()


@pytest.fixture
def study(tmp_path: Path) -> Fabricator:
    return fabricate(tmp_path / "bccd", 12)


@pytest.fixture
def served(study: Fabricator) -> Iterator[str]:
    """Address of a dashboard that serves `study`."""
    with serving(study.folder, yaml_of=lambda c: f"# yaml of {c.key}\nnc: 3\n") as address:
        yield address
