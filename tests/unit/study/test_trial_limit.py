"""The time limit of a trial: a multiple of the base's time, or `trial_minutes`. A trial that takes longer fails."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from untrained_ablations import ablation_plan, run_ablation_plan
from untrained_searches import InlineEngine, make_plan, run_plan
from worker_calls import Hanging

from nas_attn.engine import LocalEngine
from nas_attn.errors import ConfigError
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.config import StudyConfig
from nas_attn.study.observer import Silent
from nas_attn.study.records import LOG_NAME


@dataclass(frozen=True)
class Slow(SyntheticEvaluator):
    """An evaluator that reports long times: seed 0 takes the longest, mostly before its checkpoint."""

    took: float = 100.0

    def __call__(self, architecture, fidelity, seed, **keywords):
        found = super().__call__(architecture, fidelity, seed, **keywords)
        return replace(found, seconds=1.0, steps_seconds=self.took / (seed % 100 + 1), val_seconds=10.0)


class Asking(InlineEngine):
    """An engine that notes the time limit of each call when the call is submitted."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[float | None] = []

    def submit(self, task):
        self.limits.append(task.limit())
        super().submit(task)


@pytest.mark.parametrize(("took", "limit"), [(100.0, 1100.0), (5.0, 600.0)])
def test_ten_times_the_slowest_base_and_at_least_ten_minutes(tmp_path, took, limit):
    engine = Asking()
    run_plan(make_plan(Slow(took=took), trials=8, control_seeds=2), tmp_path, engine=engine)
    assert engine.limits == [None, *[limit] * 7]


def test_what_the_user_said_holds_for_the_base_as_well(tmp_path):
    engine = Asking()
    run_plan(make_plan(Slow(), trials=6, control_seeds=2, trial_minutes=3), tmp_path, engine=engine)
    assert engine.limits == [180.0] * 6


def test_it_may_change_while_a_study_lives():
    one, other = (StudyConfig.of({"demo": True, "trial_minutes": m}) for m in (None, 5))
    assert one.identity() == other.identity()


def test_a_limit_that_no_trial_can_meet_is_refused():
    with pytest.raises(
        ConfigError, match=r"`trial_minutes` must be at least 0\.01.*got 0\.009 \(in the command line\)"
    ):
        StudyConfig.of({"demo": True, "trial_minutes": 0.009}, where="the command line")
    assert StudyConfig.of({"demo": True, "trial_minutes": 0.01}).trial_minutes == 0.01


def test_an_ablation_has_it_too(tmp_path):
    engine = Asking()
    run_ablation_plan(ablation_plan(tmp_path, Slow(), seeds=2), engine)
    assert engine.limits[0] is None and set(engine.limits[2:]) == {1100.0} and len(engine.limits) > 6


CONFIG = {"trials": 9, "control_seeds": 2, "trial_minutes": 0.02, "sampler": "random"}


@pytest.fixture
def calm(tmp_path):
    """A search without failures, and its first candidate."""
    view = run_plan(make_plan(**CONFIG), tmp_path / "calm")
    return view, next(t for t in view.trials if t.role == "search")


def hanging(trial, folder, **more):
    """The same search, in which the architecture of that trial hangs."""
    plan = make_plan(Hanging(hang_on=(str(trial.architecture),)), **CONFIG, **more)
    return run_plan(plan, folder, engine=LocalEngine(["cpu"]))


def test_a_search_goes_on_behind_a_trial_that_hangs(tmp_path, calm):
    whole, trial = calm
    view = hanging(trial, tmp_path / "hung")
    assert [t.number for t in view.trials if t.state != "complete"] == [trial.number]
    assert view.trials[trial.number].reason == "stopped after 0.02 minutes, the limit of a trial (--trial-minutes)"
    assert len(view.trials) == len(whole.trials)


def test_hours_end_a_search_that_hangs(tmp_path, calm):
    whole, trial = calm
    lines = (whole.folder / LOG_NAME).read_text().splitlines(keepends=True)
    begun = next(i for i, line in enumerate(lines) if f'"started","number":{trial.number},' in line)
    (tmp_path / "hung").mkdir()
    (tmp_path / "hung" / LOG_NAME).write_text("".join(lines[: begun + 1]))
    view = hanging(trial, tmp_path / "hung", hours=1e-9)
    assert [t.state for t in view.trials] == ["complete"] * trial.number + ["failed"]


def test_a_search_that_runs_out_of_hours_says_so(tmp_path):
    notes: list[str] = []

    class Watch(Silent):
        def note(self, text):
            notes.append(text)

    run_plan(make_plan(trials=9), tmp_path / "s")
    for trials in (20, 9):
        view = run_plan(make_plan(trials=trials, hours=1e-9), tmp_path / "s", observer=Watch())
        assert len(view.trials) == 9
    assert notes == [
        "The limit of 1e-09 hours was reached after 9 of 20 trials. The same command continues the search."
    ]
