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


def test_the_source_may_be_gone_when_the_study_continues(runs):
    search("new", runs, earlier=str(runs / "old"))
    shutil.rmtree(runs / "old")
    assert search("new", runs, trials=12).view.counted == 12


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
