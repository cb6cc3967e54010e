"""Two scores of the same runs: the mixing is found again, and its derivatives are those of differences."""

from __future__ import annotations

import numpy as np
import pytest

from nas_attn.known_cost.kernel import Kernel
from nas_attn.known_cost.mixing import LIMIT, Learned, Mixing, MixingFitter
from nas_attn.known_cost.observations import Observations
from nas_attn.known_cost.space import ProductSpace

MODULES = {"none": {}, "conv": {"groups": [1, 2]}, "se": {}}
SPACE = ProductSpace.of({f"p{i}": MODULES for i in (3, 4, 5)})
PLAIN = Mixing()


def runs(seed, n=60, groups=3, mixing=PLAIN, noise=(1.0, 0.3), effects=(0.3, 0.7)):
    """Parts of the covariance, observations of the first score, the second score, and f of each point."""
    rng = np.random.default_rng(seed)
    points = SPACE.all()[rng.permutation(len(SPACE.all()))[: n // 2]]
    kernel = Kernel(SPACE)
    features = kernel.features(points, rng.random(len(points)))
    parts = kernel.parts(features, features)
    covariance = parts[0] + 0.3 * parts[-1] + 1e-9 * np.eye(len(points))
    at = np.concatenate([np.arange(len(points)), rng.integers(len(points), size=n - len(points))])
    labels = rng.integers(groups, size=n).tolist()
    latent = [e**0.5 * np.linalg.cholesky(covariance) @ rng.standard_normal(len(points)) for e in effects]
    z = [f[at] + s**0.5 * rng.standard_normal(n) for f, s in zip(latent, noise, strict=True)]
    first, second = z[0] + mixing.loading * z[1], z[1] + mixing.echo * z[0]
    f = latent[0] + mixing.loading * latent[1]
    return parts, Observations(at, first, labels), second, f


@pytest.mark.parametrize("extra", [False, True])
def test_derivatives_are_those_of_differences(extra):
    parts, first, second, _ = runs(0, n=24)
    more = np.linspace(0, 1, 24) if extra else None
    if extra:
        first = Observations(first.points, first.values, [first.names[g] for g in first.groups], more)
    fitter = MixingFitter(parts, first, second, None if more is None else more[::-1])
    theta = np.concatenate([np.random.default_rng(1).normal(-1, 0.5, 2 * (len(parts) + 2)), [0.4, -0.3]])
    slopes = fitter(theta)[1]
    for i in range(len(theta)):
        up, down = theta.copy(), theta.copy()
        up[i] += 1e-5
        down[i] -= 1e-5
        assert slopes[i] == pytest.approx((fitter(up)[0] - fitter(down)[0]) / 2e-5, rel=1e-3, abs=1e-4)


def test_the_density_is_that_of_both_scores_together():
    """It differs from the normal density of all values, with their whole covariance, by the same constant anywhere."""
    from scipy.stats import multivariate_normal

    parts, first, second, _ = runs(2, n=16, groups=2)
    fitter, k = MixingFitter(parts, first, second), len(parts)
    found = []
    for loading, echo in ((0.0, 0.0), (0.5, -0.2), (-0.8, 0.6)):
        theta = np.concatenate([np.full(2 * (k + 2), -1.0), [loading, echo]])
        mix = np.array([[1, loading], [echo, 1]])
        at, same = first.points, first.groups[:, None] == first.groups
        own = np.exp(-1.0) * (parts.sum(0)[np.ix_(at, at)] + np.eye(16) + same) + 100.0
        whole = np.kron(mix @ mix.T, own)
        exact = multivariate_normal(np.zeros(32), whole).logpdf(np.concatenate([first.values, second]))
        alone = fitter(np.concatenate([theta[:-2], [0.0, 0.0]]))[0] - fitter(theta)[0]
        found.append((exact, alone, theta))
    widths = [fitter(t)[0] - e for e, _, t in found]
    from scipy.stats import t as student

    from nas_attn.known_cost.fit import TAILS
    from nas_attn.known_cost.mixing import WIDTHS

    priors = [student.logpdf(t[-2:] / WIDTHS, TAILS).sum() for _, _, t in found]
    rest = np.array(widths) - priors
    assert rest == pytest.approx(np.full(3, rest[0]), abs=1e-4)


@pytest.mark.parametrize("true", [Mixing(0.6, 0.0), Mixing(-0.4, 0.3)])
def test_the_mixing_is_found_again(true):
    noise, effects = (1.0, 0.1), (0.3, 3.0)
    found = [
        MixingFitter(*runs(seed, n=150, mixing=true, noise=noise, effects=effects)[:3]).learned() for seed in range(4)
    ]
    loading = np.array([f.mixing.loading for f in found])
    errors = np.array([f.covariance[0, 0] ** 0.5 for f in found])
    assert np.all(np.abs(loading - true.loading) < 3 * errors) and errors.max() < 0.2
    assert abs(loading.mean() - true.loading) < 0.1


def test_spread_mixings_have_the_mean_and_covariance():
    covariance = np.array([[0.04, 0.01], [0.01, 0.09]])
    some = Learned(Mixing(0.2, 0.1), np.ones((2, 9)), covariance).spread()
    values = np.array([[m.loading, m.echo] for m in some])
    assert values.mean(0) == pytest.approx([0.2, 0.1])
    assert np.cov(values.T, bias=True) == pytest.approx(covariance)
    wide = Learned(Mixing(0.9, 1.0), np.ones((2, 9)), np.eye(2)).spread()
    assert all(m.determinant > 1 - LIMIT - 1e-9 for m in wide)


def test_scores_are_taken_apart_and_put_together():
    mixing = Mixing(0.4, -0.5)
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2, 5))
    first, second = z[0] + 0.4 * z[1], z[1] - 0.5 * z[0]
    assert np.allclose(mixing.apart(first, second), z)
