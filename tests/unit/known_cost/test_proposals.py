"""Proposals and the sampler: the expected gain, no point twice, pure decisions, Optuna studies, wrong input."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import optuna
import pytest

from nas_attn import known_cost
from nas_attn.known_cost import KnownCostSampler
from nas_attn.known_cost.improvement import ROOM, expected_gain, steps
from nas_attn.known_cost.measured import Measured
from nas_attn.known_cost.proposer import Proposer
from nas_attn.known_cost.space import ProductSpace

CHOICES: Any = {
    "p3": {"none": {}, "lska": {"k_size": [7, 11, 23]}, "acmix": {"head": [2, 4], "kernel_att": [5, 7]}},
    "p4": {"none": {}, "lska": {"k_size": [7, 11, 23]}},
    "width": [1, 2, 4],
}
SPACE = ProductSpace.of(CHOICES)


def cost(parameters):
    settings = sum(v for k, v in parameters.items() if k.count(".") == 2)
    return parameters["width"] + sum(parameters[s] != "none" for s in ("p3", "p4")) + 0.01 * settings


def truth(parameters):
    gain = {"none": 0.0, "lska": 1.0, "acmix": 0.5}
    return gain[parameters["p3"]] + 0.3 * gain[parameters["p4"]] + 0.2 * np.log2(parameters["width"])


def costs(points):
    return np.array([cost(SPACE.parameters(p)) for p in points])


def suggest(trial):
    for slot in ("p3", "p4"):
        option = trial.suggest_categorical(slot, list(CHOICES[slot]))
        for setting, values in CHOICES[slot][option].items():
            trial.suggest_categorical(f"{slot}.{option}.{setting}", values)
    trial.suggest_categorical("width", CHOICES["width"])
    return truth(trial.params), cost(trial.params)


def study_of(sampler, directions=("maximize", "minimize")):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(directions=list(directions), sampler=sampler)


def test_points_and_parameters_are_one_to_one():
    assert SPACE.size == 8 * 4 * 3 == len(SPACE.all()) == len(set(SPACE.keys(SPACE.all()).tolist()))
    for point in SPACE.all():
        assert SPACE.point(SPACE.parameters(point)) == tuple(point)
    assert SPACE.point({"p3": "none", "p4": "lska", "p4.lska.k_size": 9, "width": 1}) is None


def test_settings_in_order_are_alike_by_their_distance():
    at = SPACE.position[0]
    near, far = (SPACE.similarity[at["lska", (("k_size", 7),)], at["lska", (("k_size", k),)]] for k in (11, 23))
    assert near == pytest.approx(np.exp(-1)) and far == pytest.approx(np.exp(-2))
    assert SPACE.similarity[at["none", ()], at["lska", (("k_size", 7),)]] == 0


def test_the_expected_gain_is_that_of_the_area():
    rng = np.random.default_rng(0)
    front_cost, front_value, floor = rng.random(6), rng.normal(0, 1, 6), -1.5
    front = steps(front_cost, front_value, floor)
    mean, deviation, where = rng.normal(0, 1, 5), rng.uniform(0.1, 1, 5), rng.random(5)

    def area(c, v):
        edges = np.linspace(0, ROOM, 4001)
        middle = (edges[1:] + edges[:-1]) / 2
        best = np.array([max([floor, *v[c <= m]]) - floor for m in middle])
        return best.mean() * ROOM

    before = area(front_cost, front_value)
    for i, gain in enumerate(expected_gain(mean, deviation, where, front, floor)):
        drawn = mean[i] + deviation[i] * rng.standard_normal(200)
        gains = [area(np.append(front_cost, where[i]), np.append(front_value, d)) - before for d in drawn]
        assert gain == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / np.sqrt(200) + 2e-3)


def test_a_proposal_depends_on_nothing_but_the_seed_and_the_results():
    proposer = Proposer(SPACE, costs, 3)
    points, values = [], []
    for number in range(30):
        measured = Measured(list(points), list(values), [n % 3 for n in range(number)])
        point = proposer.propose(measured, number)
        assert point == Proposer(SPACE, costs, 3).propose(measured, number) and point not in points
        points.append(point)
        values.append(truth(SPACE.parameters(point)))
    assert Proposer(SPACE, costs, 4).propose(measured, 29) not in points[:29]


def test_running_points_are_not_proposed_again():
    proposer = Proposer(SPACE, costs, 0)
    points = [tuple(p) for p in SPACE.all()[::6]]
    values = [truth(SPACE.parameters(p)) for p in points]
    running = []
    for number in range(20, 28):
        running.append(proposer.propose(Measured(points, values, None, running), number))
    assert len(set(running)) == 8 and not set(running) & set(points)


def test_options_are_balanced_at_first():
    proposer, points = Proposer(SPACE, costs, 0), []
    for number in range(12):
        points.append(proposer.propose(Measured(points, [0.0] * number), number))
    chosen = [SPACE.parameters(p) for p in points]
    assert all(sum(c["p3"] == option for c in chosen) >= 3 for option in CHOICES["p3"])
    assert all(sum(c["p4"] == option for c in chosen) >= 4 for option in CHOICES["p4"])
    assert cost(chosen[0]) == min(costs(SPACE.all()))


@pytest.mark.parametrize("seed", range(3))
def test_the_front_is_found(seed):
    study = study_of(KnownCostSampler(CHOICES, cost, seed=seed))
    study.optimize(lambda t: suggest(t), n_trials=40)
    every = [SPACE.parameters(p) for p in SPACE.all()]
    best = {(truth(p), cost(p)) for p in every}
    front = {a for a in best if not any(b[0] >= a[0] and b[1] <= a[1] and a != b for b in best)}
    assert len({t.values[1] for t in study.best_trials} & {c for _, c in front}) >= 0.8 * len(front)
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 40


def test_a_study_ends_when_every_point_was_proposed():
    few = {"p3": {"none": {}, "se": {}}, "p4": {"none": {}, "se": {}}}
    study = study_of(KnownCostSampler(few, lambda p: sum(v != "none" for v in p.values()), seed=0))

    def objective(trial):
        values = [trial.suggest_categorical(s, ["none", "se"]) for s in few]
        return 0.1 * values.count("se"), values.count("se")

    study.optimize(objective, n_trials=20)
    assert len({tuple(t.params.values()) for t in study.trials}) == 4 and len(study.trials) <= 5


def test_minimised_scores_failures_and_enqueued_points():
    study = study_of(KnownCostSampler(CHOICES, cost, seed=1), ("minimize", "minimize"))
    study.enqueue_trial({"p3": "none", "p4": "none", "width": 1})

    def objective(trial):
        value, price = suggest(trial)
        if trial.number % 7 == 5:
            raise ValueError
        return (float("nan") if trial.number % 7 == 6 else -value), price

    study.optimize(objective, n_trials=30, catch=(ValueError,))
    assert study.trials[0].params == {"p3": "none", "p4": "none", "width": 1}
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 30
    assert min(t.values[0] for t in study.best_trials) == -truth({"p3": "lska", "p4": "lska", "width": 4})


def test_the_highest_cost_is_kept():
    study = study_of(KnownCostSampler(CHOICES, cost, seed=0, max_cost=2.5))
    study.optimize(suggest, n_trials=15)
    assert all(t.values[1] <= 2.5 for t in study.trials)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (({}, cost), "must have a choice"),
        (({"p3": []}, cost), "none at p3"),
        (({"p3": ["a", "a"]}, cost), "must be distinct"),
        ((CHOICES, cost, 0.5), "must allow a point; the cheapest one found costs 1"),
        ((CHOICES, cost, math.nan), "must be a number"),
        (({"p3": {"x": [1, 2]}}, cost), "slot -> option -> setting"),
        ((CHOICES, lambda p: math.nan), "finite number, but gave nan"),
        ((CHOICES, lambda p: math.inf if p["p3"] == "lska" else 1.0), "To forbid points"),
        ((CHOICES, lambda p: "3"), "gave '3'"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    choices, function, *limit = arguments
    with pytest.raises(ValueError, match=words):
        KnownCostSampler(choices, function, max_cost=limit[0] if limit else None)


def test_the_first_points_must_be_some():
    with pytest.raises(ValueError, match="`initial` must be at least 1"):
        KnownCostSampler(CHOICES, cost, initial=0)


def test_threads_do_not_repeat_each_other():
    study = study_of(KnownCostSampler(CHOICES, cost, seed=0))
    study.optimize(suggest, n_trials=40, n_jobs=4)
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 40


def test_a_sampler_can_be_copied():
    sampler = KnownCostSampler(CHOICES, cost, seed=0)
    study, other = study_of(sampler), study_of(pickle.loads(pickle.dumps(sampler)))
    for s in (study, other):
        s.optimize(suggest, n_trials=5)
    assert [t.params for t in study.trials] == [t.params for t in other.trials]


FLAGS = {f"s{i}": ["a", "b", "c", "d"] for i in range(10)}  # a million points


@pytest.mark.parametrize(("most", "points"), [(0, 1), (1, 31), (2, 436)])
def test_few_allowed_points_of_a_large_space_are_all_found(most, points):
    sampler = KnownCostSampler(FLAGS, lambda p: sum(v != "a" for v in p.values()), seed=0, max_cost=most)
    study = study_of(sampler)

    def objective(trial):
        chosen = [trial.suggest_categorical(s, FLAGS[s]) for s in FLAGS]
        return 0.4 + 0.01 * (chosen[0] == "b"), sum(c != "a" for c in chosen)

    study.optimize(objective, n_trials=min(points + 3, 60))
    distinct = {tuple(t.params.values()) for t in study.trials}
    assert len(distinct) == min(points, len(study.trials)) and max(t.values[1] for t in study.trials) == most
    assert len(study.trials) == (min(points + 1, 60))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"p3": "P3"}, "no point of `choices`"),
        ({"price": 5}, "second objective of trial 0 is .*, but `cost` gives"),
    ],
)
def test_an_objective_that_does_not_fit_is_warned_of(change, words):
    def objective(trial):
        value, price = suggest(trial) if "price" in change else (trial.suggest_float("P3", 0, 1), 1.0)
        return value, price + change.get("price", 0)

    with pytest.warns(UserWarning, match=words) as told:
        study_of(KnownCostSampler(CHOICES, cost, seed=0)).optimize(objective, n_trials=3)
    assert len([w for w in told if w.category is UserWarning]) == 1


def test_values_that_the_objective_does_not_offer_are_named():
    study = study_of(KnownCostSampler({"p3": ["x", "y"]}, lambda p: 1.0, seed=0))
    with pytest.raises(ValueError, match=r"all values that `choices` has for `p3`, but '[xy]' is not among"):
        study.optimize(lambda trial: (trial.suggest_categorical("p3", ["v", "w"]) == "v", 1.0), n_trials=1)


def test_one_objective_is_refused():
    study = optuna.create_study(sampler=KnownCostSampler(CHOICES, cost))
    with pytest.raises(ValueError, match="two objectives"):
        study.ask()


def test_the_folder_stands_alone(tmp_path):
    """OptunaHub takes the folder as it is: it imports nothing of this package, and not torch."""
    copytree(Path(known_cost.__file__).parent, tmp_path / "known_cost_alone")
    code = (
        "import sys, known_cost_alone as k; k.KnownCostSampler({'a': ['x', 'y']}, lambda p: 0.0); "
        "assert not {m.split('.')[0] for m in sys.modules} & {'nas_attn', 'torch'}"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert {"README.md", "LICENSE", "__init__.py"} <= {p.name for p in (tmp_path / "known_cost_alone").iterdir()}
