"""The benchmark of samplers: runs, the store of finished runs, and the verdicts on goals."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import optuna
import pytest
import sampler_results
from sampler_asks import asks
from sampler_results import KNOWN_COST, Entry, Store, steps
from sampler_runs import METHODS, Method, run
from sampler_scores import DEFAULT, best_stock, goals, rows, scores
from synthetic_necks import Necks
from tabular_spaces import Replicates, Table

STOCK = {m.name: m for m in METHODS if m.needs == "optuna" and not m.slow}
ENTRY = Entry("macro", DEFAULT, 0, 4, [[1, 1.0], [3, 0.5]], 0.01)


@pytest.fixture(scope="module")
def necks() -> Table:
    return Necks("necks", 0)


def nine() -> Replicates:
    costs = np.arange(1.0, 10.0)
    return Replicates("nine", {s: {o: {} for o in "abc"} for s in ("x", "y")}, costs, [[math.sqrt(c)] for c in costs])


@pytest.mark.parametrize("method", STOCK.values(), ids=STOCK)
def test_a_run_is_a_pure_function_of_its_seed(method, necks):
    assert run(necks, method, 1, 12).curve == run(necks, method, 1, 12).curve


@pytest.mark.parametrize("name", ["random, no repeats", "nsga2, no repeats", "default TPE, no repeats"])
def test_without_repeats_a_space_is_seen_whole(name):
    result = run(nine(), STOCK[name], 0, 9)
    assert result.repeats == 0 and result.curve[-1] == pytest.approx(0)


@pytest.mark.parametrize("trials", [30, 10_000])
def test_asks_are_measured_in_a_study_of_any_size(trials, necks):
    measured = asks(necks, STOCK["random"], trials, count=2)
    assert 0 < measured["median"] <= measured["longest"] < 5


def test_a_sampler_that_only_repeats_itself_gets_random_architectures():
    class Stubborn(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, name, distribution):
            return distribution.choices[0]

    assert run(nine(), Method("stubborn", lambda *_: Stubborn(seed=0)), 0, 9).repeats == 8
    assert run(nine(), Method("stubborn", lambda *_: Stubborn(seed=0), once=True), 0, 9).repeats == 0


def test_a_curve_survives_as_steps():
    curve = [1.0, 1.0, 0.5, 0.5, 0.25]
    entry = replace(ENTRY, trials=5, steps=steps(curve))
    assert entry.steps == [[1, 1.0], [3, 0.5], [5, 0.25]]
    assert entry.curve(5).tolist() == curve and entry.curve(3).tolist() == curve[:3]


def test_the_store_keeps_the_last_run_and_passes_over_half_a_line(tmp_path):
    store = Store(tmp_path / "runs.jsonl")
    store.add(ENTRY)
    with store.path.open("a") as file:
        file.write('{"table": "mac\n')
    store.add(replace(ENTRY, trials=8))
    assert Store(store.path).entries() == {ENTRY.key: replace(ENTRY, trials=8)}
    store.tidy()
    assert [json.loads(line)["trials"] for line in store.path.read_text().splitlines()] == [8]


def test_runs_of_an_older_known_cost_are_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(sampler_results, "digest", lambda: "new")
    path = tmp_path / "runs.jsonl"
    for source, seed in (("old", 0), ("new", 1)):
        Store(path).add(replace(ENTRY, method=KNOWN_COST, seed=seed, source=source))
    Store(path).add(ENTRY)
    assert sorted(Store(path).entries()) == [ENTRY.key, ("macro", KNOWN_COST, 1)]
    Store(path).tidy()
    assert len(path.read_text().splitlines()) == 2


def made(method: str, final: float, seeds: int = 5) -> list[Entry]:
    return [replace(ENTRY, method=method, seed=s, steps=[[1, 1.0], [3, final]]) for s in range(seeds)]


def test_goals_are_judged_on_common_seeds():
    entries = made(KNOWN_COST, 0.1, seeds=3) + made(DEFAULT, 0.4) + made("nsga2", 0.2) + made("gp", 0.11, seeds=2)
    found = scores(entries, "macro", 4, seeds=20)
    assert best_stock(found).method == "nsga2"  # gp has too few seeds
    judged = {g.noted or g.text: g for g in goals("macro", found)}
    assert judged["default TPE, 3 seeds"].figure == pytest.approx(0.25)
    assert [g.verdict for g in goals("macro", found)] == ["reached", "missed", "reached", "reached"]
    assert found[KNOWN_COST].reaches(0.4) == 3 and found["nsga2"].reaches(0.1) is None
    assert len(rows(found)) == 5


def test_a_goal_without_runs_is_not_reached():
    assert {g.verdict for g in goals("nb201", scores(made(DEFAULT, 0.4), "macro", 4, seeds=20))} == {"no runs"}
