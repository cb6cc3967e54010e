"""The gallery in the repository matches the zoo."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas_attn.attention import entries, zoo
from nas_attn.cli import modules_gallery as gallery

PAGE = Path(zoo.__path__[0]) / "README.md"
REMEDY = "write it anew: python -m nas_attn modules gallery -o nas_attn/attention/zoo/README.md"


def test_every_module_has_its_section():
    text = PAGE.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("### ")] == [
        f"### {e.name}" for e in sorted(entries(), key=lambda e: (e.family, e.name)) if not e.is_none
    ], REMEDY
    assert (PAGE.parent / gallery.PICTURE).stat().st_size > 10_000


def test_what_it_says_is_so(soak):
    modules = [e for e in entries() if not e.is_none]
    some = modules[:: max(1, round(1 / soak))]  # counting all of them takes half a minute
    said = PAGE.read_text(encoding="utf-8").splitlines()
    for line in gallery.page(some).splitlines():
        assert line in said, REMEDY


@pytest.mark.parametrize("name", ["lska", "mhsa", "se"])
def test_sight(name):
    (entry,) = (e for e in entries() if e.name == name)
    seen = gallery.sight(entry)
    middle = gallery.SIGHT // 2
    assert seen.shape == (gallery.SIGHT, gallery.SIGHT) and seen.max() == 0 and seen[middle, middle] > -0.5
    far = seen[0, 0] > gallery.DARKEST
    assert far == (name != "lska")  # 11 pixels of a large kernel do not reach a corner 20 pixels away


def test_a_module_of_other_widths_is_said_not_to_fit(monkeypatch):
    (entry,) = (e for e in entries() if e.name == "se")
    monkeypatch.setattr(entry.cls, "unsupported", classmethod(lambda cls, channels, **_: "must divide by 1000"))
    assert "does not fit 64×40×40" in gallery.page([entry])
