"""The statistics of paired seeds; the formulas are scipy's and statsmodels'."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from nas_attn.statistics.spread import CONFIDENCE, moments

ALPHA = 0.05  # family-wise: the chance that a table without any true difference claims one
POWER = 0.8  # a fair chance to see a difference
MIN_PAIRS = 3  # below, a t-test has one degree of freedom or none
MOST_PAIRS = 10_000
TINY = 1e-9  # mAP50-95; smaller spreads are rounding, not noise


@dataclass(frozen=True)
class Paired:
    """Differences of two arms at equal seeds, in mAP50-95.

    Attributes:
        n: pairs.
        mean: mean difference.
        sd: sample standard deviation of the differences; None below two pairs.
        low, high: confidence interval of the mean (Student's t); None if there is no spread to tell it from.
        p: two-sided p-value of the paired t-test, of this comparison alone; None below `MIN_PAIRS` pairs or if there
            is no spread.
        effect: standardised effect d_z = mean / sd with Hedges' correction for few pairs; None as `p`.
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
        differences: one a seed, in mAP50-95; at least one.
        confidence: of the interval.
    """
    return _paired(tuple(differences), confidence)


@lru_cache(maxsize=8192)  # a running ablation asks for the same table after every trial
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
    """Chance that a paired t-test at a level rejects, if the true difference and its spread are these.

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
    """The fewest pairs with which a paired t-test at a level has the wanted power; at most `MOST_PAIRS`."""
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
    """The fewest pairs whose interval excludes a difference, with the wanted chance if there is none at all.

    Args:
        difference: smallest difference that matters, mAP50-95.
        sd: standard deviation of the differences.
        level: 1 minus the interval's confidence.
        wanted: that chance.
    """
    from scipy.stats import t

    # both ends of the interval must lie inside: the mean may stray by the rest, to either side
    for n in range(MIN_PAIRS, MOST_PAIRS):
        error = sd / math.sqrt(n)
        left = difference / error - float(t.isf(level / 2, n - 1))
        if left > 0 and 1 - 2 * float(t.sf(left, n - 1)) >= wanted:
            return n
    return MOST_PAIRS


def _hedges(df: int) -> float:
    """Hedges' J, the factor that makes d unbiased at few degrees of freedom."""
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
