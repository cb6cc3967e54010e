"""Slots of every kind from start to end: patterns in a search, its records, report and export, and `cost` alone."""

from __future__ import annotations

import json

import pytest

from nas_attn.cli.app import run
from nas_attn.detector.model.base_model import load_base
from nas_attn.space import Architecture, Slot
from nas_attn.study import read_study

WANTED = "inner.p3.*,td.*,sppf.pre,p5.head"
FOUND = {"p3", "p5", "td.p4", "sppf.pre", "inner.p3.insert", "inner.p3.replace"}  # td.p3 and p5.head are second names


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("placements")


@pytest.fixture(scope="module")
def searched(folder, write_study):
    """A finished search, run on the command line."""
    study = write_study(folder / "placed.yaml", epochs=1, control_seeds=1, trials=5, modules=None, space="placement")
    arguments = ["search", str(study), "--slots", WANTED, "--runs", str(folder / "runs"), "--jobs", "1", "--json"]
    assert run([*arguments, "--device", "cpu"]) == 0
    return read_study(folder / "runs" / "placed")


def test_a_search_over_slots_of_every_kind(searched):
    slots = [Slot.of(values) for values in searched.header["space_slots"]]
    assert {s.name for s in slots} == set(searched.slots["drop"]) == FOUND
    assert {s.name: s.sites for s in slots if s.inside} == {"inner.p3.insert": 1, "inner.p3.replace": 1}
    trials = [t for t in searched.trials if t.state == "complete"]
    assert len(trials) == 5 and {t.role for t in trials} == {"base", "conv", "search"}
    assert all(set(t.architecture.slots) == FOUND for t in trials)
    assert len({t.gmacs for t in trials}) > 2
    control = next(t.architecture for t in trials if t.role == "conv")
    assert all(gene.module == "conv" for _, gene in control)


def test_report_export_and_continuation(searched, folder, capsys):
    runs = ["--runs", str(folder / "runs")]
    assert run(["report", "placed", *runs, "-o", str(folder / "report.html"), "--csv", str(folder / "t.csv")]) == 0
    page = (folder / "report.html").read_text()
    assert all(name in page for name in FOUND)
    number = max(t.number for t in searched.trials)
    best = folder / "best.yaml"
    assert run(["export", "placed", *runs, "--pick", f"trial:{number}", "-o", str(best)]) == 0
    chosen = searched.trials[number].architecture
    assert str(Architecture.of({s: g for s, g in chosen if g.module != "none"})) in best.read_text()
    assert sum(p.numel() for p in load_base(str(best)).build().parameters()) > 0
    capsys.readouterr()
    again = ["search", "placed", *runs, "--trials", "6", "--json"]
    assert run(again) == 0
    assert len(json.loads(capsys.readouterr().out)["trials"]) == 6


def test_liveness_of_chosen_slots(folder, write_study, capsys, searched):
    study = write_study(folder / "measured.yaml", epochs=1, jobs=1, device="cpu")
    capsys.readouterr()
    assert run(["slots", str(study), "--slots", "inner.*.replace,lateral.p3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["drop"]) == {"lateral.p3", *(f"inner.{p}.replace" for p in ("p3", "p4", "p5"))}


@pytest.mark.parametrize("command", ["search", "slots"])
def test_a_pattern_that_matches_nothing_is_said_before_anything_is_trained(command, folder, write_study, capsys):
    study = write_study(folder / f"wrong-{command}.yaml")
    runs = ["--runs", str(folder / "none")] if command == "search" else []
    assert run([command, str(study), "--slots", "inner.p7.*,p3", *runs]) == 2
    said = capsys.readouterr().err
    assert "got 'inner.p7.*'" in said and "inner.p3.insert" in said and "Traceback" not in said
