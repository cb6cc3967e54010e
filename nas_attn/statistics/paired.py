"""Paired t-tests over seeds: the test, its power, and the number of pairs it needs.

The formulas are those of scipy and statsmodels.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from nas_attn.statistics.spread import CONFIDENCE, moments

ALPHA = 0.05  # family-wise: the chance that a table claims a difference although there is none
POWER = 0.8  # the default chance of detecting a true difference
MIN_PAIRS = 3  # with fewer pairs, a t-test has at most one degree of freedom
MOST_PAIRS = 10_000
TINY = 1e-9  # mAP50-95; a smaller spread is rounding, not noise


@dataclass(frozen=True)
class Paired:
    """The comparison of two arms at equal seeds, in mAP50-95.

    Attributes:
        n: number of pairs.
        mean: mean difference.
        sd: sample standard deviation of the differences; None if there are fewer than two pairs.
        low, high: confidence interval of the mean (Student's t); None if the differences have no spread.
        p: two-sided p-value of the paired t-test, not corrected for other comparisons; None if there are fewer than
            `MIN_PAIRS` pairs, or if the differences have no spread.
        effect: standardised effect d_z = mean / sd with Hedges' correction for few pairs; None if `p` is None.
    """

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    p: float | None
    effect: float | None


def paired(differences: Sequence[float], confidence: float = CONFIDENCE) -> Paired:
    """The paired t-test of these differences against 0.

    Args:
        differences: one per seed, in mAP50-95; at least one.
        confidence: confidence level of the interval.
    """
    return _paired(tuple(differences), confidence)


@lru_cache(maxsize=8192)  # a running ablation computes the same table after every trial
def _paired(differences: tuple[float, ...], confidence: float) -> Paired:
    n = len(differences)
    mean, sd = moments(differences)
    assert mean is not None  # there is at least one
    if sd is None:
        return Paired(n, mean, None, None, None, None, None)
    if sd < TINY:
        return Paired(n, mean, 0.0, None, None, None, None)
    from scipy.stats import ttest_1samp

    test = ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(confidence)
    if n < MIN_PAIRS:
        return Paired(n, mean, sd, float(low), float(high), None, None)
    return Paired(n, mean, sd, float(low), float(high), float(test.pvalue), _hedges(n - 1) * mean / sd)


def power(difference: float, sd: float, pairs: int, level: float) -> float:
    """The power of a paired t-test: its chance of detecting a true difference.

    Args:
        difference: true mean difference, mAP50-95.
        sd: standard deviation of the differences.
        pairs: number of pairs, at least 2.
        level: two-sided significance level.
    """
    from statsmodels.stats.power import TTestPower

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the noncentral t underflows if the answer is 1
        found = float(TTestPower().power(difference / sd, pairs, level))
    # far out in the tail scipy's noncentral t gives NaN
    return 1.0 if math.isnan(found) else found


def pairs_needed(difference: float, sd: float, level: float, wanted: float = POWER) -> int:
    """The smallest number of pairs with which a paired t-test has the wanted power; at most `MOST_PAIRS`.

    Args:
        difference: true mean difference, mAP50-95.
        sd: standard deviation of the differences.
        level: two-sided significance level.
        wanted: the power.
    """
    high = MIN_PAIRS
    while high < MOST_PAIRS and power(difference, sd, high, level) < wanted:
        high *= 2
    low, high = high // 2, min(high, MOST_PAIRS)
    while high - low > 1:
        middle = (low + high) // 2
        if power(difference, sd, middle, level) < wanted:
            low = middle
        else:
            high = middle
    return max(high, MIN_PAIRS)


def pairs_to_exclude(difference: float, sd: float, level: float, wanted: float = POWER) -> int:
    """The smallest number of pairs that can show equality; at most `MOST_PAIRS`.

    If the two arms are truly equal, the interval of the mean then lies within +-`difference` with probability
    `wanted`.

    Args:
        difference: smallest difference that matters, mAP50-95.
        sd: standard deviation of the differences.
        level: 1 minus the confidence of the interval.
        wanted: the probability.
    """
    from scipy.stats import t

    # both ends of the interval must lie inside: `left` is the room that remains for the mean, on either side
    for n in range(MIN_PAIRS, MOST_PAIRS):
        error = sd / math.sqrt(n)
        left = difference / error - float(t.isf(level / 2, n - 1))
        if left > 0 and 1 - 2 * float(t.sf(left, n - 1)) >= wanted:
            return n
    return MOST_PAIRS


def _hedges(df: int) -> float:
    """Hedges' J: the factor that makes d unbiased with few degrees of freedom."""
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
