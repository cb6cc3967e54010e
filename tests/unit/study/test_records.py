"""The reader of record logs: the faults that it names, the records that it ignores, and the advice that it gives."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fabricated_studies import BASE, CONV, Fabricator, fabricate
from untrained_searches import make_plan, run_plan

from nas_attn import __version__
from nas_attn.dashboard.source import LiveStudy, load_shown
from nas_attn.errors import RecordLost, UserError
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.records import LOG_NAME, RecordLog
from nas_attn.study.view import StudyView

STUDY = {"kind": "study", "format": 1, "id": "0", "version": "0", "name": "x", "base": "yolo11n"}
STUDY["config"] = {"name": "x", "trials": 3}
START = {"kind": "started", "number": 0, "role": "base", "architecture": BASE, "seed": 0}
START |= {"cost": {"gmacs": 3.0}, "sampled": {}}
FAILED = {"kind": "finished", "number": 0, "state": "failed", "reason": "x"}
FOUND = {"map50_95": 0.1, "map50": 0.1, "curve": [], "seconds": 1, "seed": 0, "epochs": 1, "imgsz": 64, "flags": []}
DONE = {"kind": "finished", "number": 0, "state": "complete", "evaluation": FOUND}


def write(folder: Path, *records: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / LOG_NAME).write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({}, "no `kind`"),
        (None, "not a record"),
        ([], "not a record"),
        ({"kind": 3}, "`kind` is not text"),
        ({**START, "architecture": 0}, "architecture"),
        ({**START, "architecture": "p3="}, "architecture"),
        ({**START, "seed": [0]}, "seed"),
        ({**START, "seed": True}, "seed"),
        ({**START, "cost": {}}, "cost.gmacs"),
        ({**START, "number": -1}, "number"),
        ({**START, "number": 10**400}, "number"),
        ({**FAILED, "number": 77}, "trial 77 started"),
        ({**DONE, "evaluation": True}, "evaluation"),
        ({**DONE, "evaluation": None}, "needs its `evaluation`"),
        ({**DONE, "evaluation": {**FOUND, "map50_95": float("nan")}}, "map50_95"),
        ({**DONE, "evaluation": {**FOUND, "curve": [{"loss": 1.0}]}}, "epoch"),
        ({"kind": "slots", "drop": []}, "slots|intact|drop"),
        ({"kind": "target", "trials": "3"}, "trials"),
    ],
)
def test_a_damaged_line_is_named_with_a_remedy(tmp_path, record, said):
    known = [] if isinstance(record, dict) and record.get("kind") == "started" else [START]
    write(tmp_path, STUDY, *known, record)
    with pytest.raises(RecordLost, match=said) as caught:
        StudyView.read(tmp_path)
    text = str(caught.value)
    assert f"line {2 + len(known)} of '{tmp_path / LOG_NAME}' is damaged" in text and "remove that line" in text


def test_finished_before_started_names_its_line(tmp_path):
    with pytest.raises(RecordLost, match=r"line 2 of .*no earlier line says that trial 0 started"):
        StudyView.read(write(tmp_path, STUDY, FAILED, START))


def test_the_first_line_has_no_such_remedy(tmp_path):
    write(tmp_path, {**STUDY, "config": 3}, START)
    with pytest.raises(RecordLost, match=r"line 1 .*Restore the file from a copy") as caught:
        StudyView.read(tmp_path)
    assert "remove" not in str(caught.value)


@pytest.mark.parametrize("damage", [[], [{}], [{"kind": "later"}], [{"kind": "target", "trials": 3}, {}]])
def test_without_a_study_record_first_only_a_copy_helps(tmp_path, damage):
    write(tmp_path, *damage, START, {"kind": "slots"}, STUDY)
    for read in (StudyView.read, load_shown):
        with pytest.raises(RecordLost, match=r"first record.*Restore the file from a copy") as caught:
            read(tmp_path)
        assert "remove" not in str(caught.value) and "search` first" not in str(caught.value)


def test_a_damaged_line_before_the_study_can_be_removed(tmp_path):
    write(tmp_path, {}, STUDY, START)
    with pytest.raises(RecordLost, match=r"line 1 of .*remove that line"):
        StudyView.read(tmp_path)


def test_what_a_header_lacks_is_said(tmp_path):
    view = StudyView.read(write(tmp_path, STUDY))
    with pytest.raises(RecordLost, match=r"line 1 of .* has no `classes`"):
        view.header["classes"]
    with pytest.raises(RecordLost, match=r"`config` in line 1 of .* has no `final_imgsz`"):
        view.header["config"]["final_imgsz"]


def test_a_newer_format_is_refused_with_the_version_that_wrote_it(tmp_path):
    write(tmp_path, {"kind": "study", "format": 2, "version": "9.8", "other": 1}, {"kind": 5})
    with pytest.raises(UserError, match=rf"written by nas_attn 9\.8; this is {__version__}.*Update") as caught:
        StudyView.read(tmp_path)
    assert caught.value.exit_code == 2


def test_what_a_later_version_wrote_in_this_format_is_passed_over(tmp_path):
    newer = {**DONE, "evaluation": {**FOUND, "new_field": 1}, "also": [1]}
    config = {**STUDY, "config": {**STUDY["config"], "new_setting": 1}}
    view = StudyView.read(write(tmp_path, config, START, {"kind": "later", "x": {}}, newer))
    assert [(t.number, t.state, t.map50_95) for t in view.trials] == [(0, "complete", 0.1)]


def test_empty_lines_and_half_a_last_line_lose_nothing(tmp_path):
    write(tmp_path, STUDY, START)
    with (tmp_path / LOG_NAME).open("ab") as file:
        file.write(b"\n\r\n" + json.dumps(FAILED).encode() + b"\r\n" + b'{"kind":"star')
    assert [t.state for t in StudyView.read(tmp_path).trials] == ["failed"]


def test_a_finished_trial_stays_when_its_number_is_started_again(tmp_path):
    again = {**START, "architecture": CONV, "role": "search"}
    view = StudyView.read(write(tmp_path, STUDY, START, DONE, again, {**FAILED}))
    assert [(str(t.architecture), t.state, t.map50_95) for t in view.trials] == [(BASE, "complete", 0.1)]


@pytest.mark.parametrize("kind", ["started", "finished", "slots", "target"])
def test_following_the_advice_gives_a_study_that_goes_on(tmp_path, kind):
    run_plan(make_plan(trials=8), tmp_path)
    log = RecordLog(tmp_path)
    if kind == "target":
        log.append("target", trials=8)
    lines = log.path.read_text().splitlines(keepends=True)
    at = max(i for i, line in enumerate(lines) if json.loads(line)["kind"] == kind)
    if kind == "started":
        at = next(i for i, line in enumerate(lines) if '"started"' in line and '"number":4' in line)
    lines[at] = lines[at][:20] + "\n"
    log.path.write_text("".join(lines))
    with pytest.raises(RecordLost) as caught:
        StudyView.read(tmp_path)
    named = str(caught.value).partition(" of ")[0].removeprefix("lines ").removeprefix("line ").split(", ")
    kept = [line for i, line in enumerate(lines, 1) if str(i) not in named]
    log.path.write_text("".join(kept))
    before = StudyView.read(tmp_path)
    view = run_plan(make_plan(trials=10), tmp_path)
    numbers = [t.number for t in view.trials]
    assert len(set(numbers)) == len(numbers) and view.counted == 10
    assert all(t.state in ("complete", "stopped", "failed") for t in view.trials)
    ended = {t.number: t.evaluation for t in before.trials if t.evaluation}
    assert {n: view.trial(n).evaluation for n in ended} == ended
    assert view == StudyView.read(tmp_path)


def test_a_new_trial_gets_a_number_above_all_others(tmp_path):
    run_plan(make_plan(trials=6), tmp_path)
    log = RecordLog(tmp_path)
    lines = [line for line in log.path.read_text().splitlines(keepends=True) if '"number":2' not in line]
    log.path.write_text("".join(lines))
    view = run_plan(make_plan(trials=8), tmp_path)
    assert [t.number for t in view.trials] == [0, 1, 3, 4, 5, 6, 7, 8]
    assert view.trial(3).number == 3 and list(view.frame()["number"]) == [0, 1, 3, 4, 5, 6, 7, 8]
    with pytest.raises(UserError, match="trial:2"):
        view.trial(2)


def test_what_0_1_0_wrote_is_read(tmp_path):
    study = fabricate(tmp_path, 8)
    view = StudyView.read(study.folder)
    assert {t.state for t in view.trials} == {"complete", "failed", "refused", "running"}
    one = Fabricator(tmp_path / "one")
    one.complete(BASE, 0.3, role="base")
    assert StudyView.read(one.folder).trials[0].evaluation is not None


def test_the_live_view_reads_only_what_was_added(tmp_path):
    study = Fabricator(tmp_path)
    live = LiveStudy(tmp_path)
    for seed in range(3):
        study.complete(BASE, 0.3, seed=seed, role="base")
        assert live.view() == StudyView.read(tmp_path)
    lines = study.log.path.read_text().splitlines(keepends=True)
    study.log.path.write_text("".join(lines[:-2]) + "{}\n" * 20)
    with pytest.raises(RecordLost):
        live.view()
    study.log.path.write_text("".join(lines[:-4]))  # edited: read anew
    assert live.view() == StudyView.read(tmp_path) and len(live.view().trials) == 1


@dataclass(frozen=True)
class Lost:
    """An evaluator that returns NaN scores or losses for every architecture except the base."""

    name: str
    inner: SyntheticEvaluator = field(default_factory=SyntheticEvaluator)

    def __call__(self, architecture, fidelity, seed, **keywords):
        found = self.inner(architecture, fidelity, seed, **keywords)
        if architecture.is_base:
            return found
        row = {"epoch": 1, "loss": float("nan")}
        return replace(found, **{self.name: (row,) if self.name == "curve" else float("nan")})


@pytest.mark.parametrize(("name", "state"), [("map50_95", "failed"), ("map50", "failed"), ("curve", "complete")])
def test_a_result_that_is_no_number_ends_no_search(tmp_path, name, state):
    view = run_plan(make_plan(Lost(name), trials=6), tmp_path)
    own = [t for t in view.trials if not t.architecture.is_base]
    assert own and {t.state for t in own} == {state}
    assert all(name in t.reason for t in own if state == "failed")
    assert [t.state for t in StudyView.read(tmp_path).trials] == [t.state for t in view.trials]
