"""Claims on many signs at once: all of them together keep the level, also if only some quantities are zero."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, softmax

from nas_attn.statistics.claims import LEVEL, claimed

WIDE = np.array([1e3])  # nothing was known before


def learned(rng: np.random.Generator, seen: np.ndarray, prior: float, n: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Draws of quantities that were seen with noise 1, and their deviations before: N(0, prior) each."""
    kept = prior**2 / (1 + prior**2)
    return rng.normal(kept * seen, np.sqrt(kept), (n, len(seen))), np.full(len(seen), prior)


def test_obvious_signs_are_claimed_and_unclear_ones_are_not():
    draws = np.random.default_rng(0).normal((0.1, -0.1, 0.0, 0.004), 0.01, (4000, 4))
    assert claimed(draws, np.repeat(WIDE, 4), 0.0).tolist() == [1, -1, 0, 0]
    assert claimed(draws, np.repeat(WIDE, 4), 0.01).tolist() == [1, -1, 0, 0]


@given(st.floats(LEVEL, 1.0))
def test_nothing_is_claimed_where_nothing_may_differ(nothing):
    """Then every claim would be wrong, so it does not help that the draws have clear signs."""
    draws = np.random.default_rng(0).normal(5, 1, (500, 3))
    assert not claimed(draws, np.repeat(WIDE, 3), nothing).any()
    assert claimed(draws, np.repeat(WIDE, 3), LEVEL / 2).all()


def test_the_probability_of_nothing_takes_its_part_of_the_level():
    draws = np.random.default_rng(0).normal(2.2, 1, (20_000, 1))  # beyond zero by 2.2 deviations: 2.8 %, two-sided
    found = [bool(claimed(draws, WIDE, nothing)[0]) for nothing in (0.0, 0.01, 0.03, 0.04)]
    assert found == [True, True, False, False]


@given(st.floats(1.0, 3.0).filter(lambda z: abs(z - 1.96) > 0.1))
def test_one_quantity_is_claimed_if_its_two_sided_interval_excludes_zero(away):
    draws = np.random.default_rng(0).normal(-away, 1, (20_000, 1))
    assert claimed(draws, WIDE, 0.0).tolist() == [-1 if away > 1.96 else 0]


def test_more_quantities_need_clearer_signs():
    """One of sixty is judged as one of sixty; if all sixty move together, they are like one."""
    rng = np.random.default_rng(0)
    means = np.r_[2.5, np.zeros(59)]
    apart, together = rng.normal(0, 1, (5000, 60)), np.repeat(rng.normal(0, 1, (5000, 1)), 60, 1)
    assert not claimed(apart + means, np.repeat(WIDE, 60), 0.0).any()
    assert claimed(together + means, np.repeat(WIDE, 60), 0.0).tolist() == [1] + [0] * 59


def test_after_a_claim_only_the_rest_counts():
    """The second quantity is too unclear for one of two, but clear enough once the first is claimed."""
    draws = np.random.default_rng(0).normal((9.0, 2.1), 1, (20_000, 2))
    assert claimed(draws, np.repeat(WIDE, 2), 0.0).tolist() == [1, 1]
    assert claimed(np.random.default_rng(0).normal((0.0, 2.1), 1, (20_000, 2)), np.repeat(WIDE, 2), 0.0)[1] == 0


def test_a_quantity_of_which_nothing_was_learned_is_not_claimed():
    draws = np.random.default_rng(0).normal(5, 1, (1000, 2))
    assert claimed(draws, np.array([1.0, 1e3]), 0.0).tolist() == [0, 1]


def test_a_quantity_without_error_has_its_sign():
    draws = np.repeat([[0.2, 0.0, -0.1]], 50, 0)
    assert claimed(draws, np.repeat(WIDE, 3), 0.0).tolist() == [1, 0, -1]
    assert claimed(np.empty((100, 0)), np.empty(0), 0.0).shape == (0,)


@given(st.integers(0, 10_000), st.floats(0.0, 0.06))
def test_neither_order_nor_direction_matters(seed, nothing):
    rng = np.random.default_rng(seed)
    draws = rng.normal(rng.normal(0, 2, 8), 1.0, (301, 8)) + rng.normal(0, 0.5, (301, 1))
    before, order = rng.uniform(1.5, 4, 8), rng.permutation(8)
    found = claimed(draws, before, nothing)
    assert claimed(-draws, before, nothing).tolist() == (-found).tolist()
    assert claimed(draws[:, order], before[order], nothing).tolist() == found[order].tolist()
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
        kept, before = spread**2 / (1 + spread**2), np.full(60, np.sqrt((spread**2).mean()))
        joint += bool(claimed(rng.normal(kept * seen, np.sqrt(kept)), before, 0.0).any())
        alone += bool((abs(seen) > 1.96).any())
    assert joint <= stats.binom.ppf(0.999, studies, LEVEL) < 0.5 * studies < alone


def test_zeros_beside_large_effects_are_not_claimed(soak):
    """One large effect makes the posterior expect large effects everywhere, so it hardly shrinks the zeros."""
    rng, studies = np.random.default_rng(3), max(300, round(3000 * soak))
    wrong = named = 0
    for _ in range(studies):
        truth = np.r_[6.0, np.zeros(19)]
        found = claimed(*learned(rng, truth + rng.normal(0, 1, 20), 3.0), 0.0)
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
        found = claimed(*learned(rng, seen, 2.0), nothing)
        wrong += bool((found * truth < 0).any() or (alike and found.any()))
        found_some += bool(found.any())
    assert wrong <= stats.binom.ppf(0.999, studies, LEVEL)
    assert found_some >= 0.4 * studies
