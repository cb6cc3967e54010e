"""The choice between runs alone and groups, judged on the real trainings of the neck table."""

from __future__ import annotations

import numpy as np
import pytest
from neck_table import NeckTable, order

from nas_attn.known_cost.groups import BOTH, CLOSE, MORE, group
from nas_attn.known_cost.measured import Cheap, Measured, Point
from nas_attn.known_cost.proposer import Proposer
from nas_attn.space import NONE, Architecture
from nas_attn.study.coded import PRIOR, Coded

SECONDS = {"bccd": (95.0, 43.3), "generated": (44.1, 20.6)}  # CPU seconds alone, and of a member of a group


def choice(data: str, seed: int, alone: int, both: int) -> tuple[list[Point], set[Point]]:
    """(points of the next group, points that run alone), after runs of the first architectures of the table.

    Args:
        data: `generated` or `bccd`.
        seed: of the runs.
        alone: number of architectures with a run alone.
        both: number of these that also were in a group.
    """
    table, architectures = NeckTable(), order(data)
    coded = Coded({s: {NONE: 0.0} | {a[s]: 0.0 for a in architectures} for s in architectures[0].slots}, 0.0)
    runs = {(k[0], k[1], k[3] > 0): r for k, r in table.runs.items() if k[2] == seed}
    known = [a for a in architectures if (data, str(a), False) in runs][:alone]
    single = [runs[data, str(a), False] for a in known]

    def loss(run):
        return -float(np.mean([row["loss"] for row in run.curve[-(-3 * len(run.curve) // 4) :]]))

    # the table's groups have other members: the base of each takes out its level
    base = str(Architecture.none(known[0].slots))
    members = [runs[f"{data}-together", str(a), True] for a in known[:both]]
    levels = [loss(table.runs[f"{data}-together", base, seed, m.key[3]]) for m in members]
    points = [point for a in known if (point := coded.point(a)) is not None]
    measured = Measured(
        tuple(points),
        tuple(r.curve[-1]["map50_95"] for r in single),
        tuple(seed for _ in single),
        second=[loss(r) for r in single],
        cheap=Cheap(
            tuple(points[:both]),
            tuple(loss(m) - level for m, level in zip(members, levels, strict=True)),
            tuple(0 for _ in members),
            size=8,
            seconds=SECONDS[data],
        ),
    )
    added = {p: r.facts["gmacs"] for p, r in zip(points, single, strict=True)}
    mean = float(np.mean(list(added.values())))
    proposer = Proposer(coded.space, lambda some: np.array([added.get(tuple(p), mean) for p in some]), 0, prior=PRIOR)
    return group(proposer, measured, len(points), 80), set(points)


@pytest.mark.parametrize("seed", [0, 1])
def test_on_bccd_groups_mislead_and_are_dropped_after_the_first_look(seed):
    assert choice("bccd", seed, BOTH, BOTH)[0] == []


@pytest.mark.parametrize("seed", [0, 1])
def test_on_the_generated_set_they_pay(seed):
    found, known = choice("generated", seed, 20, 20)
    assert len(found) == 8 and not set(found) & known, "new architectures, all in one run"


def test_a_close_first_look_is_followed_by_a_second():
    for seed in (0, 1):
        found, known = choice("generated", seed, 20, BOTH)
        assert len(found) == 8
        assert set(found) <= known or not set(found) & known, "either known ones again, or already new ones"
    assert 0 < CLOSE < 1 and BOTH < MORE
