"""Measurements of points, reduced to the sums that a Gaussian model needs.

    value[run] = f(point) + level[group] + noise

A group is what runs share beside their points, for example the seed of a training. The noise of runs is independent
and equally large. Then the runs of a point enter only through their number and sum in each group, so the model costs
as much as there are distinct points, whatever the number of runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Precision:
    """The runs under one noise and one spread of levels, with the levels integrated out.

    Attributes:
        matrix: W, (points, points): what the runs tell about f, as a precision.
        vector: b, (points,): W f of the best fit.
        square: the remaining squares of the values.
        logdet: logarithm of the determinant of the covariance of the runs given f.
        shrink: (groups,) share of a group's sum that its level takes, over its number of runs.
    """

    matrix: np.ndarray
    vector: np.ndarray
    square: float
    logdet: float
    shrink: np.ndarray


class Observations:
    """The runs of some points.

    Args:
        points: (n,) position of each run's point among the distinct points, from 0.
        values: (n,) measured values.
        groups: n labels of groups; None if every run stands alone and there are no levels.

    Raises:
        ValueError: a value is not finite, or the lengths differ.
    """

    def __init__(
        self,
        points: Sequence[int] | np.ndarray,
        values: Sequence[float] | np.ndarray,
        groups: Sequence[Hashable] | None = None,
    ) -> None:
        self.points, self.values = np.asarray(points, int), np.asarray(values, float)
        if len(self.points) != len(self.values) or (groups is not None and len(groups) != len(self.values)):
            raise ValueError("Points, values and groups must have equal lengths.")
        if not np.isfinite(self.values).all():
            raise ValueError("Values must be finite; leave failed runs out.")
        names = list(dict.fromkeys(groups)) if groups is not None else []
        at = {name: i for i, name in enumerate(names)}
        self.groups = np.array([at[g] for g in groups], int) if groups is not None else np.zeros(len(self.values), int)
        self.names, self.distinct = names, int(self.points.max(initial=-1)) + 1
        width = max(1, len(names))
        self.counts = np.zeros((self.distinct, width))
        self.sums = np.zeros((self.distinct, width))
        np.add.at(self.counts, (self.points, self.groups), 1.0)
        np.add.at(self.sums, (self.points, self.groups), self.values)
        self.per_point, self.per_group = self.counts.sum(1), self.counts.sum(0)
        self.squares = float(self.values @ self.values)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def levels(self) -> bool:
        """True if groups have levels of their own: with one group alone, its level is the mean."""
        return len(self.names) > 1

    def kept(self, runs: np.ndarray) -> tuple[Observations, np.ndarray]:
        """The observations of some runs only, and the old positions of the points that they still have.

        Args:
            runs: (n,) True for each run that is kept.
        """
        left, renumbered = np.unique(self.points[runs], return_inverse=True)
        labels = [self.names[g] for g in self.groups[runs]] if self.names else None
        return Observations(renumbered, self.values[runs], labels), left

    def precision(self, noise: float, level: float) -> Precision:
        """The evidence of the runs on f, as a precision.

        Args:
            noise: variance of a run.
            level: variance of the levels.
        """
        g = level / (noise + level * self.per_group)
        group_sums = self.sums.sum(0)
        matrix = -(self.counts * g) @ self.counts.T
        matrix[np.diag_indices(self.distinct)] += self.per_point
        vector = self.sums.sum(1) - self.counts @ (g * group_sums)
        square = self.squares - float(g @ group_sums**2)
        logdet = len(self) * np.log(noise) + np.log1p(self.per_group * level / noise).sum()
        return Precision(matrix / noise, vector / noise, square / noise, float(logdet), g)
