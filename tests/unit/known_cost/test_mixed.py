"""The posterior of two scores: what loads helps, what does not changes nothing, and it claims nothing alone."""

from __future__ import annotations

import numpy as np
import pytest

from nas_attn.known_cost.kernel import Kernel
from nas_attn.known_cost.mixed import MixedPosterior
from nas_attn.known_cost.observations import Runs
from nas_attn.known_cost.posterior import Posterior
from nas_attn.known_cost.space import ProductSpace
from nas_attn.statistics.claims import claimed
from nas_attn.study.coded import PRIOR

MODULES = {"none": {}, "conv": {"groups": [1, 2]}, "acmix": {"head": [2, 4], "kernel": [3, 5]}, "se": {}}
SPACE = ProductSpace.of({f"p{i}": MODULES for i in (3, 4, 5)})
KERNEL = Kernel(SPACE)


class Case:
    """Runs of random points with two scores.

    Args:
        seed: of everything.
        loads: standard deviation of the truth's part in the second score, in units of its noise.
        own: the same of what only the second score has.
        between: standard deviation of the truth.
        together: correlation of the noise of both scores.
    """

    def __init__(self, seed: int, loads: float, own: float, between: float = 0.006, together: float = 0.6) -> None:
        rng = np.random.default_rng(seed)
        points = np.unique(np.vstack([np.zeros((1, 3), int), SPACE.random(rng, 50)]), axis=0)
        cost = points.sum(1) / points.sum(1).max()
        features = KERNEL.features(points, cost)
        weights = np.array([0.35, 0.15, 0.15, 0.1, 0.05, 0.05, 0.15])
        covariance = np.tensordot(weights, KERNEL.parts(features, features), 1)
        root = np.linalg.cholesky(covariance + 1e-9 * np.eye(len(points)))
        truth, other = (root @ rng.standard_normal(len(points)) for _ in range(2))
        at = np.concatenate([np.arange(len(points)), rng.integers(len(points), size=30)])
        groups = rng.integers(3, size=len(at))
        noise = rng.standard_normal((2, len(at)))
        noise[1] = together * noise[0] + (1 - together**2) ** 0.5 * noise[1]
        levels = rng.standard_normal((2, 3))
        self.truth = between * truth
        first = 0.3 + self.truth[at] + 0.007 * noise[0] + 0.003 * levels[0][groups]
        self.second = (loads * truth[at] + own * other[at] + noise[1] + 0.3 * levels[1][groups]).tolist()
        self.runs = Runs(points, cost, at.tolist(), first.tolist(), groups.tolist())
        self.differences = np.eye(len(points))
        self.differences[:, 0] -= 1

    def found(self) -> tuple[MixedPosterior, np.ndarray, np.ndarray]:
        """The posterior, and its differences to the first point: by the first score alone, and by both."""
        both = MixedPosterior(Posterior(KERNEL, self.runs, prior=PRIOR), self.second, prior=PRIOR)
        asked = both.first.features
        alone, mixed = (p.contrasts(asked, self.differences, 400).draws for p in (both.first, both))
        return both, alone, mixed

    def error(self, draws: np.ndarray) -> float:
        return float(np.mean((draws.mean(0) - (self.truth - self.truth[0])) ** 2))


def test_a_second_score_that_loads_halves_the_errors():
    errors, unrelated = [], []
    for seed in range(6):
        case = Case(seed, loads=3.0, own=0.3)
        both, alone, mixed = case.found()
        errors.append((case.error(alone), case.error(mixed)))
        unrelated.append(both.learned.unrelated)
    alone, mixed = np.mean(errors, 0)
    assert mixed < 0.65 * alone and np.median(unrelated) < 0.1


@pytest.mark.parametrize("together", [0.0, 0.6])
def test_one_that_does_not_load_changes_nothing(together):
    errors, unrelated, moved = [], [], []
    for seed in range(6):
        case = Case(seed, loads=0.0, own=2.0, together=together)
        both, alone, mixed = case.found()
        errors.append((case.error(alone), case.error(mixed)))
        unrelated.append(both.learned.unrelated)
        moved.append(np.abs(mixed.mean(0) - alone.mean(0)).max() / alone.std(0).max())
    alone, mixed = np.mean(errors, 0)
    assert mixed < 1.1 * alone and np.mean(unrelated) > 0.3 and np.mean(moved) < 0.5


def test_without_differences_in_the_first_score_nothing_is_claimed():
    for seed in range(3):
        case = Case(seed, loads=0.0, own=5.0, between=0.0, together=0.6)
        both, _, _ = case.found()
        found = both.contrasts(both.first.features, case.differences, 400)
        assert both.nothing == both.first.nothing
        assert not claimed(found.draws[:, 1:], found.away[1:], found.errors[:, 1:], both.nothing or 0.0).any()


def test_draws_have_the_predicted_mean_and_deviation():
    both, _, _ = Case(1, loads=2.0, own=0.5).found()
    asked = both.first.features
    drawn = both.contrasts(asked, np.eye(len(asked)), 4000).draws
    mean, deviation = both.predict(asked)
    assert drawn.mean(0) == pytest.approx(mean, abs=0.15 * deviation.max())
    assert drawn.std(0) == pytest.approx(deviation, rel=0.2)


def test_equal_arguments_give_equal_draws_and_errors_have_unit_size():
    both, _, _ = Case(2, loads=2.0, own=0.5).found()
    case = Case(2, loads=2.0, own=0.5)
    again = case.found()[0]
    one, two = (p.contrasts(p.first.features, case.differences, 1000) for p in (both, again))
    assert np.array_equal(one.draws, two.draws) and np.array_equal(one.away, two.away)
    assert one.errors[:, 1:].std(0) == pytest.approx(np.ones(len(case.truth) - 1), rel=0.2)


def test_a_collapsed_run_is_left_out_of_both():
    case = Case(3, loads=3.0, own=0.3)
    values, second = list(case.runs.values), list(case.second)
    values[-1], second[-1] = values[-1] - 0.2, second[-1] - 60.0
    runs = Runs(case.runs.points, case.runs.cost, case.runs.at, values, case.runs.groups)
    both = MixedPosterior(Posterior(KERNEL, runs, prior=PRIOR), second, prior=PRIOR)
    assert np.flatnonzero(both.collapsed).tolist() == [len(values) - 1]
    found = both.contrasts(both.first.features, case.differences, 400).draws
    plain = Case(3, loads=3.0, own=0.3).found()[2]
    assert np.abs(found.mean(0) - plain.mean(0)).max() < plain.std(0).max()


def test_a_missing_second_score_is_refused():
    case = Case(0, loads=1.0, own=1.0)
    with pytest.raises(ValueError, match="second score"):
        MixedPosterior(Posterior(KERNEL, case.runs, prior=PRIOR), [float("nan"), *case.second[1:]], prior=PRIOR)


def test_given_variances_are_used_as_they_are():
    case = Case(4, loads=1.0, own=1.0)
    whole = Posterior(KERNEL, case.runs, best=True, prior=PRIOR)
    scaled = whole.observations.values.tolist()
    runs = Runs(case.runs.points, case.runs.cost, case.runs.at, scaled, case.runs.groups)
    again = Posterior(KERNEL, runs, variances=whole.variances)
    mean, deviation = again.predict(again.features)
    expected = whole.predict(whole.features)
    assert mean * whole.scale + whole.centre == pytest.approx(expected[0])
    assert deviation * whole.scale == pytest.approx(expected[1])


@pytest.mark.parametrize("seed", range(6))
def test_a_bad_module_that_both_scores_show_is_believed_after_a_few_runs(seed):
    """As EfficientAttention at P3 on BCCD: three of 14 runs lie far below, which noise must not explain."""
    rng = np.random.default_rng(seed)
    space = ProductSpace.of({f"p{i}": {m: {} for m in ("none", "conv", "acmix", "lska", "bad")} for i in (3, 4, 5)})
    points = np.array([[4, 0, 0], [4, 3, 0], [4, 4, 0], *([i, j, 0] for i in range(4) for j in range(4) if i * j < 3)])
    lost = 0.035 * (points[:, 0] == 4)
    noise = rng.standard_normal((2, len(points)))
    first = 0.39 - lost + 0.006 * noise[0]
    second = -3.5 - 11 * lost + 0.03 * (0.6 * noise[0] + 0.8 * noise[1])
    runs = Runs(points, points.sum(1) / 8, range(len(points)), first.tolist(), [0] * len(points))
    alone = Posterior(Kernel(space), runs, prior=PRIOR)
    means = MixedPosterior(alone, second.tolist(), prior=PRIOR).predict(alone.features)[0]
    assert means[3:].mean() - means[:3].mean() > 0.02
