"""The spread of a few values: standard deviation, pooled standard deviation, and Student's t."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

CONFIDENCE = 0.95


def moments(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The mean (None without values) and the sample standard deviation (None with fewer than two values)."""
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def pooled(groups: Iterable[tuple[int, float]]) -> tuple[float, int]:
    """The pooled standard deviation of several groups, and its degrees of freedom.

    Args:
        groups: (degrees of freedom, standard deviation) of each group; at least one group.
    """
    groups = list(groups)
    df = sum(n for n, _ in groups)
    return math.sqrt(math.fsum(n * sd**2 for n, sd in groups) / df), df


def student(df: int) -> float:
    """The half width of a two-sided 95 % interval of the mean, in standard errors (Student's t quantile).

    Args:
        df: degrees of freedom.
    """
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + CONFIDENCE / 2))
