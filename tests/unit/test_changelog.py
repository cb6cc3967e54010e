"""CHANGELOG.md keeps its form, and its newest version is the package's."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from packaging.version import Version

from nas_attn._version import __version__

TEXT = (Path(__file__).resolve().parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
RELEASES = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", h) for h in HEADINGS if h != "[Unreleased]"]


def test_the_newest_version_is_the_packages_or_unreleased():
    newest = RELEASES[0]
    assert newest is not None, "a version and its date"
    if HEADINGS[0] == "[Unreleased]":
        assert Version(newest[1]) <= Version(__version__)
    else:
        assert newest[1] == __version__


def test_versions_descend_with_their_dates():
    found = [(Version(r[1]), date.fromisoformat(r[2])) for r in RELEASES if r]
    assert len(found) == len(RELEASES), "each heading is `## [1.2.3] - YYYY-MM-DD`"
    assert found == sorted(found, reverse=True) and len(set(found)) == len(found)


def test_every_version_has_its_link_at_the_end():
    names = [h.partition("]")[0][1:] for h in HEADINGS]
    links = re.findall(r"^\[(.+)\]: https://github\.com/\S+$", TEXT, re.MULTILINE)
    assert links == names
    assert TEXT.rstrip().endswith(re.findall(r"^\[.+\]: .+$", TEXT, re.MULTILINE)[-1])


def test_changes_stand_under_the_kinds_that_readers_know():
    kinds = re.findall(r"^### (.+)$", TEXT, re.MULTILINE)
    assert kinds and set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert kinds == sorted(kinds) and len(set(kinds)) == len(kinds)
