"""The points among which a proposal is looked for: the whole space if it is small, else a pool around the front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .measured import Point
from .space import ProductSpace

WHOLE = 7000  # spaces up to this size are searched as a whole
CHUNK = 32  # points whose neighbours are looked at together
POOL = 4000  # points of a pool beyond the neighbours of the front


class Pools:
    """Points of a space that may be proposed.

    Args:
        space: the space.
        cost: points (n, slots) -> their costs (n,), known exactly.
        seed: of the random pools.
        allowed: points (n, slots) -> True where a point may be proposed; None: everywhere.
        initial: number of points that are spread evenly.

    Attributes:
        low, high: lowest and highest cost of a large sample.
    """

    def __init__(
        self,
        space: ProductSpace,
        cost: Callable[[np.ndarray], np.ndarray],
        seed: int,
        allowed: Callable[[np.ndarray], np.ndarray] | None,
        initial: int,
    ) -> None:
        self.space, self.seed, self.initial = space, seed, initial
        self._cost, self._allowed = cost, allowed
        self._all = space.all() if space.size <= WHOLE else self._reached()
        sample = self._all if self._all is not None else space.random(np.random.default_rng(seed), POOL)
        some = self.permitted(sample)
        costs = np.asarray(cost(some if len(some) else self.cheapest()), float)
        self.low, self.high = float(costs.min()), float(costs.max())

    @property
    def whole(self) -> bool:
        """True if the space is searched as a whole."""
        return self._all is not None

    def scaled(self, points: np.ndarray) -> np.ndarray:
        """The costs of points, scaled so that the space has about 0 to 1."""
        return (np.asarray(self._cost(points), float) - self.low) / ((self.high - self.low) or 1.0)

    def balanced(self, taken: np.ndarray, rng: np.random.Generator) -> Point | None:
        """A new point whose options were tried least, at a cost whose range was tried least."""
        pool = self.new(self._all if self._all is not None else self.space.random(rng, POOL), taken)
        if not len(pool):
            pool = self.new(self.rest(taken), taken)
        if not len(pool):
            return None
        cost = self.scaled(pool)
        if not len(taken):
            return to_point(pool[np.argmin(cost)])
        options, names = self.space.option_of, len(self.space.options)
        slots = np.arange(len(self.space.sizes)) * names
        used = np.bincount((options[self.space.variants(taken)] + slots).ravel(), minlength=names * len(slots))
        settings = np.bincount(self.space.variants(taken).ravel(), minlength=len(options))
        chosen = self.space.variants(pool)
        burden = used[options[chosen] + slots].sum(1) + 0.3 * settings[chosen].sum(1)
        edges = np.quantile(cost, np.linspace(0, 1, self.initial)[1:-1])
        tried = np.bincount(np.searchsorted(edges, self.scaled(taken)), minlength=self.initial)
        burden = burden + len(slots) * tried[np.searchsorted(edges, cost)] + 0.5 * rng.random(len(pool))
        return to_point(pool[np.argmin(burden)])

    def around(self, best: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The whole space, or random points, neighbours of the front at one and two slots, and crossings of it."""
        if self._all is not None:
            return self._all
        slots, sizes = len(self.space.sizes), self.space.sizes
        found = [self.space.random(rng, POOL // 2), self.neighbours(best)]
        far = best[rng.integers(len(best), size=POOL // 4)]
        for _ in range(2):
            at = rng.integers(slots, size=len(far))
            far[np.arange(len(far)), at] = (rng.random(len(far)) * sizes[at]).astype(int)
        first, second = (best[rng.integers(len(best), size=POOL // 4)] for _ in range(2))
        found += [far, np.where(rng.random(first.shape) < 0.5, first, second)]
        return np.concatenate(found)

    def neighbours(self, points: np.ndarray) -> np.ndarray:
        """The points themselves, and those that differ from one of them at one slot; some several times."""
        found = []
        for slot, size in enumerate(self.space.sizes):
            near = np.repeat(points, size, 0)
            near[:, slot] = np.tile(np.arange(size), len(points))
            found.append(near)
        return np.concatenate(found)

    def cheapest(self) -> np.ndarray:
        """The point that the cheapest change of one slot after the other leads to, (1, slots).

        It is the cheapest of all if costs add up over the slots.
        """
        point = self.space.random(np.random.default_rng(self.seed), 1)
        while True:
            near = self.neighbours(point)
            costs = np.asarray(self._cost(near), float)
            found = near[[int(np.argmin(costs))]]
            if costs.min() >= np.asarray(self._cost(point), float)[0]:
                return point
            point = found

    def _reached(self) -> np.ndarray | None:
        """All allowed points, if there are few: those that changes of one slot lead to from the cheapest one."""
        if self._allowed is None:
            return None
        found = edge = self.permitted(self.cheapest())
        while len(edge):
            begun, edge = edge[:CHUNK], edge[CHUNK:]
            new = self.new(self.neighbours(begun), found)
            found, edge = np.concatenate([found, new]), np.concatenate([edge, new])
            if len(found) > WHOLE:
                return None
        return found if len(found) else None

    def new(self, points: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """The distinct allowed points among these that are not taken."""
        keys, first = np.unique(self.space.keys(points), return_index=True)
        left = points[first[~np.isin(keys, self.space.keys(taken))]]
        return self.permitted(left)

    def permitted(self, points: np.ndarray) -> np.ndarray:
        return points if self._allowed is None or not len(points) else points[np.asarray(self._allowed(points), bool)]

    def rest(self, taken: np.ndarray) -> np.ndarray:
        """All points of a space that is small enough to be nearly used up; else many random ones."""
        if self.space.size <= 50 * WHOLE:
            return self.space.all()
        return self.space.random(np.random.default_rng([self.seed, len(taken)]), 10 * POOL)


def to_point(row: np.ndarray) -> Point:
    """A row of points as a point."""
    return tuple(int(i) for i in row)
