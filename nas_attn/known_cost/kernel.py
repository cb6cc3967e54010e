"""The covariance of an unknown function on a product space, as a sum of parts with one variance each.

For two points a and b with S slots, R_s is the similarity of their variants at slot s and v = Σ R_s:

| part | covariance | what it stands for |
|---|---|---|
| option | [same option at s], averaged over s | the effect of an option at a slot |
| setting | v / S | the effect of settings, within an option |
| shared | how often both have the same option at any slot | the effect of an option at all slots |
| pair | [same options at s and t], averaged over pairs of slots | interactions of two options |
| near | exp(v - S) | what similar points have in common |
| cost | Gaussian in the cost, 0.25 of its range wide | a gain that follows the size |
| own | [a = b] | the rest of one point, which tells nothing about others |
| told | what another function has in common at both, see `told.py` | what that function tells of this one |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .space import ProductSpace

PARTS = ("option", "setting", "shared", "pair", "near", "cost", "own")
TOLD = "told"  # the part of a kernel that another function tells
WIDTH = 0.25  # of the cost part, as a share of the range of costs


@dataclass(frozen=True)
class Features:
    """Points, prepared so that each part of the covariance is a product of matrices.

    Attributes:
        options: (n, slots × options) of 0 and 1.
        variants: (n, variants) of 0 and 1.
        counts: (n, options): how many slots have the option.
        cost: (n,) cost, scaled so that the space has about 0 to 1.
    """

    options: np.ndarray
    variants: np.ndarray
    counts: np.ndarray
    cost: np.ndarray

    def __len__(self) -> int:
        return len(self.cost)

    def take(self, rows: np.ndarray | slice) -> Features:
        """Some of the points."""
        return Features(self.options[rows], self.variants[rows], self.counts[rows], self.cost[rows])


class Kernel:
    """The parts of the covariance on a space.

    Args:
        space: the space.
    """

    def __init__(self, space: ProductSpace) -> None:
        self.space = space
        self.slots = len(space.sizes)
        self._similarity = space.similarity

    def features(self, points: np.ndarray, cost: np.ndarray) -> Features:
        """The features of points.

        Args:
            points: (n, slots).
            cost: (n,) scaled costs.
        """
        n, total = len(points), len(self.space.options)
        chosen = self.space.variants(points)
        variants = np.zeros((n, int(self.space.sizes.sum())))
        np.put_along_axis(variants, chosen, 1.0, 1)
        names = self.space.option_of[chosen]
        options = np.zeros((n, self.slots * total))
        np.put_along_axis(options, names + total * np.arange(self.slots), 1.0, 1)
        return Features(options, variants, options.reshape(n, self.slots, total).sum(1), np.asarray(cost, float))

    def parts(self, a: Features, b: Features) -> np.ndarray:
        """All parts between two sets of points, (parts, len(a), len(b))."""
        v, same = self._alike(a, b)
        found = np.empty((len(PARTS), len(a), len(b)))
        found[0] = same / self.slots
        found[1] = v / self.slots
        found[2] = a.counts @ b.counts.T / self.slots**2
        found[3] = same * (same - 1) / max(1, self.slots * (self.slots - 1))
        found[4] = np.exp(v - self.slots)
        found[5] = np.exp(-0.5 * ((a.cost[:, None] - b.cost) / WIDTH) ** 2)
        found[6] = v > self.slots - 1e-9
        return found

    def weighted(self, variances: np.ndarray, a: Features, b: Features) -> np.ndarray:
        """The covariance between two sets of points, (len(a), len(b))."""
        option, setting, shared, pair, near, cost, own = variances
        s = self.slots
        v, same = self._alike(a, b)
        found: np.ndarray = (a.counts * (shared / s**2)) @ b.counts.T
        found += same * (option / s) + v * (setting / s)
        if s > 1:
            found += same * (same - 1) * (pair / (s * (s - 1)))
        found += near * np.exp(v - s)
        found += cost * np.exp(-0.5 * ((a.cost[:, None] - b.cost) / WIDTH) ** 2)
        found += own * (v > s - 1e-9)
        return found

    def diagonal(self, variances: np.ndarray, a: Features) -> np.ndarray:
        """The variance of each point, (n,)."""
        shared = (a.counts**2).sum(1) / self.slots**2
        others = np.delete(variances, 2)
        if self.slots == 1:
            others = np.delete(others, 2)  # one slot has no pairs
        total: np.ndarray = others.sum() + variances[2] * shared
        return total

    def _alike(self, a: Features, b: Features) -> tuple[np.ndarray, np.ndarray]:
        """Σ R_s between points, and the number of slots at which they have the same option."""
        return (a.variants @ self._similarity) @ b.variants.T, a.options @ b.options.T
