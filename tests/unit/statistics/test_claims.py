"""Claims on many signs at once: all of them together keep the level, also if only some quantities are zero."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, softmax

from nas_attn.statistics.claims import LEVEL, claimed


def signs(draws: np.ndarray, nothing: float) -> np.ndarray:
    """The claims on quantities of which nothing was known before."""
    means, deviations = draws.mean(0), draws.std(0)
    return claimed(draws, means / deviations, (draws - means) / deviations, nothing)


def learned(rng: np.random.Generator, seen: np.ndarray, spread: float | np.ndarray, nothing: float) -> np.ndarray:
    """The claims on quantities that were seen with noise 1; N(0, spread) was expected of each."""
    kept = spread**2 / (1 + spread**2)
    errors = rng.normal(size=(1000, len(seen)))
    return claimed(kept * seen + np.sqrt(kept) * errors, seen, errors, nothing)


def test_obvious_signs_are_claimed_and_unclear_ones_are_not():
    draws = np.random.default_rng(0).normal((0.1, -0.1, 0.0, 0.004), 0.01, (4000, 4))
    assert signs(draws, 0.0).tolist() == [1, -1, 0, 0]
    assert signs(draws, 0.01).tolist() == [1, -1, 0, 0]


@given(st.floats(LEVEL, 1.0))
def test_nothing_is_claimed_where_nothing_may_differ(nothing):
    """Then every claim would be wrong, so it does not help that the draws have clear signs."""
    draws = np.random.default_rng(0).normal(5, 1, (500, 3))
    assert not signs(draws, nothing).any()
    assert signs(draws, LEVEL / 2).all()


def test_the_probability_of_nothing_takes_its_part_of_the_level():
    draws = np.random.default_rng(0).normal(2.2, 1, (20_000, 1))  # beyond zero by 2.2 deviations: 2.8 %, two-sided
    found = [bool(signs(draws, nothing)[0]) for nothing in (0.0, 0.01, 0.03, 0.04)]
    assert found == [True, True, False, False]


@given(st.floats(1.0, 3.0).filter(lambda z: abs(z - 1.96) > 0.1))
def test_one_quantity_is_claimed_if_its_two_sided_interval_excludes_zero(away):
    draws = np.random.default_rng(0).normal(-away, 1, (20_000, 1))
    assert signs(draws, 0.0).tolist() == [-1 if away > 1.96 else 0]


def test_more_quantities_need_clearer_signs():
    """One of sixty is judged as one of sixty; if all sixty move together, they are like one."""
    rng = np.random.default_rng(0)
    means = np.r_[2.5, np.zeros(59)]
    apart, together = rng.normal(0, 1, (5000, 60)), np.repeat(rng.normal(0, 1, (5000, 1)), 60, 1)
    assert not signs(apart + means, 0.0).any()
    assert signs(together + means, 0.0).tolist() == [1] + [0] * 59


def test_after_a_claim_only_the_rest_counts():
    """The second quantity is too unclear for one of two, but clear enough once the first is claimed."""
    draws = np.random.default_rng(0).normal((9.0, 2.1), 1, (20_000, 2))
    assert signs(draws, 0.0).tolist() == [1, 1]
    assert signs(np.random.default_rng(0).normal((0.0, 2.1), 1, (20_000, 2)), 0.0)[1] == 0


def test_no_quantity_gives_no_claim():
    assert claimed(np.empty((100, 0)), np.empty(0), np.empty((100, 0)), 0.0).shape == (0,)


def test_a_quantity_whose_interval_holds_zero_is_not_claimed():
    """However far it is from zero in standard errors: what is shown must agree with what is said."""
    errors = np.random.default_rng(0).normal(size=(4000, 2))
    draws = errors + np.array([1.8, 2.2])
    assert claimed(draws, np.full(2, 9.0), errors, 0.0).tolist() == [0, 1]
    assert claimed(draws, np.full(2, -9.0), errors, 0.0).tolist() == [0, 0]  # the other sign is not shown
    edge = np.r_[np.full(100, -1.0), np.full(3900, 0.01)][:, None]
    assert np.quantile(edge, LEVEL / 2) < 0 and not claimed(edge, np.array([9.0]), np.zeros((4000, 1)), 0.0).any()


@given(st.integers(0, 10_000), st.floats(0.0, 0.06))
def test_neither_order_nor_direction_matters(seed, nothing):
    rng = np.random.default_rng(seed)
    draws = rng.normal(rng.normal(0, 2, 8), 1.0, (301, 8)) + rng.normal(0, 0.5, (301, 1))
    order = rng.permutation(8)
    found = signs(draws, nothing)
    assert signs(-draws, nothing).tolist() == (-found).tolist()
    assert signs(draws[:, order], nothing).tolist() == found[order].tolist()
    low, high = np.quantile(draws, (LEVEL / 2, 1 - LEVEL / 2), axis=0)
    assert all(low[i] > 0 or high[i] < 0 for i in np.flatnonzero(found))


def test_the_best_of_sixty_zeros_is_not_claimed():
    """Sixty quantities that are all zero; the posterior learns from all of them how much they differ."""
    rng, studies = np.random.default_rng(1), 200
    spreads = np.geomspace(0.05, 2.0, 12)
    joint = alone = 0
    for _ in range(studies):
        seen = rng.normal(0, 1.0, 60)
        logs = stats.norm.logpdf(seen, 0, np.sqrt(1 + spreads[:, None] ** 2)).sum(1)
        spread = rng.choice(spreads, (1000, 1), p=softmax(logs))
        joint += bool(learned(rng, seen, spread, 0.0).any())
        alone += bool((abs(seen) > 1.96).any())
    assert joint <= stats.binom.ppf(0.999, studies, LEVEL) < 0.5 * studies < alone


def test_zeros_beside_large_effects_are_not_claimed(soak):
    """One large effect makes the posterior expect large effects everywhere, so it hardly shrinks the zeros."""
    rng, studies = np.random.default_rng(3), max(300, round(3000 * soak))
    wrong = named = 0
    for _ in range(studies):
        truth = np.r_[6.0, np.zeros(19)]
        found = learned(rng, truth + rng.normal(0, 1, 20), 3.0, 0.0)
        wrong += bool(found[1:].any())
        named += found[0] == 1
    assert wrong <= stats.binom.ppf(0.999, studies, LEVEL) and named >= 0.95 * studies


def test_at_most_one_study_of_twenty_has_a_wrong_claim(soak):
    """Studies of 20 quantities, measured with noise; in a third of them, all are zero. The posterior is exact."""
    rng, studies, n, expected = np.random.default_rng(2), max(400, round(4000 * soak)), 20, 0.3
    wrong = found_some = 0
    for _ in range(studies):
        alike = rng.random() < expected
        truth = np.zeros(n) if alike else rng.normal(0, 2.0, n)
        seen = truth + rng.normal(0, 1.0, n)
        log_odds = stats.norm.logpdf(seen, 0, 1).sum() - stats.norm.logpdf(seen, 0, np.sqrt(5)).sum()
        nothing = float(expit(np.log(expected / (1 - expected)) + log_odds))
        found = learned(rng, seen, 2.0, nothing)
        wrong += bool((found * truth < 0).any() or (alike and found.any()))
        found_some += bool(found.any())
    assert wrong <= stats.binom.ppf(0.999, studies, LEVEL)
    assert found_some >= 0.4 * studies
