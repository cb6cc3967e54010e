"""The Pareto front of points with a value and a cost, and the picks from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def front_of(values: np.ndarray, costs: np.ndarray) -> list[int]:
    """Positions of the points that no other point dominates, the cheapest first.

    A point dominates another one if its value is not lower, its cost is not higher, and one of the two is better. So
    two equal points never dominate each other.

    Args:
        values: (n,) values; high is good.
        costs: (n,) costs; low is good.

    Returns:
        Positions in order of cost; equal points keep their given order.

    Raises:
        ValueError: a coordinate is NaN, which cannot be ordered.
    """
    import numpy as np

    if not len(values):
        return []
    if np.isnan(values).any() or np.isnan(costs).any():
        raise ValueError(f"A front needs numbers, but got NaN in {values!r} or {costs!r}.")
    order = np.lexsort((-values, costs))
    v, g = values[order], costs[order]
    highest = np.concatenate([[-np.inf], np.maximum.accumulate(v)[:-1]])
    rises = v > highest
    last = np.maximum.accumulate(np.where(rises, np.arange(len(v)), 0))  # the last rise; equal points stay with it
    found: list[int] = order[rises | ((v == v[last]) & (g == g[last]))].tolist()
    return found


def best_of(values: np.ndarray, costs: np.ndarray) -> int:
    """The position of the highest value, and of the cheapest of equal values."""
    import numpy as np

    return int(np.lexsort((costs, -values))[0])


def knee_of(values: np.ndarray, costs: np.ndarray) -> int:
    """The position of the knee of the front: the point farthest above the line between the two ends of the front.

    Both axes are scaled to [0, 1]. Beyond the knee, more cost gains little. Of equal points, the cheapest is taken.
    A front of one or two points has no knee; the best is taken.
    """
    on = front_of(values, costs)
    first, last = on[0], on[-1]
    rise, run = values[last] - values[first], costs[last] - costs[first]
    if len(on) < 3 or rise <= 0 or run <= 0:
        return best_of(values, costs)
    # the signed height above the line is √2 times the distance; a point below the line is no knee
    return max(on, key=lambda i: ((values[i] - values[first]) / rise - (costs[i] - costs[first]) / run, -costs[i]))


def cheapest_near(values: np.ndarray, costs: np.ndarray, errors: np.ndarray) -> int:
    """The position of the cheapest point that is within one standard error of the best one.

    Args:
        values: (n,) values; high is good.
        costs: (n,) costs; low is good.
        errors: (n,) standard errors of the differences to the best point, as of `best_of`.
    """
    import numpy as np

    best = best_of(values, costs)
    near = np.flatnonzero(values >= values[best] - errors)
    return int(near[np.lexsort((-values[near], costs[near]))[0]])
