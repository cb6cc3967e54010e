"""The sampler `known-cost` in a study: it ends when everything was tried, and keeps to the limits."""

from __future__ import annotations

import itertools
from dataclasses import replace

from untrained_searches import make_plan, run_plan

from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.observer import Silent


def test_known_cost_ends_when_everything_was_tried(tmp_path):
    plan = make_plan(trials=40, modules={"conv": {"groups": [1], "residual": ["none"]}}, slots=None)
    said: list[str] = []

    class Notes(Silent):
        def note(self, text):
            said.append(text)

    view = run_plan(plan, tmp_path / "s", observer=Notes())
    tried = [t.architecture for t in view.trials if t.role == "search"]
    assert len(set(tried)) == len(tried) and len({t.architecture for t in view.trials}) == plan.space.size == 8
    assert sum("Every architecture" in text for text in said) == 1


def test_known_cost_keeps_to_the_limits_without_refusals(tmp_path):
    view = run_plan(make_plan(trials=30, max_gmacs=3.06), tmp_path / "s")
    assert view.counted == 30 and all(t.state == "complete" and t.gmacs <= 3.06 for t in view.trials)
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


def test_of_millions_of_architectures_all_few_that_keep_to_a_limit_are_tried(tmp_path):
    heads = {"acmix": {"head": [1, 2, 4, 8], "kernel_att": [3, 5, 7, 9]}}
    others = ("conv", "lska", "efficient_attention", "lka", "cbam", "eca", "se", "ema")
    plan = make_plan(trials=60, modules={**heads, **dict.fromkeys(others)}, max_gmacs=3.004)
    costs = [[plan.table.cell(s.slot.name, g).macs for g in s.genes] for s in plan.space.slots]
    allowed = sum(sum(some) <= 4e6 for some in itertools.product(*([c for c in cs if c <= 4e6] for cs in costs)))
    said: list[str] = []

    class Notes(Silent):
        def note(self, text):
            said.append(text)

    view = run_plan(plan, tmp_path / "s", observer=Notes())
    tried = {t.architecture for t in view.trials}
    assert plan.space.size > 2e6 and len(tried) == allowed == 25 and all(t.gmacs <= 3.004 for t in view.trials)
    assert sum("Every architecture" in text for text in said) == 1
