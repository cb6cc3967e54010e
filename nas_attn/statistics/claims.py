"""Claims on the signs of many quantities at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.05  # two-sided, of all claims together


def claimed(
    draws: np.ndarray, away: np.ndarray, errors: np.ndarray, nothing: float, level: float = LEVEL
) -> np.ndarray:
    """The signs that can be claimed together: 1, -1, or 0 for no claim, (n,).

    A quantity is claimed if it is farther from zero than the largest error of any quantity is likely to be, so the best
    of sixty is judged as one of sixty. After a claim, only the errors of the quantities that are left count. The
    interval of a claimed quantity always leaves out zero.

    Args:
        draws: (draws, n) joint draws of the quantities, if there are differences at all.
        away: (n,) distances from zero, in standard errors.
        errors: (draws, n) joint draws of the errors of the quantities, in standard deviations.
        nothing: probability that all quantities are zero; then every claim is wrong.
        level: probability that any claim is wrong.
    """
    import numpy as np

    found = np.zeros(len(away), int)
    if nothing >= level or not draws.size:
        return found
    room = (level - nothing) / (1 - nothing)
    low, high = np.quantile(draws, (level / 2, 1 - level / 2), axis=0)
    size = np.where(np.where(away > 0, low > 0, high < 0), np.abs(away), 0.0)
    order = np.argsort(-size, kind="stable")
    # from the last to the first: the largest error of this quantity and all after it
    largest = np.maximum.accumulate(np.abs(errors[:, order[::-1]]), axis=1)[:, ::-1]
    width = np.quantile(largest, 1 - room, axis=0)
    sure = order[np.logical_and.accumulate(size[order] > width)]
    found[sure] = np.sign(away[sure]).astype(int)
    return found
