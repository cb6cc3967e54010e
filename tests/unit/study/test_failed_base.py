"""A search whose base cannot be trained ends with the reason and a remedy, and trains the base again when continued."""

from __future__ import annotations

import pytest
from untrained_searches import make_plan, run_plan

from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.view import StudyView


def test_a_base_that_cannot_be_trained_ends_the_study(tmp_path):
    base = "p3=none p4=none p5=none"
    with pytest.raises(EvaluationFailed, match="base could not be trained"):
        run_plan(make_plan(SyntheticEvaluator(fail_on=(base,))), tmp_path / "s")


def test_a_base_that_failed_for_an_outside_reason_is_tried_anew(tmp_path):
    broken = SyntheticEvaluator(fail_on=("p3=none p4=none p5=none",))
    for tried in (4, 8, 12):  # again at every start, and the end names the remedy
        with pytest.raises(
            EvaluationFailed, match=r"told to fail here.*Fix .* same command again: it trains the base again\.$"
        ):
            run_plan(make_plan(broken, trials=24), tmp_path / "s")
        assert len(StudyView.read(tmp_path / "s").trials) == tried
    view = run_plan(make_plan(trials=24), tmp_path / "s")
    assert [t.state for t in view.trials[:16]] == ["failed"] * 12 + ["complete"] * 4 and view.counted == 24
    assert sum(t.role == "base" for t in view.trials if t.state == "complete") >= 2 and view.slots
    assert run_plan(make_plan(trials=24), tmp_path / "s") == view


def test_a_target_used_up_by_failures_is_said(tmp_path):
    broken = SyntheticEvaluator(fail_on=("p3=none p4=none p5=none",))
    for _ in range(2):
        with pytest.raises(EvaluationFailed, match="Also raise --trials"):
            run_plan(make_plan(broken, trials=4), tmp_path / "s")
    assert run_plan(make_plan(trials=16), tmp_path / "s").slots
