"""The model against brute force: likelihood, derivatives, left-out runs, covariance, levels, collapsed runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import check_grad

from nas_attn.known_cost import posterior
from nas_attn.known_cost.fit import Prior
from nas_attn.known_cost.kernel import PARTS, Kernel
from nas_attn.known_cost.likelihood import Likelihood
from nas_attn.known_cost.observations import Observations, Runs
from nas_attn.known_cost.posterior import NOISE, Posterior
from nas_attn.known_cost.space import ProductSpace

MODULES = {
    "none": {},
    "conv": {"groups": [1, 2, 4]},
    "acmix": {"head": [1, 2, 4], "kernel": [3, 5]},
    "se": {"r": [4, 8]},
}
SPACE = ProductSpace.of({f"p{i}": MODULES for i in (3, 4, 5)})
KERNEL = Kernel(SPACE)


class Case:
    """Runs of random points, several per point, with seeds and a known truth."""

    def __init__(self, seed: int = 0, runs: int = 90, effect: float = 0.006) -> None:
        rng = np.random.default_rng(seed)
        self.points = np.unique(SPACE.random(rng, 60), axis=0)
        rng.shuffle(self.points)
        n = len(self.points)
        self.cost = self.points.sum(1) / self.points.sum(1).max()
        self.at = np.concatenate([np.arange(n), rng.integers(n, size=max(0, runs - n))])
        self.seeds = rng.integers(4, size=len(self.at)).tolist()
        table = effect * rng.standard_normal((3, 12))
        self.truth = 0.3 + sum(table[s][self.points[:, s]] for s in range(3))
        luck = 0.003 * rng.standard_normal(4)
        self.values = self.truth[self.at] + luck[self.seeds] + 0.007 * rng.standard_normal(len(self.at))

    def runs(self, values: np.ndarray | None = None) -> Runs:
        return Runs(
            self.points, self.cost, self.at.tolist(), list(self.values if values is None else values), self.seeds
        )


@pytest.fixture(scope="module", params=(False, True), ids=("equal noise", "some predicted"))
def likelihood(request) -> Likelihood:
    case = Case()
    features = KERNEL.features(case.points, case.cost)
    scaled = (case.values - case.values.mean()) / case.values.std()
    rng = np.random.default_rng(5)
    extra = rng.choice((0.0, 0.3, 2.0), len(scaled)) if request.param else None
    return Likelihood(KERNEL.parts(features, features), Observations(case.at, scaled, case.seeds, extra))


def covariance_of_runs(model: Likelihood, variances: np.ndarray) -> np.ndarray:
    seen = model.observations
    a, b = np.eye(seen.distinct)[seen.points], np.eye(len(seen.names))[seen.groups]
    own = a @ model.covariance(variances[:-2]) @ a.T
    extra = np.zeros(len(seen)) if seen.extra is None else seen.extra
    return own + variances[-1] * b @ b.T + np.diag(variances[-2] + extra)


@pytest.mark.parametrize("seed", range(4))
def test_the_likelihood_is_that_of_all_runs(likelihood, seed):
    variances = np.random.default_rng(seed).uniform(0.02, 0.6, len(PARTS) + 2)
    whole = covariance_of_runs(likelihood, variances)
    values = likelihood.observations.values
    expected = -0.5 * (values @ np.linalg.solve(whole, values) + np.linalg.slogdet(whole)[1])
    assert likelihood(variances)[0] == pytest.approx(expected, abs=1e-5)
    inverse = np.linalg.inv(whole)
    left_out = (inverse @ values) / np.sqrt(np.diag(inverse))
    assert likelihood.left_out(variances) == pytest.approx(left_out, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_derivatives_are_those_of_the_likelihood(likelihood, seed):
    start = np.log(np.random.default_rng(seed).uniform(0.02, 0.6, len(PARTS) + 2))
    error = check_grad(lambda t: likelihood(np.exp(t))[0], lambda t: likelihood(np.exp(t))[1], start, epsilon=1e-5)
    assert error < 1e-2 * max(1.0, float(np.linalg.norm(likelihood(np.exp(start))[1])))


def test_the_covariance_is_the_sum_of_its_parts_and_positive():
    case, variances = Case(1), np.arange(1.0, len(PARTS) + 1)
    features = KERNEL.features(case.points, case.cost)
    parts = KERNEL.parts(features, features)
    whole = KERNEL.weighted(variances, features, features)
    assert whole == pytest.approx(np.tensordot(variances, parts, 1))
    assert KERNEL.diagonal(variances, features) == pytest.approx(np.diag(whole))
    for name, part in zip(PARTS, parts, strict=True):
        assert np.linalg.eigvalsh(part).min() > -1e-8, name


def test_one_slot_has_no_pairs():
    space = ProductSpace.of({"p3": MODULES})
    kernel, variances = Kernel(space), np.ones(len(PARTS))
    features = kernel.features(space.all(), np.linspace(0, 1, space.size))
    assert KERNEL.slots == 3 and kernel.slots == 1
    assert kernel.diagonal(variances, features) == pytest.approx(
        np.diag(kernel.weighted(variances, features, features))
    )
    assert not kernel.parts(features, features)[PARTS.index("pair")].any()


def test_the_noise_and_the_effects_are_found():
    errors, noises = [], []
    for seed in range(6):
        case = Case(seed, runs=150, effect=0.02)
        found = Posterior(KERNEL, case.runs())
        mean, deviation = found.predict(found.features)
        # the mean of all is free, so differences to the first point are compared
        errors += list(((mean - mean[0]) - (case.truth - case.truth[0])) / np.hypot(deviation, deviation[0]))
        noises.append(found.spread(NOISE))
        assert found.nothing < 0.01
    assert np.mean(noises) == pytest.approx(0.007, rel=0.2)
    assert np.std(errors) < 1.5


@pytest.mark.parametrize("seed", range(4))
def test_differences_without_a_rule_are_not_taken_for_noise(seed):
    """Repeated points tell both apart, but a climb that starts at much noise stays there."""
    rng = np.random.default_rng(seed)
    points = rng.permutation(np.unique(SPACE.random(rng, 60), axis=0))[:30]
    at = np.concatenate([np.arange(30), np.repeat(np.arange(10), 2)])
    values = 0.3 + 0.012 * rng.standard_normal(30)[at] + 0.002 * rng.standard_normal(50)
    expected = Prior(dict.fromkeys(PARTS, 0.02), noise=0.6, level=0.1, spread=1.2, spread_of_noise=0.7)
    runs = Runs(points, points.sum(1) / 30, at.tolist(), values.tolist(), [0] * 50)
    assert Posterior(KERNEL, runs, prior=expected).spread(NOISE) == pytest.approx(0.002, rel=0.5)


def test_without_any_difference_the_model_says_so():
    nothing = [Posterior(KERNEL, Case(seed, effect=0.0).runs()).variances.nothing for seed in range(6)]
    assert np.median(nothing) > 0.8


def test_a_collapsed_run_moves_nothing_but_itself():
    case = Case(2)
    plain = Posterior(KERNEL, case.runs())
    values = case.values.copy()
    once = next(i for i in range(len(case.points)) if (case.at == i).sum() == 1)
    values[once] -= 0.2
    fallen = Posterior(KERNEL, case.runs(values))
    assert np.flatnonzero(~fallen.variances.kept).tolist() == [once]
    others = np.arange(len(case.points)) != once
    before, after = (p.predict(p.features)[0][others] for p in (plain, fallen))
    assert np.abs(before - after).max() < 0.001
    assert fallen.spread(NOISE) == pytest.approx(plain.spread(NOISE), rel=0.1)


def test_a_module_that_is_bad_everywhere_is_not_taken_for_collapsed_runs():
    case = Case(3)
    bad = SPACE.variants(case.points)[:, 0] == SPACE.starts[0] + 10  # one of 12 variants at the first slot
    bad |= SPACE.variants(case.points)[:, 0] == SPACE.starts[0] + 11
    values = case.values - 0.15 * bad[case.at]
    found = Posterior(KERNEL, case.runs(values))
    assert found.variances.kept[bad[case.at]].mean() > 0.7
    mean, _ = found.predict(found.features)
    trained = np.isin(np.arange(len(bad)), case.at[found.variances.kept])
    assert mean[bad & trained].max() < mean[~bad].min() - 0.05


def test_equal_values_and_single_runs_are_no_error():
    case = Case(4)
    for values in (np.full(len(case.at), 0.3), np.where(case.at == 0, 0.5, 0.3)):
        found = Posterior(KERNEL, case.runs(values))
        mean, deviation = found.predict(found.features)
        assert np.isfinite(mean).all() and np.isfinite(deviation).all()
    one = Runs(case.points[:1], case.cost[:1], [0], [0.3], [0])
    mean, deviation = Posterior(KERNEL, one).predict(KERNEL.features(case.points, case.cost))
    assert np.isfinite(mean).all() and (deviation > 0).all()


def test_draws_agree_with_the_mean_and_the_deviation():
    case = Case(5, effect=0.02)
    found = Posterior(KERNEL, case.runs(), best=True)
    differences = np.eye(len(case.points))[1:6] - np.eye(len(case.points))[0]
    sums = found.contrasts(found.features, differences, 20_000)
    mean, _ = found.predict(found.features)
    assert sums.draws.mean(0) == pytest.approx(mean[1:6] - mean[0], abs=5e-4)
    assert (sums.draws == found.contrasts(found.features, differences, 20_000).draws).all()
    assert sums.errors.mean(0) == pytest.approx(0, abs=0.03) and sums.errors.std(0) == pytest.approx(1, abs=0.03)
    assert sums.errors == pytest.approx((sums.draws - sums.draws.mean(0)) / sums.draws.std(0), abs=0.03)


def test_of_very_many_points_the_runs_of_some_are_used(monkeypatch):
    case = Case(3, runs=150, effect=0.02)
    whole = Posterior(KERNEL, case.runs())
    often = np.argsort(-np.bincount(case.at), kind="stable")[:10]
    monkeypatch.setattr(posterior, "MANY", 20)
    values = case.values.copy()
    values[np.flatnonzero(case.at == often[0])[0]] -= 0.4
    found = Posterior(KERNEL, case.runs(values))
    assert np.flatnonzero(found.collapsed).tolist() == [np.flatnonzero(case.at == often[0])[0]]
    used = np.unique(case.at[found.variances.kept])
    assert len(used) == 20 and np.isin(often, used).all() and used.max() > 0.9 * len(case.points)
    mean, deviation = found.predict(found.features)
    assert len(mean) == len(case.points)
    assert np.mean(np.abs(mean - mean[0] - case.truth + case.truth[0]) < 2.5 * np.hypot(deviation, deviation[0])) > 0.9
    assert (deviation > 0.9 * whole.predict(whole.features)[1]).mean() > 0.9


def test_the_joint_distribution_is_that_of_predictions_with_and_without_pending_runs():
    case = Case(2)
    found = Posterior(KERNEL, case.runs(), best=True)
    some = found.features.take(np.arange(7))
    for pending in (None, found.features.take(np.arange(3))):
        mean, covariance = found.joint(some, pending)
        expected, deviation = found.predict(some, pending)
        assert mean == pytest.approx(expected)
        assert np.sqrt(np.diag(covariance)) == pytest.approx(deviation, rel=1e-4)
    assert np.all(np.diag(covariance)[:3] < np.diag(found.joint(some)[1])[:3])


def test_a_run_with_extra_variance_moves_less():
    case = Case(3)
    low = case.values.copy()
    low[0] -= 0.02
    runs = [replace(case.runs(low), extra=[v] + [0.0] * (len(low) - 1)) for v in (0.0, 0.02**2)]
    first = KERNEL.features(case.points[case.at[:1]], case.cost[case.at[:1]])
    means = [Posterior(KERNEL, r, best=True).predict(first)[0][0] for r in runs]
    alone = Posterior(KERNEL, case.runs(), best=True).predict(first)[0][0]
    assert means[0] < means[1] < alone


@pytest.mark.parametrize("values", [[0.3, np.nan], [0.3, np.inf]])
def test_values_must_be_finite(values):
    with pytest.raises(ValueError, match="finite"):
        Observations([0, 1], values, [0, 0])
