"""The table of real trainings: its lists of architectures, its files, and the evaluator that replays it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from neck_table import FOLDER, PARTS, NeckTable, Run, order, scaled
from replayed_table import ReplayEvaluator
from signal_per_second import intraclass

from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Fidelity
from nas_attn.space import NONE, Architecture

PART = PARTS["generated"]
BASE = order("generated")[0]


def run(architecture: Architecture, seed: int, validated: tuple[int, ...] = tuple(range(1, 13))) -> Run:
    curve = [
        {"epoch": e, "loss": 9.0 - e / 3, "lr": 0.001}
        | ({"map50_95": 0.02 * e, "map50": 0.03 * e} if e in validated else {})
        for e in range(1, 13)
    ]
    facts = {
        "part": "generated",
        "architecture": str(architecture),
        "seed": seed,
        "group": 0,
        "cpu_seconds": 40.0,
        "seconds": 50.0,
    }
    facts |= {
        "steps_seconds": 30.0,
        "val_seconds": 12.0,
        "flags": "",
        "recipe": json.dumps({"batch": 8}),
        "versions": "",
    }
    return Run(facts | {"gmacs": 3.0, "params_m": 2.5}, tuple(curve))


@pytest.mark.parametrize(("data", "size"), [("generated", 125), ("bccd", 25)])
def test_all_architectures_of_the_subspace_in_an_order_that_is_balanced_from_the_beginning(data, size):
    listed = order(data)
    assert len(listed) == len(set(listed)) == size and listed[0].is_base
    alone = [a for a in listed if sum(g != NONE for _, g in a) == 1]
    assert listed[1 : 1 + len(alone)] == alone
    filled = [s for s in listed[0].slots if any(a[s] != NONE for a in listed)]
    for slot in filled:
        counts = {g: sum(a[slot] == g for a in listed[1 + len(alone) : 40]) for g in {a[slot] for a in alone}}
        some = [n for g, n in counts.items() if g != NONE]
        assert max(some) - min(some) <= 1


@pytest.mark.parametrize(("short", "long"), [("generated", "generated-long"), ("bccd", "bccd-long")])
def test_long_runs_judge_short_ones_of_the_same_architectures_with_seeds_of_their_own(short, long):
    some, others = ({j.architectures for j in PARTS[p].jobs} for p in (short, long))
    assert others <= some and not set(PARTS[short].seeds) & set(PARTS[long].seeds)


def test_inherited_runs_have_scaled_modules():
    assert str(scaled(Architecture.parse("p3=conv p4=none"))) == "p3=conv(residual=scaled) p4=none"
    assert all("scaled" in str(j.architectures[0]) for j in PARTS["generated-inherited"].jobs[1:40])


def test_intraclass_correlation_of_a_published_table():
    """Shrout and Fleiss (1979), table 2: six targets, four judges; ICC(3,1) = .71 in table 4."""
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert intraclass(np.array(ratings, float)) == pytest.approx(0.71, abs=0.005)


def test_kept_runs_are_read_back(tmp_path):
    table = NeckTable(tmp_path)
    first, second = run(BASE, 0), run(order("generated")[1], 2, validated=(12,))
    table.add([second])
    table.add([first])
    again = NeckTable(tmp_path).runs
    assert list(again) == [first.key, second.key]
    assert again[first.key] == first and again[second.key] == second
    files = {f.name: f.read_bytes() for f in tmp_path.iterdir()}
    NeckTable(tmp_path).add([first])
    assert files == {f.name: f.read_bytes() for f in tmp_path.iterdir()}


def test_scores_are_those_of_architectures_with_every_seed(tmp_path):
    table = NeckTable(tmp_path)
    table.add(run(BASE, seed) for seed in PART.seeds)
    table.add([run(order("generated")[1], 0)])
    names, scores = table.scores("generated")
    assert names == [str(BASE)] and scores.tolist() == [[0.24] * 3]


def test_a_replayed_run_costs_what_it_took_with_one_validation(tmp_path):
    NeckTable(tmp_path).add([run(BASE, 0)])
    found = ReplayEvaluator("generated", tmp_path)(BASE, PART.fidelity, 0)
    assert found.map50_95 == pytest.approx(0.24) and found.comparable and len(found.curve) == 12
    assert found.seconds == pytest.approx(40 * (1 - 12 / 50 * 11 / 12))
    stopped = ReplayEvaluator("generated", tmp_path)(BASE, PART.fidelity, 0, stop_above={3: 1.0, 6: 1.0})
    assert stopped.stopped == 3 and stopped.map50_95 == pytest.approx(0.06) and len(stopped.curve) == 3
    assert stopped.seconds == pytest.approx(found.seconds / 4)
    passed = ReplayEvaluator("generated", tmp_path)(BASE, PART.fidelity, 0, stop_above={3: 9.0, 6: 8.0})
    assert passed == found


def test_a_run_that_is_not_there_fails(tmp_path):
    NeckTable(tmp_path).add([run(BASE, 0, validated=(12,))])
    replay = ReplayEvaluator("generated", tmp_path)
    with pytest.raises(EvaluationFailed, match="no run of"):
        replay(BASE, PART.fidelity, 1)
    with pytest.raises(EvaluationFailed, match="no run of"):
        replay(BASE, Fidelity(24, 128), 0)
    with pytest.raises(EvaluationFailed, match="no validation after epoch 3"):
        replay(BASE, PART.fidelity, 0, stop_above={3: 1.0})


@pytest.mark.parametrize("part", [p for p in PARTS if PARTS[p].together > 1])
def test_every_architecture_is_in_one_group_and_the_base_in_each(part):
    whole = PARTS[part]
    for seed in whole.seeds:
        groups = [j.architectures for j in whole.jobs if j.seed == seed]
        assert all(g[0].is_base and 1 < len(g) <= whole.together for g in groups)
        others = [a for g in groups for a in g[1:]]
        assert others == order(whole.data)[1 : whole.count]


def test_the_committed_table_is_whole():
    for (part, architecture, seed, group), found in NeckTable(FOLDER).runs.items():
        jobs = [j for j in PARTS[part].jobs if (j.seed, j.group) == (seed, group)]
        assert any(architecture == str(a) for j in jobs for a in j.architectures)
        assert len(found.curve) == PARTS[part].epochs and "map50_95" in found.curve[-1]
        assert found.facts["gmacs"] > 0 and not found.facts["flags"]


def test_recorded_groups_are_replayed_without_their_levels(tmp_path):
    table = NeckTable(tmp_path)
    some = order("generated")[:3]

    def member(architecture: Architecture, group: int, higher: float) -> Run:
        found = run(architecture, 1)
        curve = tuple({**row, "loss": row["loss"] + 10 * group + higher} for row in found.curve)
        return Run({**found.facts, "part": "generated-together", "group": group}, curve)

    table.add([member(some[0], 1, 0.0), member(some[1], 1, 0.3), member(some[0], 2, 0.0), member(some[2], 2, -0.2)])
    replay = ReplayEvaluator("generated", tmp_path)
    found = replay.together([*some, order("generated")[5]], PARTS["generated-together"].fidelity, 1000)
    ended = [e for e in found if not isinstance(e, EvaluationFailed)]
    assert [round(e.curve[-1]["loss"], 6) for e in ended] == [0.0, 0.3, -0.2]
    assert all(e.seed == 1000 and e.together == {"group": "1000", "size": 4, "rows": 0} for e in ended)
    assert isinstance(found[3], EvaluationFailed) and "no run of" in str(found[3])
