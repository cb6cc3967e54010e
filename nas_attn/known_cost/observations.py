"""Measurements of points, reduced to the sums that a Gaussian model needs.

    value[run] = f(point) + level[group] + noise

A group is what runs share beside their points, for example the seed of a training. The noise of runs is independent,
and equally large but for an extra variance that some runs have, for example because their values are predictions. Then
the runs of a point enter only through their weights and weighted sums in each group, so the model costs as much as
there are distinct points, whatever the number of runs. The weight of a run is noise / (noise + its extra variance).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Runs:
    """Measured runs.

    Attributes:
        points: (n, slots) the distinct points.
        cost: (n,) their costs, scaled.
        at: the position of each run's point.
        values: the measured values.
        groups: the group of each run; None without groups.
        extra: variance of each value beyond the noise of a run; None if there is none.
    """

    points: np.ndarray
    cost: np.ndarray
    at: Sequence[int]
    values: Sequence[float]
    groups: Sequence[Hashable] | None = None
    extra: Sequence[float] | None = None


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


@dataclass(frozen=True)
class Weighted:
    """The sums of the runs under one noise.

    Attributes:
        weights: (runs,) noise / (noise + extra variance).
        counts: (points, groups) sums of weights.
        sums: (points, groups) weighted sums of values.
        per_point, per_group: sums of weights.
        squares: weighted sum of the squared values.
        logs: sum of the logarithms of the weights.
    """

    weights: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    per_point: np.ndarray
    per_group: np.ndarray
    squares: float
    logs: float


class Observations:
    """The runs of some points.

    Args:
        points: (n,) position of each run's point among the distinct points, from 0.
        values: (n,) measured values.
        groups: n labels of groups; None if every run stands alone and there are no levels.
        extra: (n,) variance of each run beyond the noise; None if there is none.

    Raises:
        ValueError: a value is not finite, or the lengths differ.
    """

    def __init__(
        self,
        points: Sequence[int] | np.ndarray,
        values: Sequence[float] | np.ndarray,
        groups: Sequence[Hashable] | None = None,
        extra: Sequence[float] | np.ndarray | None = None,
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
        self.extra = np.asarray(extra, float) if extra is not None and np.any(extra) else None
        self._plain = self._summed(np.ones(len(self.values)))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def levels(self) -> bool:
        """True if groups have levels of their own: with one group alone, its level is the mean."""
        return len(self.names) > 1

    def weighted(self, noise: float) -> Weighted:
        """The sums of the runs.

        Args:
            noise: variance of a run without extra variance.
        """
        return self._plain if self.extra is None else self._summed(noise / (noise + self.extra))

    def _summed(self, weights: np.ndarray) -> Weighted:
        counts, sums = np.zeros((2, self.distinct, max(1, len(self.names))))
        np.add.at(counts, (self.points, self.groups), weights)
        np.add.at(sums, (self.points, self.groups), weights * self.values)
        squares = float(weights @ self.values**2)
        return Weighted(weights, counts, sums, counts.sum(1), counts.sum(0), squares, float(np.log(weights).sum()))

    def kept(self, runs: np.ndarray) -> tuple[Observations, np.ndarray]:
        """The observations of some runs only, and the old positions of the points that they still have.

        Args:
            runs: (n,) True for each run that is kept.
        """
        left, renumbered = np.unique(self.points[runs], return_inverse=True)
        labels = [self.names[g] for g in self.groups[runs]] if self.names else None
        extra = None if self.extra is None else self.extra[runs]
        return Observations(renumbered, self.values[runs], labels, extra), left

    def precision(self, noise: float, level: float) -> Precision:
        """The evidence of the runs on f, as a precision.

        Args:
            noise: variance of a run.
            level: variance of the levels.
        """
        seen = self.weighted(noise)
        g = level / (noise + level * seen.per_group)
        group_sums = seen.sums.sum(0)
        matrix = -(seen.counts * g) @ seen.counts.T
        matrix[np.diag_indices(self.distinct)] += seen.per_point
        vector = seen.sums.sum(1) - seen.counts @ (g * group_sums)
        square = seen.squares - float(g @ group_sums**2)
        logdet = len(self) * np.log(noise) - seen.logs + np.log1p(seen.per_group * level / noise).sum()
        return Precision(matrix / noise, vector / noise, square / noise, float(logdet), g)
