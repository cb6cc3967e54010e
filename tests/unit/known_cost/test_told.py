"""Cheap runs that measure something else: what they tell helps, the rest harms nothing; and their groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nas_attn.known_cost.groups import BOTH, MORE, WORTH, group
from nas_attn.known_cost.kernel import Kernel
from nas_attn.known_cost.measured import Cheap, Measured
from nas_attn.known_cost.observations import Runs
from nas_attn.known_cost.posterior import Posterior
from nas_attn.known_cost.proposer import Proposer
from nas_attn.known_cost.space import ProductSpace
from nas_attn.known_cost.told import ToldKernel
from nas_attn.study.coded import PRIOR

MODULES = {"none": {}, "conv": {"groups": [1, 2]}, "acmix": {"head": [2, 4], "kernel": [3, 5]}, "se": {}}
SPACE = ProductSpace.of({f"p{i}": MODULES for i in (3, 4, 5)})
KERNEL = Kernel(SPACE)
WEIGHTS = np.array([0.35, 0.15, 0.15, 0.1, 0.05, 0.05, 0.15])


class Case:
    """A truth of which cheap runs tell a part, with runs of both kinds.

    Args:
        seed: of everything.
        tells: correlation of what the cheap runs measure with the truth.
    """

    def __init__(self, seed: int, tells: float) -> None:
        rng = np.random.default_rng(seed)
        points = np.unique(SPACE.random(rng, 80), axis=0)
        rng.shuffle(points)
        self.points = np.concatenate([np.zeros((1, 3), int), points[(points != 0).any(1)]])
        n = len(self.points)
        self.cost = self.points.sum(1) / self.points.sum(1).max()
        features = KERNEL.features(self.points, self.cost)
        root = np.linalg.cholesky(np.tensordot(WEIGHTS, KERNEL.parts(features, features), 1) + 1e-9 * np.eye(n))
        self.g, rest = (root @ rng.standard_normal(n) for _ in range(2))
        self.truth = 0.006 * (tells * self.g + (1 - tells**2) ** 0.5 * rest)
        some = 1 + rng.permutation(n - 1)[:56]
        some[::8] = 0  # each group has the base
        groups = np.arange(len(some)) // 8
        noise = 0.5 * rng.standard_normal(len(some)) + 0.5 * rng.standard_normal(7)[groups]
        runs = Runs(self.points, self.cost, some.tolist(), (self.g[some] + noise).tolist(), groups.tolist())
        self.cheap = Posterior(KERNEL, runs, best=True, prior=PRIOR)
        at = np.concatenate([[0, 0, 0], some[1:7], some[9:15], rng.permutation(n)[:18]])
        values = 0.3 + self.truth[at] + 0.007 * rng.standard_normal(len(at))
        self.runs = Runs(self.points, self.cost, at.tolist(), values.tolist(), [0] * len(at))

    def error(self, kernel: Kernel) -> float:
        """The mean squared error of the differences to the first point."""
        found = Posterior(kernel, self.runs, prior=PRIOR)
        differences = np.eye(len(self.points))
        differences[:, 0] -= 1
        drawn = found.contrasts(found.features, differences, 1000).draws
        return float(np.mean((drawn.mean(0) - (self.truth - self.truth[0])) ** 2))


@pytest.mark.parametrize(("tells", "most"), [(0.95, 0.85), (0.0, 1.05)])
def test_what_cheap_runs_tell_lowers_the_error_and_what_they_do_not_tell_raises_none(tells, most):
    cases = [Case(seed, tells) for seed in range(12)]
    plain = np.mean([c.error(KERNEL) for c in cases])
    told = np.mean([c.error(ToldKernel(c.cheap)) for c in cases])
    assert told < most * plain


def test_the_part_is_a_covariance_and_all_forms_of_the_kernel_agree():
    case = Case(3, 0.9)
    kernel = ToldKernel(case.cheap)
    features, variances = kernel.features(case.points, case.cost), np.arange(1.0, 9.0) / 10
    parts = kernel.parts(features, features)
    whole = kernel.weighted(variances, features, features)
    assert len(parts) == 8
    assert whole == pytest.approx(np.tensordot(variances, parts, 1))
    assert kernel.diagonal(variances, features) == pytest.approx(np.diag(whole))
    assert np.linalg.eigvalsh(parts[-1]).min() > -1e-8


def test_rho_is_learned():
    high, low = (np.mean([_rho(Case(seed, tells)) for seed in range(12)]) for tells in (0.95, 0.0))
    assert high > 2 * low


def _rho(case: Case) -> float:
    kernel = ToldKernel(case.cheap)
    return kernel.rho_squared(Posterior(kernel, case.runs, best=True, prior=PRIOR))


# groups


def costs(points: np.ndarray) -> np.ndarray:
    found: np.ndarray = 1.0 + np.asarray(points).sum(1)
    return found


class Race:
    """A search in which cheap runs measure the truth itself, with a noise, and runs alone with another one."""

    def __init__(self, seconds: tuple[float, float], cheap_noise: float, noise: float, barred: int = 0) -> None:
        self.proposer = Proposer(SPACE, costs, 0, prior=PRIOR)
        rng = np.random.default_rng(5)
        effects = rng.standard_normal((3, int(SPACE.sizes.max())))
        points: list = []
        values: list = []
        cheap = Cheap(size=4, seconds=seconds)
        self.groups: list[list] = []
        number, left = 0, 80
        while left > 0:
            measured = Measured(tuple(points), tuple(values), cheap=cheap)
            if some := group(self.proposer, measured, number, left):
                self.groups.append(some)
                told = [float(effects[range(3), p].sum() + cheap_noise * rng.standard_normal()) for p in some]
                lost = some[: barred * (len(self.groups) == 1)]
                cheap = replace(
                    cheap,
                    points=(*cheap.points, *some[len(lost) :]),
                    values=(*cheap.values, *told[len(lost) :]),
                    groups=(*cheap.groups, *[len(self.groups)] * (len(some) - len(lost))),
                    barred=(*cheap.barred, *lost),
                )
            else:
                point = self.proposer.propose(measured, number, left)
                assert point is not None
                some = [point]
                points += some
                values.append(float(effects[range(3), some[0]].sum() + noise * rng.standard_normal()))
            number, left = number + len(some), left - len(some)
        self.alone = points


def test_cheap_runs_are_used_while_they_pay_and_no_point_twice():
    race = Race((1.0, 0.1), cheap_noise=0.1, noise=3.0)
    chosen = [p for g in race.groups for p in g]
    assert len(chosen) == len(set(chosen)) and all(len(g) <= 4 for g in race.groups)
    assert set(chosen[:BOTH]) <= set(race.alone[:BOTH])  # first what was measured alone, to learn what they tell
    assert len(chosen) > 2 * BOTH


def test_cheap_runs_that_cost_as_much_or_tell_nothing_are_dropped():
    dear = Race((1.0, 1.0), cheap_noise=0.5, noise=0.5)
    useless = Race((1.0, 0.5), cheap_noise=100.0, noise=0.3)
    for race in (dear, useless):
        assert sum(map(len, race.groups)) <= MORE


def test_a_point_that_failed_in_a_group_is_put_into_no_other():
    race = Race((1.0, 0.1), cheap_noise=0.1, noise=3.0, barred=1)
    chosen = [p for g in race.groups for p in g]
    assert chosen.count(race.groups[0][0]) == 1


def test_few_runs_are_not_spent_on_finding_out():
    points = tuple(dict.fromkeys(map(tuple, SPACE.random(np.random.default_rng(0), 30))))[:14]
    measured = Measured(points, tuple(float(sum(p)) for p in points), cheap=Cheap(size=8))
    proposer = Proposer(SPACE, costs, 0, prior=PRIOR)
    assert group(proposer, measured, 14, WORTH - 1) == []
    assert group(proposer, measured, 14, WORTH) == list(points[:8])
    assert group(proposer, replace(measured, cheap=Cheap(size=1)), 14, WORTH) == []
    assert group(proposer, replace(measured, cheap=None), 14, WORTH) == []
    busy = replace(measured, cheap=Cheap(size=8, running=points[:8]))
    assert group(proposer, busy, 22, WORTH) == list(points[8:BOTH])  # the rest of those that are measured both ways
