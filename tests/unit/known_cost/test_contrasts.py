"""The distance of a sum from zero, also beside an option that a search has nearly always chosen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nas_attn.known_cost.contrasts import distance, learned
from nas_attn.known_cost.kernel import Kernel
from nas_attn.known_cost.posterior import Posterior, Runs
from nas_attn.known_cost.space import ProductSpace
from nas_attn.study.coded import PRIOR

NOISE = 0.007


def test_it_is_that_of_least_squares_if_nothing_else_is_open():
    """y = b + noise of variance 1 with b ~ N(0, s²): b is N(k y, k) with k = s² / (s² + 1); the distance is y."""
    seen = np.array([-3.0, 0.0, 0.4, 2.5])
    for spread in (0.5, 1.0, 30.0):
        kept, before = np.full(4, spread**2 / (1 + spread**2)), np.full(4, spread**2)
        assert distance(kept * seen, kept, before) == pytest.approx(seen, rel=1e-6)
        assert learned(kept, before) == pytest.approx(kept)
    known, zero = distance(np.array([0.2, 0.0]), np.full(2, 1e-16), np.ones(2))
    assert known > 1e6 and zero == 0


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


@pytest.mark.parametrize("gain", [0.0, 0.015])
def test_an_option_beside_the_clearest_one_has_no_part_of_its_effect(gain, soak):
    """The covariance alone gives the other option a part of the effect: then a third of these studies is wrong."""
    rng, studies = np.random.default_rng(3), max(60, round(600 * soak))
    wrong = right = 0
    for _ in range(studies):
        found = Posterior(*searched(rng, gain), prior=PRIOR)
        wrong += bool((np.abs(leads(found, 1)) > stats.norm.isf(0.025 / 5)).any())
        own = leads(found, 0)
        right += bool(np.argmax(own) == 0 and own[0] > stats.norm.isf(0.025 / 5))
    assert wrong <= stats.binom.ppf(0.999, studies, 0.05)
    assert gain == 0 or right >= 0.9 * studies
