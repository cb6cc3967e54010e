"""`run_search(earlier=...)` as users call it: new modules, a gone or damaged source, wrong names, a running study."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import nas_attn as na
from nas_attn.errors import ConfigError, NasAttnError, StudyChanged, UserError
from nas_attn.study.folder import Lease, RunFolder
from nas_attn.study.observer import Silent

SIZES: dict[str, Any] = {"width": 0.0625, "epochs": 4, "imgsz": 64, "final_imgsz": 320, "dead_slots": "keep"}
FEW = {"acmix": {"head": [2], "kernel_att": [3, 5]}, "conv": None}


class Notes(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text):
        self.said.append(text)


def search(name: str, runs: Path, *, observer: Silent | None = None, **given: Any) -> na.Study:
    options = {**SIZES, "trials": 10, "modules": FEW, "model": "yolo11n.yaml", **given}
    return na.run_search(
        name,
        runs=runs,
        evaluator=na.SyntheticEvaluator(),
        engine=na.InlineEngine(),
        observer=observer or Silent(),
        **options,
    )


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    runs = tmp_path_factory.mktemp("evidence")
    search("old", runs, trials=14)
    return runs


@pytest.fixture
def runs(old, tmp_path) -> Path:
    return Path(shutil.copytree(old, tmp_path / "runs"))


def test_a_study_with_one_more_module_begins_with_the_evidence(runs):
    heard = Notes()
    study = search("new", runs, earlier="old", modules={**FEW, "se": None}, observer=heard)
    own = [t for t in study.trials if not t.origin]
    assert len(own) == 10 and len(study.trials) == 24 and study.view.counted == 10
    assert "10 of 10 trials" in repr(study)
    told = next(t for t in heard.said if "as evidence" in t)
    assert "14 trials of study 'old' count as evidence" in told and "differ in modules" in told
    states = study.frame()["state"].value_counts()
    assert states["complete"] + states["stopped"] == 24


def test_the_source_may_be_gone_when_the_study_continues(runs, monkeypatch):
    monkeypatch.chdir(runs)
    search("new", runs, earlier="../runs/old")
    monkeypatch.chdir(runs.parent)  # the path is relative to the folder in which it was given
    assert search("new", runs).view.header["config"]["earlier"] == str(runs / "old")
    shutil.rmtree(runs / "old")
    heard = Notes()
    assert search("new", runs, trials=12, observer=heard).view.counted == 12
    assert any("No further evidence" in text and "must name a study" in text for text in heard.said)
    for wrong in ("nothing", str(runs / "old")):  # but who asks for it is told
        with pytest.raises(UserError, match="must name a study that was searched"):
            search("new", runs, trials=12, earlier=wrong)


def test_a_source_that_no_longer_compares_does_not_keep_the_study_from_continuing(runs):
    search("new", runs, earlier="old")
    log = runs / "old" / "records.jsonl"
    log.write_text(log.read_text("utf-8").replace('"epochs":4', '"epochs":8'), "utf-8")
    heard = Notes()
    assert search("new", runs, trials=12, observer=heard).view.counted == 12
    assert any("epochs (8 there, 4 here)" in text for text in heard.said)
    with pytest.raises(StudyChanged, match="epochs"):
        search("new", runs, trials=12, earlier="old")


def test_evidence_from_which_nothing_is_new_is_named(runs):
    search("new", runs, earlier="old")
    heard = Notes()
    search("new", runs, earlier="old", observer=heard)
    assert any("0 trials of study 'old' count" in t and "14 (here already)" in t for t in heard.said)


def test_evidence_over_the_limit_is_not_picked(runs):
    old = na.load_study("old", runs=runs)
    costs = sorted(c.gmacs for c in old.candidates())
    limit = costs[len(costs) // 2]
    study = search("new", runs, earlier="old", max_gmacs=limit)
    over = [c for c in study.candidates() if c.gmacs > limit]
    assert over and all(t.origin for c in over for t in c.trials)
    shown = [*study.front(), *(p.candidate for p in study.picks())]
    assert all(c.gmacs <= limit or c.architecture.is_base for c in shown)


def test_a_study_is_not_its_own_evidence(runs):
    with pytest.raises(UserError, match="cannot be its own evidence"):
        search("old", runs, earlier="old", trials=16)
    assert na.load_study("old", runs=runs).view.counted == 14


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"earlier": "nothing"}, UserError, "must name a study that was searched"),
        ({"earlier": "old", "model": "yolov8n.yaml"}, StudyChanged, "the base"),
        ({"earlier": "old", "epochs": 8}, StudyChanged, "epochs (4 there, 8 here)"),
        ({"until": "bored"}, ConfigError, "until"),
        ({"early_stop": "maybe"}, ConfigError, "early_stop"),
    ],
)
def test_wrong_input_is_refused_and_leaves_nothing_behind(runs, given, error, said):
    with pytest.raises(error) as raised:
        search("new", runs, **given)
    assert said in str(raised.value)
    assert not (runs / "new").exists()


def test_a_damaged_source_is_refused_with_its_line(runs):
    log = runs / "old" / "records.jsonl"
    lines = log.read_text("utf-8").splitlines(keepends=True)
    log.write_text("".join([*lines[:5], "{broken\n", *lines[6:]]), "utf-8")
    with pytest.raises(NasAttnError, match="line 6 of"):
        search("new", runs, earlier="old")
    assert not (runs / "new").exists()


def test_a_study_that_is_searched_at_the_moment_gives_what_it_has(runs):
    with Lease(RunFolder(runs / "old")):
        log = runs / "old" / "records.jsonl"
        lines = log.read_text("utf-8").splitlines(keepends=True)
        log.write_text("".join(lines[:-1]) + lines[-1][:40], "utf-8")  # the last trial has not ended
        heard = Notes()
        study = search("new", runs, earlier="old", observer=heard)
    assert len([t for t in study.trials if t.origin]) == 13
    assert any("1 (still running)" in text for text in heard.said)
