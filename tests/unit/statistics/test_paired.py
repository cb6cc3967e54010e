"""Paired statistics agree with scipy and with published numbers; None stands for results that do not exist."""

from __future__ import annotations

import math
import random

import pytest
from scipy import stats

from nas_attn.ablation.looks import Looks
from nas_attn.statistics.holm import holm
from nas_attn.statistics.paired import paired, pairs_needed, pairs_to_exclude, power

OURS, BASE = (0.412, 0.398, 0.421, 0.405, 0.417), (0.401, 0.393, 0.408, 0.404, 0.402)


def test_the_paired_test_is_scipys():
    found = paired([a - b for a, b in zip(OURS, BASE, strict=True)])
    reference = stats.ttest_rel(OURS, BASE)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(reference.confidence_interval(0.95), rel=1e-9)
    assert found.n == 5 and found.mean == pytest.approx(sum(OURS) / 5 - sum(BASE) / 5)


def test_a_luck_that_both_share_does_not_count():
    luck = (0.1, -0.2, 0.05, 0.0, 0.15)
    both = [(a + x) - (b + x) for a, b, x in zip(OURS, BASE, luck, strict=True)]
    assert paired(both).p == pytest.approx(paired([a - b for a, b in zip(OURS, BASE, strict=True)]).p, rel=1e-6)


def test_the_effect_is_hedges_corrected():
    # J(4) = Γ(2) / (sqrt(2) Γ(1.5)) = 0.797884…: table 1 of Hedges, "Distribution theory for Glass's estimator" (1981)
    found = paired([0.01, 0.02, 0.03, 0.04, 0.05])
    assert found.effect == pytest.approx(0.7978845608 * 0.03 / math.sqrt(0.00025), rel=1e-9)


def test_wider_confidence_is_a_wider_interval():
    narrow, wide = paired([0.01, 0.02, 0.04], 0.95), paired([0.01, 0.02, 0.04], 0.99)
    assert wide.low < narrow.low and wide.high > narrow.high


@pytest.mark.parametrize("differences", [(0.01,), (0.01, 0.02), (0.01, 0.01, 0.01), (0.0, 0.0, 0.0, 0.0)])
def test_what_cannot_be_tested_has_no_p(differences):
    found = paired(differences)
    assert found.p is None and found.effect is None
    assert found.mean == pytest.approx(sum(differences) / len(differences))


def test_rounding_is_no_spread():
    assert paired([0.1 + 0.2 - 0.3, 0.0, 1e-17, 0.0]).p is None


def test_holm_by_hand():
    # 4 hypotheses: 0.01 × 4, 0.02 × 3, then 0.03 × 2 and 0.04 × 1 below the running maximum 0.06
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == [] and holm([1.0, 1.0]) == [1.0, 1.0]


def test_power_of_a_textbook():
    # G*Power, t test for matched pairs, two-tailed: d_z 0.5, alpha 0.05, power 0.80 -> 34 pairs, actual power 0.8077775
    assert power(0.5, 1.0, 34, 0.05) == pytest.approx(0.8077775, abs=1e-5)
    assert pairs_needed(0.5, 1.0, 0.05) == 34
    # the same for d_z 1.0: 10 pairs, actual power 0.8030962
    assert power(1.0, 1.0, 10, 0.05) == pytest.approx(0.8030962, abs=1e-5)
    assert pairs_needed(1.0, 1.0, 0.05) == 10


def test_pairs_needed_is_the_first_that_suffices():
    rng = random.Random(3)
    for _ in range(20):
        difference, sd, level = rng.uniform(0.002, 0.03), rng.uniform(0.002, 0.03), rng.choice([0.05, 0.01, 0.05 / 12])
        n = pairs_needed(difference, sd, level)
        assert power(difference, sd, n, level) >= 0.8
        assert n == 3 or power(difference, sd, n - 1, level) < 0.8


def test_power_is_certain_far_out_and_needs_stay_bounded():
    assert power(0.5, 1e-4, 30, 1e-3) == pytest.approx(1.0)
    assert pairs_needed(1e-6, 1.0, 0.05) == 10_000


def test_looks():
    assert Looks.fixed(5) == Looks((5,), 1)
    assert Looks.planned(20).seeds == (5, 8, 12, 20) and Looks.planned(20).count == 4
    assert Looks.planned(4).seeds == (4,)


def test_seeds_that_are_added_cost_a_look():
    before = Looks.fixed(5)
    assert before.changed(Looks.fixed(10), 0) == Looks.fixed(10)  # nobody had looked
    added = before.changed(Looks.fixed(10), 1)
    assert added.seeds == (5, 10) and added.count == 2 and added.added
    assert added.changed(Looks.fixed(10), 1) == added  # the same command again
    assert before.changed(Looks.fixed(3), 1) == before  # what was looked at stays


def test_what_is_added_raises_the_chance_of_a_false_claim():
    assert Looks.planned(20).spent == 1.0
    assert Looks.fixed(5).changed(Looks.fixed(10), 1).spent == 1.5
    assert Looks.fixed(5).changed(Looks.fixed(10), 1).changed(Looks.fixed(20), 2).spent == pytest.approx(1.5 + 1 / 3)
    assert Looks.fixed(5).compared(4, 12).spent == pytest.approx(1 + 1 / 3)


def test_pairs_to_exclude_a_difference():
    """In a simulation without a true difference, the interval excludes `difference` in four of five samples."""
    import numpy as np

    sd, difference, level = 0.01, 0.01, 0.05
    n = pairs_to_exclude(difference, sd, level)
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(400):
        found = paired(list(rng.normal(0, sd, n)), 1 - level)
        inside += -difference < found.low and found.high < difference
    assert 0.72 < inside / 400 < 0.9


def test_a_plan_cut_short_keeps_its_price():
    plan = Looks.planned(20)
    cut = plan.changed(Looks.fixed(8), 2)
    assert cut.seeds == (5, 8) and cut.count == 4 and not cut.added
