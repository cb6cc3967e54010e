"""The value of further runs: against direct simulation, and the choice between new and measured points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from nas_attn.known_cost.improvement import ROOM
from nas_attn.known_cost.knowledge import gain_of_run, hypervolume, means_after, on_front
from nas_attn.known_cost.measured import Measured
from nas_attn.known_cost.proposer import Proposer
from nas_attn.known_cost.space import ProductSpace

SPACE = ProductSpace.of({f"p{i}": {"none": {}, "a": {"k": [1, 2, 3]}, "b": {}, "c": {}} for i in (3, 4, 5)})
FLOOR = -0.5


def costs(points):
    return np.asarray(points).sum(1).astype(float)


def front(seed: int = 0, n: int = 9):
    rng = np.random.default_rng(seed)
    root = rng.normal(0, 0.3, (n, n))
    return rng.normal(0, 0.5, n), root @ root.T, rng.random(n)


def test_the_hypervolume_is_the_area_under_the_front():
    mean, _, cost = front()
    grid = np.linspace(0, ROOM, 200_001)
    heights = [max([FLOOR, *mean[cost <= c]]) for c in grid[::100]]
    area = np.trapezoid(np.array(heights) - FLOOR, grid[::100])
    assert hypervolume(mean, cost, FLOOR) == pytest.approx(area, abs=2e-3)
    several = hypervolume(np.stack([mean, mean + 1]), cost, FLOOR)
    assert several[0] == hypervolume(mean, cost, FLOOR) < several[1]


def test_the_gain_of_a_run_is_that_of_many_simulated_runs():
    mean, covariance, cost = front(1)
    noise = 0.04
    gains = gain_of_run(mean, covariance, cost, noise, FLOOR)
    normal = norm.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None]
    for i in (0, 3, 8):
        after = means_after(mean, covariance, np.array([i]), noise, normal)
        simulated = hypervolume(after, cost, FLOOR).mean() - hypervolume(mean, cost, FLOOR)
        assert gains[i] == pytest.approx(simulated, rel=0.03, abs=1e-4)


def test_means_after_several_runs_spread_as_the_knowledge_that_they_bring():
    mean, covariance, _ = front(2)
    runs = np.array([1, 1, 4])
    after = means_after(mean, covariance, runs, 0.04, np.random.default_rng(0).standard_normal((60_000, 3)))
    inner = covariance[np.ix_(runs, runs)] + 0.04 * np.eye(3)
    known = covariance[:, runs] @ np.linalg.solve(inner, covariance[runs])
    assert np.cov(after.T) == pytest.approx(known, abs=0.02)
    assert after.mean(0) == pytest.approx(mean, abs=0.02)


def test_a_run_that_cannot_change_the_front_is_worth_nothing():
    covariance = np.diag([1e-4, 1e-4, 0.09])
    gains = gain_of_run(np.array([1.0, 0.0, 1.2]), covariance, np.array([0.1, 0.2, 0.3]), 0.01, FLOOR)
    assert gains[1] < 1e-9 < gains[2]


def test_the_probability_of_the_front_counts_ties_for_both():
    draws = np.array([[1.0, 1.0, 0.5], [2.0, 1.0, 3.0]])
    assert on_front(draws, np.array([1.0, 1.0, 2.0])).tolist() == [1.0, 0.5, 0.5]


def simulated(left: bool, trials: int = 60, noise: float = 0.3, seed: int = 0) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    effects = rng.normal(0, 0.3, (3, 6))
    proposer = Proposer(SPACE, costs, seed)
    points: list[tuple[int, ...]] = []
    values: list[float] = []
    for n in range(trials):
        point = proposer.propose(Measured(points, values), n, trials - n if left else None)
        assert point is not None
        points.append(point)
        values.append(float(effects[np.arange(3), point].sum() + rng.normal(0, noise)))
    return points


def test_without_a_number_of_runs_no_point_is_proposed_twice():
    points = simulated(left=False)
    assert len(set(points)) == len(points)


def test_under_noise_points_of_the_front_are_repeated_and_no_member_has_a_single_run():
    points = simulated(left=True)
    runs = {p: points.count(p) for p in points}
    assert max(runs.values()) >= 3 and len(runs) > 25
    assert runs[points[-1]] >= 2  # the last runs confirm


def test_a_used_up_space_gives_further_runs_only_if_runs_are_left():
    small = ProductSpace.of({"p3": {"none": {}, "a": {}}, "p4": {"none": {}, "a": {}}})
    proposer = Proposer(small, costs, 0)
    every = [tuple(p) for p in small.all().tolist()]
    runs = 4 * every
    values = (np.tile([0.1, 0.2, 0.3, 0.25], 4) + np.random.default_rng(0).normal(0, 0.1, 16)).tolist()
    assert proposer.propose(Measured(runs, values), 4) is None
    assert proposer.propose(Measured(runs, values), 4, left=9) in every
    busy = proposer.propose(Measured(runs, values, running=every[:2]), 7, left=9)
    assert busy is None or busy in every[2:]
    assert proposer.propose(Measured(runs, values, spent=every), 4, left=9) in every  # one failure does not bar a point
    assert proposer.propose(Measured(runs, values, spent=2 * every), 4, left=9) is None
    assert proposer.propose(Measured((), (), spent=every), 4, left=9) is None


def test_with_one_allowed_point_there_is_nothing_to_decide():
    small = ProductSpace.of({"p3": {"none": {}, "a": {}}, "p4": {"none": {}, "a": {}}})
    proposer = Proposer(small, costs, 0, allowed=lambda points: costs(points) == 0)
    measured = Measured([(0, 0), (0, 0), (1, 1)], [0.1, 0.2, 0.3])
    assert proposer.propose(measured, 3, left=9) is None
