"""Spread of a few values: their standard deviation, that of several groups together, and Student's t for both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

CONFIDENCE = 0.95


def moments(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation, as far as there are enough values."""
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def pooled(groups: Iterable[tuple[int, float]]) -> tuple[float, int]:
    """Standard deviation and degrees of freedom of groups of (degrees of freedom, standard deviation) together."""
    groups = list(groups)
    df = sum(n for n, _ in groups)
    return math.sqrt(math.fsum(n * sd**2 for n, sd in groups) / df), df


def student(df: int) -> float:
    """Standard errors from the mean to either end of its two-sided 95 % interval."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + CONFIDENCE / 2))
