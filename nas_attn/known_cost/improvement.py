"""The expected gain in hypervolume if the cost of every point is known.

The front F is a step function of the cost: the best value at that cost or below. A point x of cost c(x) and value f(x)
adds the area between f(x) and F over all costs from c(x) on. With f(x) normal, its expectation is a finite sum:

    Σ over steps j of  (length of step j beyond c(x)) · E[max(0, f(x) - F_j)]
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr

ROOM = 1.02  # the reference cost, as a multiple of the highest scaled cost


def steps(cost: np.ndarray, value: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """The front as a step function: the costs at which it rises, and its heights from there on, above the floor."""
    order = np.lexsort((-value, cost))
    height = np.maximum.accumulate(np.maximum(value[order], floor))
    rises = np.concatenate([[height[0] > floor], height[1:] > height[:-1]]) if len(height) else np.zeros(0, bool)
    return cost[order][rises], height[rises]


def expected_gain(
    mean: np.ndarray,
    deviation: np.ndarray,
    cost: np.ndarray,
    front: tuple[np.ndarray, np.ndarray],
    floor: float,
) -> np.ndarray:
    """The expected gain of each point, (n,).

    Args:
        mean: (n,) of the values.
        deviation: (n,) standard deviations of the values.
        cost: (n,) scaled costs.
        front: as `steps` gives it.
        floor: the reference value; below it nothing is gained.
    """
    edges = np.concatenate([[-np.inf], np.minimum(front[0], ROOM), [ROOM]])
    heights = np.concatenate([[floor], front[1]])
    found = np.zeros(len(mean))
    for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True):
        length = np.clip(right - np.maximum(left, cost), 0, None)
        some = length > 0
        z = (mean[some] - height) / deviation[some]
        gain = deviation[some] * (z * ndtr(z) + np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi))
        found[some] += length[some] * gain
    return found
