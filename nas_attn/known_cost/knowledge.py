"""The value of further runs: the hypervolume that the reported front is expected to gain by them.

The reported front goes by means. A run moves the means of all points that are correlated with its point, so it may put
another point on the front. Before the run, the expected front is as good as the present one or better; the difference
is the knowledge gradient (Frazier, Powell and Dayanik, 2008), here for a front whose costs are known.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from .improvement import ROOM

NODES = np.linspace(-6, 6, 97)  # of a normal number; evenly, because the front has kinks
WEIGHTS = np.exp(-0.5 * NODES**2)
WEIGHTS /= WEIGHTS.sum()


def on_front(draws: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """The probability of each point that no other one is as cheap and as good, (n,).

    Args:
        draws: (draws, n) joint draws of the values.
        cost: (n,) the costs; the lower the better.
    """
    found = np.zeros(len(cost))
    height = np.full(len(draws), -np.inf)
    for one in np.unique(cost):
        here = np.flatnonzero(cost == one)
        values = draws[:, here]
        top = values.max(1)
        found[here] = ((values >= top[:, None]) & (values > height[:, None])).mean(0)
        height = np.maximum(height, top)
    return found


def hypervolume(values: np.ndarray, cost: np.ndarray, floor: float) -> np.ndarray:
    """The area between a front and the floor, from its cheapest point to the reference cost.

    Args:
        values: (..., n) values, several sets of them at once.
        cost: (n,) scaled costs.
        floor: the reference value; below it nothing is gained.
    """
    order = np.argsort(cost, kind="stable")
    height = np.maximum.accumulate(np.maximum(values[..., order], floor), axis=-1)
    widths = np.diff(np.minimum(cost[order], ROOM), append=ROOM)
    found: np.ndarray = (height - floor) @ widths
    return found


def gain_of_run(mean: np.ndarray, covariance: np.ndarray, cost: np.ndarray, noise: float, floor: float) -> np.ndarray:
    """The expected gain in hypervolume of one further run of each point, (n,).

    Args:
        mean: (n,) of the values of all points that may be on the front.
        covariance: (n, n) of these values.
        cost: (n,) their scaled costs.
        noise: variance of a run.
        floor: the reference value.
    """
    moves = covariance / np.sqrt(np.maximum(np.diag(covariance), 0.0) + noise + 1e-18)  # column i: by a run of point i
    after = mean + NODES[:, None] * moves.T[:, None, :]  # (runs, nodes, points)
    gain = hypervolume(after, cost, floor) @ WEIGHTS - hypervolume(mean, cost, floor)
    found: np.ndarray = np.maximum(gain, 0.0)
    return found


def means_after(
    mean: np.ndarray, covariance: np.ndarray, runs: np.ndarray, noise: float, normal: np.ndarray
) -> np.ndarray:
    """Draws of the means after several further runs, (draws, n).

    Args:
        mean: (n,) the present means.
        covariance: (n, n) of the values.
        runs: (runs,) the positions of the points that get a further run each.
        noise: variance of a run.
        normal: (draws, runs) standard normal numbers.
    """
    inner = covariance[np.ix_(runs, runs)].copy()
    inner[np.diag_indices(len(runs))] += noise + 1e-12
    lower = np.linalg.cholesky(inner)
    moves = solve_triangular(lower, covariance[runs], lower=True)  # (runs, n)
    found: np.ndarray = mean + normal @ moves
    return found
