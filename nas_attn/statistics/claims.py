"""Claims on the signs of many quantities at once, from joint draws of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.05  # two-sided, of all claims together
LEAST = 0.05  # share of the variance that the data must have removed for a claim


def claimed(draws: np.ndarray, before: np.ndarray, nothing: float, level: float = LEVEL) -> np.ndarray:
    """The signs that can be claimed together: 1, -1, or 0 for no claim, (n,).

    An estimate is shrunk towards zero, more so if little is known. If the quantity is truly zero, the estimate has the
    variance v (1 - v / b), where v is the variance of the quantity now, and b that before any data. A quantity is
    claimed if its estimate is larger, in this unit, than the largest error of any quantity, so the best of sixty is
    judged as one of sixty. After a claim, only the errors of the quantities that are left count.

    Args:
        draws: (draws, n) joint draws of the quantities, if there are differences at all.
        before: (n,) standard deviations before any data.
        nothing: probability that all quantities are zero; then every claim is wrong.
        level: probability that any claim is wrong.
    """
    import numpy as np

    found = np.zeros(draws.shape[1], int)
    if nothing >= level or not draws.size:
        return found
    room = (level - nothing) / (1 - nothing)
    means, deviations = draws.mean(0), draws.std(0)
    some = deviations > 0
    found[~some] = np.sign(means[~some])  # known without error
    learned = 1 - (deviations[some] / np.maximum(before[some], deviations[some])) ** 2
    away = np.abs(means[some]) / np.maximum(deviations[some] * np.sqrt(learned), 1e-12)
    clear = np.maximum((draws[:, some] > 0).mean(0), (draws[:, some] < 0).mean(0)) >= 1 - level / 2
    away[(learned < LEAST) | ~clear] = 0.0  # the interval of a claimed quantity always leaves out zero
    errors = np.abs(draws[:, some] - means[some]) / deviations[some]
    order = np.argsort(-away, kind="stable")
    # from the last to the first: the largest error of this quantity and all after it
    largest = np.maximum.accumulate(errors[:, order[::-1]], axis=1)[:, ::-1]
    width = np.quantile(largest, 1 - room, axis=0)
    sure = np.logical_and.accumulate(away[order] > width)
    at = np.flatnonzero(some)[order[sure]]
    found[at] = np.sign(means[at]).astype(int)
    return found
