"""Holm's correction for multiple comparisons, computed by statsmodels."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from functools import lru_cache


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values after Holm's step-down correction, in the same order.

    A corrected p-value is the smallest family-wise level at which the hypothesis would be rejected.
    """
    if all(p >= 1.0 for p in p_values):
        return [1.0] * len(p_values)
    return list(_holm(tuple(p_values)))


@lru_cache(maxsize=1024)
def _holm(p_values: tuple[float, ...]) -> tuple[float, ...]:
    from statsmodels.stats.multitest import multipletests

    # statsmodels runs the garbage collector at each call, which takes seconds if many objects exist; the collector
    # skips frozen objects
    frozen = gc.get_freeze_count() > 0
    if not frozen:
        gc.freeze()
    try:
        return tuple(float(p) for p in multipletests(p_values, method="holm")[1])
    finally:
        if not frozen:
            gc.unfreeze()
