"""Early stops: thresholds by their definition, expected ends, searches with stops, and evaluators without them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from untrained_searches import make_plan, run_plan

from nas_attn.analysis.posterior import posterior
from nas_attn.analysis.tables import counts, state_of
from nas_attn.detector.proxy.recipe import STOPPED
from nas_attn.evaluate import Evaluation, can_stop
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import Architecture
from nas_attn.study.early_stop import SLACK, epochs_of, thresholds
from nas_attn.study.observer import Silent
from nas_attn.study.training_loss import LEAST, Line, predicted
from nas_attn.study.trial import Trial

WIDE = SyntheticEvaluator(effect_sd=0.05, noise_sd=0.005)  # many architectures far below the front


def trial(number: int, loss: float, end: float, *, stopped: int | None = None, flag: str = "") -> Trial:
    """A trial of four epochs with this loss in the first one, and half of it in the others."""
    flags = (*((f"{STOPPED}{stopped}",) if stopped else ()), *((flag,) if flag else ()))
    losses = (loss, loss / 2, loss / 2, loss / 2)[: stopped or 4]
    rows = tuple({"epoch": i, "loss": v, "lr": 0.0} for i, v in enumerate(losses, 1))
    found = Evaluation(end, end, rows, 1.0, 0, 4, 64, flags=flags)
    state = "stopped" if found.stopped else "complete"
    return Trial(number, "search", Architecture.parse(f"p3=se(rd_ratio={number + 1})"), 0, state, {}, found)


def noisy(n: int, seed: int, slope: float = -0.1, noise: float = 0.01) -> list[Trial]:
    """Finished trials whose ends lie around 0.5 + slope * loss."""
    rng = np.random.default_rng(seed)
    losses = rng.uniform(1, 2, n)
    ends = 0.5 + slope * losses + noise * rng.standard_normal(n)
    return [trial(i, float(x), float(y)) for i, (x, y) in enumerate(zip(losses, ends, strict=True))]


@pytest.mark.parametrize(("epochs", "looks"), [(3, ()), (4, (1, 2, 3)), (15, (2, 4, 8, 12)), (100, (13, 25, 50, 75))])
def test_a_run_is_looked_at_after_an_eighth_and_each_quarter(epochs, looks):
    assert epochs_of(epochs) == looks


def test_nothing_is_stopped_before_enough_trials_have_finished():
    some = noisy(LEAST, 0)
    assert set(thresholds(some, 4, 0.4, 0.01, "safe")) == {1, 2, 3}
    odd = [trial(90, 1.5, 0.35, flag="batch halved"), trial(91, 1.5, 0.1, stopped=1)]
    assert thresholds([*some[1:], *odd], 4, 0.4, 0.01, "safe") == {}
    assert thresholds(some, 8, 0.4, 0.01, "safe") == {}  # those were runs of four epochs


def test_at_the_threshold_the_expected_end_and_the_largest_gain_just_reach_the_front():
    some, noise = noisy(12, 1), 0.01
    line = Line.of(some, 1, 4)
    for mode, share, few in (("safe", 1.0, 2.228), ("fast", 0.9, 1.372)):  # Student's t with 10 degrees of freedom
        limit = thresholds(some, 4, 0.4, noise, mode)[1]
        gain = max(np.quantile(line.rest, share), few * line.variance**0.5)
        assert line.at(limit).value + gain + SLACK * noise == pytest.approx(0.4, abs=1e-4)
    assert thresholds(some, 4, 0.4, noise, "fast")[1] < thresholds(some, 4, 0.4, noise, "safe")[1]
    assert thresholds(some, 4, 0.45, noise, "safe")[1] < thresholds(some, 4, 0.4, noise, "safe")[1]


def test_if_the_loss_tells_nothing_no_trial_stops():
    assert thresholds(noisy(30, 2, slope=0.1), 4, 0.9, 0.01, "fast") == {}
    equal = [trial(i, 1.5, 0.3 + 0.01 * i) for i in range(10)]
    assert thresholds(equal, 4, 0.9, 0.01, "fast") == {}
    stops = 0
    for seed in range(40):  # even if one architecture is far better than the others
        lucky = [*noisy(20, seed, slope=0.0), trial(90, 1.5, 0.6)]
        stops += bool(thresholds(lucky, 4, 0.59, 0.01, "fast"))
    assert stops <= 2


def test_what_learns_as_fast_as_the_best_goes_on():
    some = [*noisy(20, 5), trial(90, 1.5, 0.9)]
    limit = thresholds(some, 4, 0.9, 0.0, "fast")
    assert all(value >= min(t.evaluation.curve[e - 1]["loss"] for t in some) for e, value in limit.items())


def test_a_trial_that_will_be_good_is_rarely_stopped():
    rng, lost = np.random.default_rng(0), []
    for seed in range(300):
        limit = thresholds(noisy(20, seed), 4, 0.39, 0.01, "safe")[1]
        loss = rng.uniform(1, 2)
        good = 0.5 - 0.1 * loss + 0.01 * rng.standard_normal() > 0.39
        lost.append(good and loss > limit)
    assert np.mean(lost) < 0.03


def test_the_end_of_a_stopped_trial_lies_on_the_line_of_the_others_with_its_error():
    some = noisy(40, 4)
    odd = trial(50, 1.5, 0.1, stopped=1), trial(51, 4.0, 0.1, stopped=1), trial(52, 1.5, 0.1, flag="x")
    found = predicted([*some, *odd])
    assert set(found) == {50, 51}
    assert found[50].value == pytest.approx(0.35, abs=0.01)
    assert found[50].variance == pytest.approx(1e-4, rel=0.6) and found[51].variance > 1.3 * found[50].variance


def test_predictions_hold_the_truth_as_often_as_they_say():
    rng, inside = np.random.default_rng(1), []
    for seed in range(400):
        found = predicted([*noisy(12, seed), trial(50, 2.3, 0.1, stopped=1)])[50]
        inside.append(abs(0.27 + 0.01 * rng.standard_normal() - found.value) < 1.96 * found.variance**0.5)
    assert 0.88 < np.mean(inside) < 0.98


def test_the_shared_error_of_a_line_counts_for_each_of_its_trials():
    some = noisy(10, 4)
    one = predicted([*some, trial(50, 3.0, 0.1, stopped=1)])[50]
    three = predicted([*some, *(trial(50 + i, 3.0, 0.1, stopped=1) for i in range(3))])[50]
    rest = Line.of(some, 1, 4).variance
    assert three.value == one.value and three.variance - rest == pytest.approx(3 * (one.variance - rest))


def test_a_trial_without_enough_others_has_no_expected_end():
    stopped = trial(50, 1.5, 0.1, stopped=1)
    assert predicted([stopped, *noisy(LEAST - 1, 5)]) == {}
    flat = [trial(i, 1.0, 0.4) for i in range(LEAST)]
    assert predicted([*flat, stopped])[50].value == pytest.approx(0.4)  # no slope is known
    assert predicted([*noisy(9, 6), trial(51, float("nan"), 0.1, stopped=1)]) == {}


def test_a_search_stops_what_stays_below_the_front_and_finds_the_same(tmp_path):
    views = {
        mode: run_plan(make_plan(WIDE, trials=40, epochs=12, early_stop=mode), tmp_path / mode)
        for mode in ("off", "safe", "fast")
    }
    stopped = {mode: [t for t in v.trials if t.stopped is not None] for mode, v in views.items()}
    assert not stopped["off"] and 0 < len(stopped["safe"]) <= len(stopped["fast"])
    for mode, view in views.items():
        assert view.counted == 40
        best = max((t for t in view.trials if t.usable), key=lambda t: t.map50_95)
        assert best.map50_95 > 0.9 * max(t.map50_95 for t in views["off"].trials if t.usable)
        found = posterior(view)
        assert found is not None and {c.architecture for c in found.candidates} == {
            t.architecture for t in view.trials if t.usable
        }
        assert len(found.runs) == 40  # stopped runs count as evidence
        assert all(t.role == "search" and not t.usable and state_of(t) == "stopped" for t in stopped[mode])
        assert counts(view).get("stopped", 0) == len(stopped[mode])
    for t in stopped["safe"]:
        assert WIDE.truth(t.architecture) < max(WIDE.truth(o.architecture) for o in views["safe"].trials if o.usable)
        assert len(t.evaluation.curve) == t.stopped and t.map50_95 is None


def test_further_seeds_and_controls_are_never_stopped(tmp_path):
    view = run_plan(make_plan(WIDE, trials=60, epochs=12, early_stop="fast"), tmp_path / "s")
    first: set[Architecture] = set()
    for t in view.trials:
        if t.stopped is not None:
            assert t.architecture not in first and t.role == "search"
        first.add(t.architecture)


def test_a_study_continues_with_other_stops_or_without(tmp_path):
    run_plan(make_plan(WIDE, trials=30, epochs=12, early_stop="fast"), tmp_path / "s")
    view = run_plan(make_plan(WIDE, trials=45, epochs=12, early_stop="off"), tmp_path / "s")
    assert any(t.stopped is not None for t in view.trials[:30])
    assert not any(t.stopped is not None for t in view.trials[30:]) and view.counted == 45


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_every_sampler_is_told_the_predicted_end(tmp_path, sampler):
    view = run_plan(make_plan(WIDE, trials=40, epochs=12, sampler=sampler), tmp_path / "s")
    assert any(t.stopped is not None for t in view.trials) and view.counted == 40


@dataclass(frozen=True)
class Plain:
    """An evaluator that cannot be told to stop."""

    inner: SyntheticEvaluator = field(default_factory=lambda: WIDE)

    def __call__(self, architecture, fidelity, seed, *, checkpoint=None, liveness=False):
        return self.inner(architecture, fidelity, seed, liveness=liveness)


def test_an_evaluator_that_cannot_be_stopped_switches_stops_off_and_says_so(tmp_path):
    notes: list[str] = []

    class Notes(Silent):
        def note(self, text):
            notes.append(text)

    view = run_plan(make_plan(Plain(), trials=20, epochs=12), tmp_path / "s", observer=Notes())
    assert view.counted == 20 and sum("Early stops are off" in n for n in notes) == 1
    run_plan(make_plan(Plain(), trials=20, epochs=12, early_stop="off"), tmp_path / "off", observer=Notes())
    assert sum("Early stops are off" in n for n in notes) == 1


def test_an_evaluator_without_losses_switches_stops_off_and_says_so(tmp_path):
    @dataclass(frozen=True)
    class Lossless:
        def __call__(self, architecture, fidelity, seed, *, checkpoint=None, liveness=False, stop_above=None):
            found = WIDE(architecture, fidelity, seed, liveness=liveness)
            return replace(found, curve=tuple({"epoch": r["epoch"], "loss": float("nan")} for r in found.curve))

    notes: list[str] = []

    class Notes(Silent):
        def note(self, text):
            notes.append(text)

    run_plan(make_plan(Lossless(), trials=16, epochs=12), tmp_path / "s", observer=Notes())
    assert sum("gives no `loss`" in n for n in notes) == 1


@pytest.mark.parametrize(
    ("evaluator", "can"),
    [(WIDE, True), (ProxyEvaluator("m", "d", 1), True), (Plain(), False), (print, False), (3, False)],
)
def test_evaluators_that_can_be_stopped_are_known_by_their_signature(evaluator: Any, can):
    assert can_stop(evaluator) == can


def test_runs_that_are_too_short_switch_stops_off_and_say_so(tmp_path):
    notes: list[str] = []

    class Notes(Silent):
        def note(self, text):
            notes.append(text)

    run_plan(make_plan(WIDE, trials=5, epochs=3), tmp_path / "s", observer=Notes())
    assert "Early stops are off: a run has fewer than 4 epochs." in notes
    run_plan(make_plan(WIDE, trials=5, epochs=3, early_stop="off"), tmp_path / "off", observer=Notes())
    assert sum("Early stops" in n for n in notes) == 1


def test_all_trials_of_a_step_that_fail_leave_the_search_going(tmp_path):
    whole = run_plan(make_plan(WIDE, trials=24, epochs=12), tmp_path / "whole")
    victims = tuple(str(t.architecture) for t in whole.trials if t.role == "search" and t.number % 3)
    view = run_plan(make_plan(replace(WIDE, fail_on=victims), trials=24, epochs=12), tmp_path / "s")
    assert view.counted == 24 and any(t.state == "failed" for t in view.trials)
