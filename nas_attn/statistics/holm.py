"""Holm's correction for the number of comparisons, as statsmodels computes it."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from functools import lru_cache


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the smallest family-wise level at which each would be rejected."""
    if all(p >= 1.0 for p in p_values):
        return [1.0] * len(p_values)
    return list(_holm(tuple(p_values)))


@lru_cache(maxsize=1024)
def _holm(p_values: tuple[float, ...]) -> tuple[float, ...]:
    from statsmodels.stats.multitest import multipletests

    # statsmodels collects garbage at each call, which takes seconds if much is loaded; while everything is frozen
    # there is nothing to look through
    frozen = gc.get_freeze_count() > 0
    if not frozen:
        gc.freeze()
    try:
        return tuple(float(p) for p in multipletests(p_values, method="holm")[1])
    finally:
        if not frozen:
            gc.unfreeze()
