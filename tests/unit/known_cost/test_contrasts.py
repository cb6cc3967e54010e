"""The distance of a sum from zero, also beside an option that a search has nearly always chosen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nas_attn.known_cost import contrasts
from nas_attn.known_cost.contrasts import LEAST, distance, learned
from nas_attn.known_cost.kernel import Kernel
from nas_attn.known_cost.likelihood import CONSTANT
from nas_attn.known_cost.observations import Runs
from nas_attn.known_cost.posterior import Posterior
from nas_attn.known_cost.space import ProductSpace
from nas_attn.study.coded import PRIOR

NOISE = 0.007
QUANTITIES = 25  # that a study makes claims on together


def test_it_is_that_of_least_squares_if_nothing_else_is_open():
    """y = b + noise of variance 1 with b ~ N(0, s²): b is N(k y, k) with k = s² / (s² + 1); the distance is y."""
    seen = np.array([-3.0, 0.0, 0.4, 2.5])
    for spread in (0.5, 1.0, 30.0):
        kept, before = np.full(4, spread**2 / (1 + spread**2)), np.full(4, spread**2)
        assert distance(kept * seen, kept, before) == pytest.approx(seen, rel=1e-6)
        assert learned(kept, before) == pytest.approx(kept)
    known, zero = distance(np.array([0.2, 0.0]), np.full(2, 1e-16), np.ones(2))
    assert known > 1e6 and zero == 0


def test_a_sum_with_a_free_effect_is_that_of_dense_algebra():
    """The clearest option gets a column of its own in the covariance; here it is added to the whole matrix."""
    kernel, runs = searched(np.random.default_rng(1), 0.02)
    found = Posterior(kernel, runs, best=True)
    points = np.array([[a, b, 2] for a in range(3) for b in range(3)])
    asked = kernel.features(points, np.linspace(0, 1, 9))
    matrix = np.random.default_rng(2).normal(size=(4, 9))
    matrix -= matrix.mean(1, keepdims=True)
    (at,) = found._standouts
    parts, noise = found.variances.best[:-2], found.variances.best[-2]
    every = np.concatenate([found.features.options[:, at], asked.options[:, at]])
    whole = CONSTANT * (1 + np.outer(every, every))
    n = len(runs.points)
    for rows, one in ((slice(0, n), found.features), (slice(n, None), asked)):
        for columns, other in ((slice(0, n), found.features), (slice(n, None), asked)):
            whole[rows, columns] += kernel.weighted(parts, one, other)
    z = np.zeros((len(runs.at), n + 9))
    z[np.arange(len(runs.at)), runs.at] = 1
    values = (np.array(runs.values) - found.centre) / found.scale
    every_sum = np.hstack([np.zeros((4, n)), matrix])

    def dense(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        between = every_sum @ covariance @ z.T
        inverse = np.linalg.inv(z @ covariance @ z.T + noise * np.eye(len(values)))
        before = np.diag(every_sum @ covariance @ every_sum.T)
        left = before - np.diag(between @ inverse @ between.T)
        return distance(between @ inverse @ values, left, before), learned(left, before)

    free, _ = dense(whole)
    own, share = dense(whole - CONSTANT * np.outer(every, every))
    expected = np.where(own * free > 0, np.sign(own) * np.minimum(abs(own), abs(free)), 0)
    expected[share <= LEAST] = 0
    assert abs(expected).max() > 1
    assert found.contrasts(asked, matrix, 100).away == pytest.approx(expected, abs=1e-4)


def searched(rng: np.random.Generator, gain: float) -> tuple[Kernel, Runs]:
    """100 runs. Option a has a gain at the first slot and is there in 85; a of the second slot is mostly beside it."""
    space = ProductSpace.of({f"p{i}": ["a", "b", "c", "d", "e"] for i in (3, 4, 5)})
    points = rng.integers(5, size=(100, 3))
    points[15:, 0] = 0
    points[15:, 1] = np.where(rng.random(85) < 0.97, 0, points[15:, 1])
    values = 0.3 + gain * (points[:, 0] == 0) + NOISE * rng.standard_normal(100)
    distinct, at = np.unique(points, axis=0, return_inverse=True)
    return Kernel(space), Runs(distinct, rng.random(len(distinct)), at.ravel().tolist(), values.tolist())


def leads(found: Posterior, slot: int) -> np.ndarray:
    """For each option of a slot, the distance of f(option) - f(the others there), averaged over some of the runs."""
    points = np.repeat(found.runs.points[::3], 5, 0)
    points[:, slot] = np.tile(np.arange(5), len(points) // 5)
    matrix = np.where(points[:, slot] == np.arange(5)[:, None], 1.0, -0.25) / (len(points) / 5)
    return found.contrasts(found.kernel.features(points, np.full(len(points), 0.5)), matrix, 500).away


def test_an_option_beside_the_clearest_one_has_no_part_of_its_effect(soak):
    """The covariance alone gives the other option a part of the effect: then a third of these studies is wrong."""
    rng, studies = np.random.default_rng(3), max(60, round(600 * soak))
    wrong = right = 0
    for _ in range(studies):
        found = Posterior(*searched(rng, 0.015), prior=PRIOR)
        wrong += bool((np.abs(leads(found, 1)) > stats.norm.isf(0.025 / 5)).any())
        own = leads(found, 0)
        right += bool(np.argmax(own) == 0 and own[0] > stats.norm.isf(0.025 / 5))
    assert wrong <= stats.binom.ppf(0.999, studies, 0.05)
    assert right >= 0.9 * studies


@pytest.mark.parametrize("apart", [0, 1])
def test_of_options_that_are_always_together_none_is_said_to_be_the_better_one(apart, soak):
    """The runs cannot tell which of both has the effect, or hardly, if one run has only one of them.

    If the clearest option alone were left free, it would be the first of both, which has no effect.
    """
    rng, studies = np.random.default_rng(4), max(60, round(600 * soak))
    wrong = 0
    for _ in range(studies):
        kernel, runs = together(rng, apart)
        wrong += abs(leads(Posterior(kernel, runs, prior=PRIOR), 0)[0]) > stats.norm.isf(0.025 / QUANTITIES)
    assert wrong <= stats.binom.ppf(0.999, studies, 0.05)


def test_a_sum_that_the_runs_tell_little_about_has_no_distance(monkeypatch):
    """Two options that no run has: only their costs tell a little of their difference."""
    kernel, runs = together(np.random.default_rng(0), 0)
    assert runs.points[:, 2].max() == 2
    found = Posterior(kernel, runs, prior=PRIOR)
    asked = kernel.features(np.array([[4, 4, 3], [4, 4, 4]]), np.array([0.4, 0.6]))
    sums = np.array([[1.0, -1.0], [0.0, 0.0]])
    assert found.contrasts(asked, sums, 500).away.tolist() == [0.0, 0.0]
    monkeypatch.setattr(contrasts, "LEAST", 0.0)
    without = found.contrasts(asked, sums, 500)
    assert without.away[0] != 0 and without.away[1] == 0 and not without.errors[:, 1].any()


def together(rng: np.random.Generator, apart: int) -> tuple[Kernel, Runs]:
    """100 runs. Option a of the second slot has a gain; a of the first one is in the same runs, but for `apart`."""
    space = ProductSpace.of({f"p{i}": ["a", "b", "c", "d", "e"] for i in (3, 4, 5)})
    points = np.stack([rng.integers(1, 5, 100), rng.integers(1, 5, 100), rng.integers(3, size=100)]).T
    points[15:, :2] = 0
    points[:apart, 1] = 0
    points[apart : 2 * apart, 0] = 0
    values = 0.3 + 0.015 * (points[:, 1] == 0) + NOISE * rng.standard_normal(100)
    distinct, at = np.unique(points, axis=0, return_inverse=True)
    return Kernel(space), Runs(distinct, rng.random(len(distinct)), at.ravel().tolist(), values.tolist())
