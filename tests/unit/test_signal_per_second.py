"""Signal per second: found again where it is known."""

from __future__ import annotations

import numpy as np
import pytest
from signal_per_second import ratio, resampled, signal, variances


def simulated(seed, n=4000, seeds=3, effect=1.0, noise=1.0, loading=1.0, own=0.0):
    """A score whose effects are `loading` × truth + `own`, and the truth, with noise of long runs."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(n)
    effects = loading * truth + own * rng.standard_normal(n)
    scores = effect * effects[:, None] + noise * rng.standard_normal((n, seeds)) + rng.standard_normal(seeds)
    return scores, truth[:, None] + 0.8 * rng.standard_normal((n, seeds)) + rng.standard_normal(seeds)


def test_variances_are_those_of_the_simulation():
    scores, _ = simulated(0, effect=2.0, noise=3.0)
    effect, noise = variances(scores)
    assert effect == pytest.approx(4.0, rel=0.1) and noise == pytest.approx(9.0, rel=0.05)


@pytest.mark.parametrize(("loading", "own"), [(1.0, 0.0), (0.3, 0.4), (1.0, 2.0)])
def test_the_signal_is_what_the_score_tells_of_the_truth(loading, own):
    found = signal(*simulated(1, effect=2.0, noise=3.0, loading=loading, own=own), seconds=5.0)
    squared = loading**2 / (loading**2 + own**2)
    expected = squared * 4.0 * (loading**2 + own**2) / 9.0 / 5.0
    assert found.corrected == pytest.approx(squared**0.5, abs=0.05)
    assert found.per_second == pytest.approx(expected, rel=0.15)
    assert found.correlation < found.corrected


def test_a_score_that_is_quiet_and_wrong_has_none():
    found = signal(*simulated(2, noise=0.01, loading=0.0, own=1.0), seconds=1.0)
    assert found.per_second < 5 and found.corrected < 0.05  # of 10,000 that its low noise alone would give
    assert signal(*simulated(3, loading=-1.0), seconds=1.0).per_second == 0


def test_half_the_seconds_count_as_much_as_half_the_noise():
    scores, truth = simulated(4)
    one, half = signal(scores, truth, 2.0), signal(scores, truth, 1.0)
    assert half.per_second == pytest.approx(2 * one.per_second)
    noisier = scores + np.random.default_rng(6).standard_normal(scores.shape)
    assert signal(noisier, truth, 1.0).per_second == pytest.approx(half.per_second / 2, rel=0.1)


def test_a_ratio_is_that_of_the_signals_and_infinite_if_the_usual_score_tells_nothing():
    scores, truth = simulated(5)
    usual = 0.5 * truth + np.random.default_rng(8).standard_normal(truth.shape)
    expected = signal(scores, truth, 2.0).per_second / signal(usual, truth, 3.0).per_second
    assert ratio(scores, usual, truth, (2.0, 3.0)) == pytest.approx(expected)
    assert ratio(scores, -truth, truth, (1.0, 1.0)) == float("inf")
    assert ratio(-truth, scores, truth, (1.0, 1.0)) == 0


def test_scores_without_differences_have_none():
    truth = simulated(7, n=12)[1]
    assert signal(np.ones((12, 3)), truth, 1.0).per_second == 0


def test_draws_of_architectures_have_different_ones():
    found = resampled(5, 200)
    assert found.shape == (200, 5) and min(len(np.unique(row)) for row in found) >= 4
    assert np.array_equal(found, resampled(5, 200))
