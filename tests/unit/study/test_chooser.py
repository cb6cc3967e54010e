"""The sampler `known-cost` in a study: further seeds, used-up spaces, and limits."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from untrained_searches import make_plan, run_plan

from nas_attn.analysis.front import front
from nas_attn.analysis.posterior import posterior
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.observer import Silent


def test_a_used_up_space_gets_further_seeds(tmp_path):
    modules = {"conv": {"groups": [1], "residual": ["none"]}}
    plan = make_plan(SyntheticEvaluator(noise_sd=0.03), trials=40, modules=modules, early_stop="off")
    view = run_plan(plan, tmp_path / "s")
    runs = [(t.architecture, t.seed) for t in view.trials]
    assert view.counted == 40 == len(set(runs)) and len({a for a, _ in runs}) == plan.space.size == 8
    on = found.on_front if (found := posterior(view)) is not None else None
    assert on is not None and min(len(found.seeds(c)) for c, p in zip(found.candidates, on, strict=True) if p > 0.5) > 3


class Clock(Silent):
    """A clock on which each trial takes a hundredth of an hour."""

    def __init__(self):
        self.seconds = 0.0

    def finished(self, view, trial):
        self.seconds += 36

    def monotonic(self):
        return self.seconds


@pytest.mark.parametrize("limits", [{"trials": 60}, {"trials": 1000, "hours": 0.6}], ids=["trials", "hours"])
def test_no_member_of_the_front_has_a_single_run_at_the_end(limits, monkeypatch, tmp_path):
    single = members = repeats_far = repeats = 0
    for seed in range(2):
        monkeypatch.setattr("nas_attn.study.search.time", clock := Clock())
        evaluator = SyntheticEvaluator(seed=seed, effect_sd=0.006, noise_sd=0.007, seed_sd=0.003)
        plan = make_plan(evaluator, **limits, seed=seed, early_stop="off")
        view = run_plan(plan, tmp_path / str(seed), observer=clock)
        assert view.counted == 60
        found, on = posterior(view), front(view)
        assert found is not None
        members += len(on)
        single += sum(len(c.seeds) == 1 for c in on)
        for c, p in zip(found.candidates, found.on_front, strict=True):
            repeats += len(c.seeds) - 1
            repeats_far += (len(c.seeds) - 1) * (p < 0.01 and c.role == "search")
    assert single <= 0.1 * members
    assert repeats_far < 0.25 * repeats


def test_controls_get_more_seeds_when_a_decision_waits_for_them(tmp_path):
    evaluator = SyntheticEvaluator(effect_sd=0.002, noise_sd=0.01)
    view = run_plan(make_plan(evaluator, trials=60, early_stop="off"), tmp_path / "s")
    base = [t for t in view.trials if t.architecture.is_base]
    assert len(base) > 2 == len([t for t in view.trials[:4] if t.architecture.is_base])


def test_known_cost_keeps_to_the_limits_without_refusals(tmp_path):
    view = run_plan(make_plan(trials=30, max_gmacs=3.06), tmp_path / "s")
    assert view.counted == 30 and all(t.state in ("complete", "stopped") and t.gmacs <= 3.06 for t in view.trials)
    again = run_plan(make_plan(trials=30, max_gmacs=3.06), tmp_path / "again")
    assert [str(t.architecture) for t in view.trials] == [str(t.architecture) for t in again.trials]


def test_a_limit_that_only_a_dead_slot_meets_names_the_cheapest_live_module(tmp_path):
    plan = make_plan(SyntheticEvaluator(dead=("p3",)), trials=30)
    cheap = {g: replace(cost, macs=min(cost.macs, 10)) for g, cost in plan.table.cells["p3"].items()}
    table = replace(plan.table, cells={**plan.table.cells, "p3": cheap})
    live = [(c.macs, f"{slot}={g}") for slot in ("p4", "p5") for g, c in table.cells[slot].items() if c.macs]
    said: list[str] = []

    class Notes(Silent):
        def note(self, text):
            said.append(text)

    limited = make_plan(SyntheticEvaluator(dead=("p3",)), trials=30, max_gmacs=3.0 + 1e-6)
    view = run_plan(replace(limited, table=table), tmp_path / "s", observer=Notes())
    assert min(live)[0] > 1000 and not [t for t in view.trials if t.role == "search"]
    assert any(f"for the cheapest, {min(live)[1]}" in text for text in said)


def test_of_millions_of_architectures_the_few_that_keep_to_a_limit_are_tried(tmp_path):
    heads = {"acmix": {"head": [1, 2, 4, 8], "kernel_att": [3, 5, 7, 9]}}
    others = ("conv", "lska", "efficient_attention", "lka", "cbam", "eca", "se", "ema")
    plan = make_plan(
        SyntheticEvaluator(noise_sd=0.0), trials=60, modules={**heads, **dict.fromkeys(others)}, max_gmacs=3.004
    )
    costs = [[plan.table.cell(s.slot.name, g).macs for g in s.genes] for s in plan.space.slots]
    allowed = sum(sum(some) <= 4e6 for some in itertools.product(*([c for c in cs if c <= 4e6] for cs in costs)))
    said: list[str] = []

    class Notes(Silent):
        def note(self, text):
            said.append(text)

    view = run_plan(plan, tmp_path / "s", observer=Notes())
    tried = {t.architecture for t in view.trials}
    assert plan.space.size > 2e6 and len(tried) == allowed == 25 and all(t.gmacs <= 3.004 for t in view.trials)
    assert (view.counted < 60) == any("Every architecture" in text for text in said)  # else it gave further seeds
