"""Trials of an earlier study as evidence: those that compare count, others are named, wrong input is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from untrained_searches import MODULES, make_plan, run_plan

from nas_attn.analysis.posterior import posterior
from nas_attn.analysis.tables import trial_cells
from nas_attn.errors import StudyChanged
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.evidence import evidence_of, records_of
from nas_attn.study.folder import RunFolder
from nas_attn.study.plan import Plan
from nas_attn.study.trial import next_number
from nas_attn.study.view import StudyView

NEW = StudyView.empty(Path("new"))  # nothing is known yet
EVALUATOR = SyntheticEvaluator(effect_sd=0.02, noise_sd=0.005)
MORE = {**MODULES, "se": None}


def plan_of(name: str, **config) -> Plan:
    plan = make_plan(EVALUATOR, name=name, **{"trials": 20, "epochs": 12, **config})
    return replace(plan, header={**plan.header, "id": name})


@pytest.fixture(scope="module")
def earlier(tmp_path_factory) -> StudyView:
    fails = replace(EVALUATOR, fail_on=("p3=conv p4=none p5=none",))
    plan = replace(plan_of("old", trials=30), evaluator=fails)
    return run_plan(plan, tmp_path_factory.mktemp("runs") / "old")


def begun(plan: Plan, earlier: StudyView, path) -> StudyView:
    """A new study that has only the evidence, as `study/run.py` begins it."""
    folder = RunFolder(path)
    folder.create()
    if not folder.log.exists():
        folder.log.append("study", **plan.header)
    view = StudyView.read(path)
    for fields in records_of(evidence_of(earlier, plan, view), next_number(view.trials)):
        folder.log.append("evidence", **fields)
    return StudyView.read(path)


def test_the_trials_count_as_evidence_but_not_toward_the_number(earlier, tmp_path):
    plan = plan_of("new", modules=MORE)
    start = begun(plan, earlier, tmp_path / "new")
    assert start.counted == 0 and len(start.trials) == 30
    view = run_plan(plan, tmp_path / "new")
    own = [t for t in view.trials if not t.origin]
    assert view.counted == 20 == len(own)
    assert all(t.origin == f"old {t.number}" for t in view.trials[:30])
    assert "from old 3" in trial_cells(view.trials[3])["remark"]
    found = posterior(view)
    assert found is not None and len(found.runs) == 50
    # the base and its slots are known already, so the first trials of its own search
    assert [t.role for t in own].count("base") < 3 and view.slots["trials"] >= 2


def test_nothing_is_copied_twice_and_later_trials_are_added(earlier, tmp_path):
    plan = plan_of("new")
    part = replace(earlier, trials=earlier.trials[:12])
    begun(plan, part, tmp_path / "new")
    assert not evidence_of(part, plan, StudyView.read(tmp_path / "new")).trials
    assert len(begun(plan, earlier, tmp_path / "new").trials) == 30


def test_evidence_travels_on_with_its_first_origin(earlier, tmp_path):
    middle = begun(plan_of("middle"), earlier, tmp_path / "middle")
    last = evidence_of(middle, plan_of("last"), NEW)
    assert {t.origin.split()[0] for t in last.trials} == {"old"}
    back = evidence_of(middle, plan_of("old"), earlier)  # its own trials do not come back
    assert not back.trials and back.left_out == {"here already": 30}


def test_trials_that_do_not_compare_are_left_out_with_their_reason(earlier):
    flagged = replace(earlier.trials[6].evaluation, flags=("batch halved",))
    other = replace(earlier.trials[7].evaluation, imgsz=160)
    odd = [
        replace(earlier.trials[6], evaluation=flagged),
        replace(earlier.trials[7], evaluation=other),
        replace(earlier.trials[8], state="running", evaluation=None),
        replace(earlier.trials[9], state="failed", evaluation=None),
    ]
    view = replace(earlier, trials=(*earlier.trials[:6], *odd))
    found = evidence_of(view, plan_of("new"), NEW)
    reasons = {"not comparable": 1, "trained for 12 epochs at 160 px": 1, "still running": 1, "failed": 1}
    assert found.left_out == reasons and len(found.trials) == 6
    for reason in reasons:
        assert f"1 ({reason})" in found.words()
    fewer = evidence_of(earlier, plan_of("new", modules={"lska": None}), NEW)
    assert fewer.left_out["uses a module or setting that this study does not search"] > 0
    assert fewer.differs == ("modules",) and "differ in modules" in fewer.words()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": "base"}, "the trained base"),
        ({"epochs": 20}, "epochs (12 there, 20 here)"),
        ({"imgsz": 160}, "imgsz"),
        ({"lr0": 0.01}, "lr0"),
        ({"train": {"mosaic": 0.5}}, "the training setting mosaic (not set there, 0.5 here)"),
    ],
)
def test_another_recipe_is_refused(earlier, changes, said):
    with pytest.raises(StudyChanged) as error:
        evidence_of(earlier, plan_of("new", **changes), NEW)
    assert said in str(error.value)


def test_a_study_of_a_release_without_training_settings_counts(earlier):
    config = {name: value for name, value in earlier.header["config"].items() if name != "train"}
    view = replace(earlier, header={**earlier.header, "config": config})
    assert evidence_of(view, plan_of("new"), NEW).trials == evidence_of(earlier, plan_of("new"), NEW).trials != ()


@pytest.mark.parametrize("name", ["data", "base", "weights"])
def test_another_base_or_data_is_refused(earlier, name):
    plan = plan_of("new")
    other = {**plan.header["fingerprints"], name: "other"}
    with pytest.raises(StudyChanged, match=f"the {name}"):
        evidence_of(earlier, replace(plan, header={**plan.header, "fingerprints": other}), NEW)


def test_the_source_of_a_module_must_be_the_same(earlier):
    plan = plan_of("new")
    changed = {**plan.header["fingerprints"], "modules": {"acmix": "other"}}
    found = evidence_of(earlier, replace(plan, header={**plan.header, "fingerprints": changed}), NEW)
    assert found.left_out["the source of its module has changed"] > 0


def test_the_records_say_where_a_trial_came_from(earlier, tmp_path):
    begun(plan_of("new"), earlier, tmp_path / "new")
    lines = (tmp_path / "new" / "records.jsonl").read_text("utf-8").splitlines()
    started = [r for r in map(json.loads, lines) if r["kind"] == "evidence"]
    copied = [t.number for t in earlier.trials if t.evaluation]
    assert [r["origin"] for r in started] == [f"old {n}" for n in copied]
    assert [r["source"] for r in started] == [f"old:{n}" for n in copied]


def test_a_base_without_the_liveness_of_new_slots_is_trained_again(earlier, tmp_path):
    lost = [replace(t, evaluation=replace(t.evaluation, liveness={"p3": 0.1})) for t in earlier.trials[:2]]
    many = replace(earlier, trials=(*lost, *earlier.trials[2:]))
    view = begun(plan_of("new"), many, tmp_path / "new")
    assert sum(t.role == "base" for t in view.trials) >= 2 and not view.slots
    view = run_plan(plan_of("new"), tmp_path / "new")
    assert view.slots["trials"] == 2 and view.counted == 20


def test_an_earlier_study_of_the_same_name_is_another_study(earlier, tmp_path):
    begun(plan_of("new"), earlier, tmp_path / "new")
    other = replace(earlier, header=earlier.header.changed({"id": "another"}))
    assert len(evidence_of(other, plan_of("new"), StudyView.read(tmp_path / "new")).trials) == 30


@pytest.mark.parametrize("copied", [1, 9])
def test_a_kill_while_evidence_is_copied_leaves_whole_trials(earlier, tmp_path, copied):
    plan = plan_of("new")
    begun(plan, earlier, tmp_path / "new")
    log = tmp_path / "new" / "records.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[: 1 + copied]) + lines[1 + copied][:50])
    RunFolder(tmp_path / "new").log.repair()
    view = run_plan(plan, tmp_path / "new")
    assert view.counted == 20 and sum(bool(t.origin) for t in view.trials) == copied


def test_evidence_of_another_device_does_not_flag_the_own_trials(earlier, tmp_path):
    moved = [replace(t, evaluation=replace(t.evaluation, device="NVIDIA A100")) for t in earlier.trials if t.evaluation]
    begun(plan_of("new"), replace(earlier, trials=tuple(moved)), tmp_path / "new")
    view = run_plan(plan_of("new"), tmp_path / "new")
    assert all(t.usable or t.stopped for t in view.trials if not t.origin)
