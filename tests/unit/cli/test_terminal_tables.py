"""Tables on a terminal: one gene per line, with many slots only the filled ones; and the note below the front."""

from __future__ import annotations

import pytest
from fabricated_studies import Fabricator, fabricate

from nas_attn.analysis.tables import estimated, estimates, genes
from nas_attn.api import load_study
from nas_attn.evaluate.score import MAP
from nas_attn.space import Architecture


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("p3=none p4=acmix(head=4,kernel_att=7)", ["p3=none", "p4=acmix(head=4,kernel_att=7)"]),
        ("inner.p3.insert=se td.p4=none", ["inner.p3.insert=se", "td.p4=none"]),
        ("p3=none p4=none p5=lska lateral.p3=none sppf.pre=se", ["p5=lska", "sppf.pre=se"]),
        ("p3=none p4=none p5=none td.p4=none sppf.pre=none", ["none in all 5 slots"]),
    ],
)
def test_genes_in_writing(text, wanted):
    found = genes(text)
    assert found == wanted
    if "none in" not in found[0]:
        short = Architecture.parse(" ".join(found))
        filled = {slot: gene for slot, gene in Architecture.parse(text) if gene.module != "none"}
        assert {slot: gene for slot, gene in short if gene.module != "none"} == filled


def test_the_note_below_the_front_explains_estimates_and_noise(tmp_path):
    study = load_study(str(fabricate(tmp_path / "x", 12).folder))
    front = study.front()
    assert estimated(MAP) in front.table.columns
    assert front.note == f"{estimates(MAP)}\n{study.noise().sentence()}"
    assert study.noise().sentence() in " ".join(repr(front).split())


def test_a_study_shows_its_picks_below_the_front(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    study = load_study(str(fabricate(tmp_path / "x", 12).folder))
    shown = repr(study).splitlines()
    for picked in study.picks():
        assert str(picked) in shown
    assert [p.rule for p in study.picks()] == ["best", "knee", "simplest"]
    assert shown.index(str(study.picks()[2])) < next(i for i, line in enumerate(shown) if "noise of one run" in line)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_picks_fit_the_terminal(tmp_path, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    picks = load_study(str(fabricate(tmp_path / "x", 12).folder)).picks()
    shown = repr(picks)
    assert max(map(len, shown.splitlines())) <= width
    assert all(word in shown for word in ("best", "knee", "simplest", "P(right)"))
    for picked in picks:
        assert f"{picked.candidate.gmacs:.3f}" in shown
    assert picks[0].warning or width < 200 or "remark" in shown


def test_before_a_result_there_is_no_pick(tmp_path):
    study = load_study(str(Fabricator(tmp_path / "x").folder))
    assert list(study.picks()) == [] and "No candidate is trained yet" in repr(study.picks())
    assert "Nothing can be said about differences yet" in repr(study)
