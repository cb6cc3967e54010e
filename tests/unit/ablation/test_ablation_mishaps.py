"""Ablations in which trials fail, crash or cannot be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from untrained_ablations import (
    ACMIX,
    FULL,
    LSKA,
    QUIET,
    Silent,
    ablated,
    ablation_plan,
    run_ablation_plan,
    verdicts,
    words,
)

from nas_attn.ablation.decide import NO_DIFFERENCE, UNDECIDED, UNTESTED
from nas_attn.ablation.plan.estimate import estimate
from nas_attn.ablation.report.rows import family_rows
from nas_attn.ablation.view import AblationView
from nas_attn.cli.ablation_tables import plan_table
from nas_attn.dashboard.ablation_card import AblationCard
from nas_attn.engine import InlineEngine
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.records import RecordLog

__all__ = ["ablated"]
BASE = "p3=none p4=none p5=none"


@dataclass(frozen=True)
class Fragile(SyntheticEvaluator):
    """An evaluator that fails with some seeds, for one architecture or for all."""

    only: str | None = None
    lost: tuple[int, ...] = ()

    def __call__(self, architecture, fidelity, seed, **more):
        if seed in self.lost and self.only in (None, str(architecture)):
            raise EvaluationFailed("loss is NaN")
        return super().__call__(architecture, fidelity, seed, **more)


def test_a_flagged_arm_is_left_out_and_named(ablated):
    flagged = f"{ACMIX} p4=none p5=none"
    view = ablated(SyntheticEvaluator(**QUIET, flag_on=(flagged,)), seeds=4)
    assert verdicts(view)["without p4"] == UNTESTED
    row = next(r for r in family_rows(view, "base") if r.label == "without p4")
    assert row.val is None and len(row.remarks) == 4
    assert "not comparable: batch halved" in row.remarks[0]
    assert verdicts(view)["full"] in (UNDECIDED, NO_DIFFERENCE)


def test_a_failing_arm_is_named_and_the_rest_goes_on(ablated):
    view = ablated(SyntheticEvaluator(**QUIET, fail_on=(f"p3=none {LSKA} p5=none",)), seeds=5)
    row = next(r for r in family_rows(view, "base") if r.label == "without p3")
    assert row.words == "not tested: no seed gave a comparable pair"
    assert all("failed: the synthetic evaluator" in r for r in row.remarks)
    assert verdicts(view)["full"] in (UNDECIDED, NO_DIFFERENCE) and not view.partial


def test_a_scale_whose_base_fails_trains_nothing_else_there(tmp_path):
    observer = Silent()
    plan = ablation_plan(
        tmp_path / "a", SyntheticEvaluator(**QUIET), kinds=("scale",), scales=("yolo11s.yaml",), seeds=5
    )
    plan.scales["yolo11s.yaml"] = replace(plan.scales["yolo11s.yaml"], evaluator=SyntheticEvaluator(fail_on=(BASE,)))
    view = run_ablation_plan(plan, observer=observer)
    assert any("could not be trained on yolo11s.yaml: the synthetic" in n for n in observer.notes)
    assert [t.state for t in view.views["yolo11s.yaml"].trials] == ["failed"] * 3
    assert words(view)["full on yolo11s"] == "not tested: the base could not be trained on yolo11s.yaml"
    assert words(view, "scale").popitem()[1] == words(view)["full on yolo11s"] and not view.partial
    cost = estimate(plan, view)
    seeds = [row[3] for row in plan_table(plan, cost, view).table.rows]
    assert cost.trials == 0 and seeds == ["5, done", "5, done", "base failed", "base failed"]
    assert "The liveness of the slots of yolo11s could not be measured, because the base could not be trained." in (
        AblationCard(view).liveness
    )
    assert verdicts(view)["full"] in (UNDECIDED, NO_DIFFERENCE)


def test_a_scale_whose_base_failed_on_one_seed_is_tried_on_more(tmp_path):
    def planned(seeds):
        options = {"kinds": ("scale",), "scales": ("yolo11s.yaml",), "seeds": seeds}
        plan = ablation_plan(tmp_path / "a", SyntheticEvaluator(**QUIET), **options)
        plan.scales["yolo11s.yaml"] = replace(plan.scales["yolo11s.yaml"], evaluator=Fragile(**QUIET, lost=(100,)))
        return plan

    one = run_ablation_plan(planned(1))
    assert one.base_failed("yolo11s.yaml") and len(one.views["yolo11s.yaml"].trials) == 1
    five = run_ablation_plan(planned(5))
    assert not five.base_failed("yolo11s.yaml") and five.measured("yolo11s.yaml") and not five.partial
    assert "only 4 of 5 seeds" in words(five)["full on yolo11s"]


def test_a_base_that_fails_ends_it(tmp_path):
    plan = ablation_plan(tmp_path / "a", SyntheticEvaluator(fail_on=(BASE,)), seeds=3)
    with pytest.raises(EvaluationFailed, match="the base could not be trained"):
        run_ablation_plan(plan)


def test_a_base_that_failed_for_an_outside_reason_is_tried_anew(tmp_path):
    for tried in (3, 6):
        plan = ablation_plan(tmp_path / "a", SyntheticEvaluator(**QUIET, fail_on=(BASE,)), seeds=3)
        with pytest.raises(EvaluationFailed, match="give the same command again: it trains the base again"):
            run_ablation_plan(plan)
        assert sum(t.role == "base" for t in AblationView.read(tmp_path / "a").trials) == tried
    mended = run_ablation_plan(ablation_plan(tmp_path / "a", SyntheticEvaluator(**QUIET), seeds=3))
    whole = run_ablation_plan(ablation_plan(tmp_path / "b", SyntheticEvaluator(**QUIET), seeds=3))
    assert mended.values == whole.values and mended.decisions == whole.decisions and not mended.partial


def test_a_crashed_worker_costs_nothing(tmp_path):
    evaluator = SyntheticEvaluator(**QUIET)
    one = run_ablation_plan(ablation_plan(tmp_path / "one", evaluator, seeds=4))
    two = run_ablation_plan(ablation_plan(tmp_path / "two", evaluator, seeds=4), InlineEngine(width=3))
    assert {(t.architecture, t.seed): t.map50_95 for t in one.trials} == {
        (t.architecture, t.seed): t.map50_95 for t in two.trials
    }
    assert one.decisions == two.decisions


def test_failed_seeds_stand_in_the_verdict(tmp_path):
    evaluator = Fragile(**QUIET, planted=((ACMIX, 0.05),), only=FULL, lost=(101, 103))
    view = run_ablation_plan(ablation_plan(tmp_path / "a", evaluator, seeds=7))
    assert words(view)["full"] == "better; only 5 of 7 seeds can be compared"


def test_a_running_trial_of_an_unknown_base_model_is_left_alone(tmp_path):
    plan = ablation_plan(tmp_path, seeds=2)
    before = run_ablation_plan(plan)
    started = {"number": len(before.trials), "role": "base", "architecture": BASE, "seed": 0, "cost": {"gmacs": 3.0}}
    RecordLog(tmp_path).append("started", **started, arm="base", model="no-such-model.yaml")
    after = run_ablation_plan(plan)
    assert [t for t in after.trials if t.model is None] == list(before.trials)
