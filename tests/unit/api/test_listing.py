"""Lists of values as tables: in a terminal of any width, as HTML, as a data frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from fabricated_studies import HOSTILE, Fabricator, fabricate

from nas_attn.analysis.tables import Table
from nas_attn.api.listing import Listing, fitted
from nas_attn.api.study import Study
from nas_attn.study.view import StudyView


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    return Study(StudyView.read(fabricate(tmp_path_factory.mktemp("bccd"), 40).folder))


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_front_fits_the_terminal_and_keeps_its_cost(study, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = repr(study.front())
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    if width >= 80:
        assert "GMACs" in shown and "verdict" in shown and "mAP50-95" in shown
        verdicts = study.front().table.columns.index("verdict")
        assert {w for row in study.front().table.rows for w in row[verdicts].split()} <= set(shown.split())
        for candidate in study.front():
            assert f"{candidate.gmacs:.3f}" in shown
    if width >= 160:
        assert "params (M)" in shown and "status" in shown
    assert not any(line.endswith(" ") for line in lines)


def test_a_listing_is_a_sequence(study):
    front = study.front()
    assert front[0] is next(iter(front)) and front[-1] == front[len(front) - 1] and front[:2] == tuple(front)[:2]
    assert front == study.front() and front != study.slots() and front[0] in front
    frame = front.frame()
    assert list(frame["architecture"]) == [c.key for c in front]
    assert list(frame["gmacs"]) == [c.gmacs for c in front] == sorted(frame["gmacs"])


def test_html_is_escaped_and_has_every_column():
    table = Table(("architecture", "remark"), (("p3=se", HOSTILE),), (None,))
    listing = Listing([1], [{"a": 1}], table, title=HOSTILE, narrow={"architecture": "architecture"}, note=HOSTILE)
    html = listing._repr_html_()
    assert "<script>" not in html and html.count("&lt;script&gt;") == 3
    assert "<th>remark</th>" in html and "remark" not in repr(listing).splitlines()[1]


def test_markup_in_a_cell_is_text():
    table = Table(("architecture", "remark"), (("p3=se(groups=[4,4])", "[bold]x[/bold] [/]"),), (None,))
    assert "[bold]x[/bold] [/]" in repr(Listing([1], [{}], table))


@pytest.mark.parametrize(
    ("columns", "whole", "width", "wanted"),
    [
        ([["a", "bb"], ["head line", "x"]], [False, False], 80, [3, 10]),
        ([["a", "bb"], ["head line", "x"]], [False, False], 14, [2, 9]),
        ([["a", "bb"], ["head line", "x"]], [False, False], 12, [2, 7]),
        ([["a", "bb"], ["head line", "x"]], [False, False], 9, [2, 4]),
        ([["a", "bb"], ["head line", "x"]], [False, False], 8, None),
        ([["a", "bb"], ["head line", "x"]], [False, True], 12, None),
        ([["one two\nthree", ""]], [True], 20, [8]),
        ([], [], 10, []),
    ],
)
def test_widths(columns, whole, width, wanted):
    assert fitted(columns, whole, width) == wanted


def test_an_empty_study_shows_itself(tmp_path: Path):
    study = Study(StudyView.read(Fabricator(tmp_path).folder))
    assert "0 of" in repr(study) and len(study.front()) == 0
    assert study.noise() is None and len(study.effects()) == 0
    assert "cannot" in study.effects().conclusion or "yet" in study.effects().conclusion
    assert study.frame().shape[0] == len(study.trials)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_each_module_that_was_tried_has_a_line(study, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    shown = repr(study.modules())
    assert max(map(len, shown.splitlines())) <= width
    tried = {g.module for t in study.trials if t.usable for _, g in t.architecture} - {"none"}
    assert {row[0] for row in study.modules().table.rows} == tried
    for module in tried:
        assert any(line.split()[:1] == [module] for line in shown.splitlines()), "no name is broken"


def test_a_narrow_terminal_says_what_it_leaves_out(study, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    last = [line for line in repr(study.front()).splitlines() if line.startswith("Columns left out")]
    assert last and "params (M)" in last[0] and "P(front)" in last[0]
    monkeypatch.setenv("COLUMNS", "200")
    assert "Columns left out" not in repr(study.front())


def test_empty_slots_are_not_written(study, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = repr(study.front())
    assert "=none" not in shown and "the base" in shown
