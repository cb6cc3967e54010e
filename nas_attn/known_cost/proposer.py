"""Proposes the point to measure next, from everything measured so far.

The first points are spread evenly over options and costs. After them, the point with the highest expected gain in
hypervolume is proposed, from the whole space or from a pool around the front; or a measured point, if a further run of
it tells more. A proposal is a pure function of the seed and of what was measured: it may be computed again at any
time, in any process.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from .fit import WIDE, Prior
from .improvement import expected_gain
from .kernel import Features, Kernel
from .posterior import Posterior, Runs
from .situation import Situation
from .space import ProductSpace

Point = tuple[int, ...]
INITIAL = 12  # points before the model is used
WHOLE = 7000  # spaces up to this size are searched as a whole
CHUNK = 32  # points whose neighbours are looked at together
POOL = 4000  # points of a pool beyond the neighbours of the front
INFLATION = (1.0, 1.0, 3.0)  # factors of the deviation, in turn: the model may be too sure of itself
ALWAYS = 60  # up to so many runs, the variances are estimated anew for each proposal
FAILURES = 2  # failed runs after which a point gets no further one
RESERVE = 4  # runs beyond the number of single runs on the front that are kept for confirming them


@dataclass(frozen=True)
class Measured:
    """The results that a proposal is made from.

    Attributes:
        points: the point of each run that ended with a value.
        values: their values, the higher the better.
        groups: what runs share beside their points; None if nothing.
        running: points of runs that have not ended.
        spent: further points that are not proposed again, for example because they failed.
        extra: variance of each value beyond the noise of a run; None if there is none.
    """

    points: Sequence[Point] = ()
    values: Sequence[float] = ()
    groups: Sequence[Hashable] | None = None
    running: Sequence[Point] = ()
    spent: Sequence[Point] = ()
    extra: Sequence[float] | None = None


class Proposer:
    """Proposes points of a space.

    Args:
        space: the space.
        cost: points (n, slots) -> their costs (n,), known exactly.
        seed: of the random pools.
        allowed: points (n, slots) -> True where a point may be proposed; None: everywhere.
        initial: number of points before the model is used.
        prior: the variances that are expected before any run.
    """

    def __init__(
        self,
        space: ProductSpace,
        cost: Callable[[np.ndarray], np.ndarray],
        seed: int,
        *,
        allowed: Callable[[np.ndarray], np.ndarray] | None = None,
        initial: int = INITIAL,
        prior: Prior = WIDE,
    ) -> None:
        self.space, self.seed, self.initial, self._prior = space, seed, initial, prior
        self.kernel = Kernel(space)
        self._cost, self._allowed = cost, allowed
        self._all = space.all() if space.size <= WHOLE else self._reached()
        sample = self._all if self._all is not None else space.random(np.random.default_rng(seed), POOL)
        some = self._permitted(sample)
        costs = np.asarray(cost(some if len(some) else self._cheapest()), float)
        self.low, self.high = float(costs.min()), float(costs.max())
        self._kept: tuple[object, Posterior] | None = None

    def scaled(self, points: np.ndarray) -> np.ndarray:
        """The costs of points, scaled so that the space has about 0 to 1."""
        return (np.asarray(self._cost(points), float) - self.low) / ((self.high - self.low) or 1.0)

    def propose(self, measured: Measured, number: int, left: int | None = None) -> Point | None:
        """The next point.

        Args:
            measured: what is known.
            number: of the proposal; it decides the random pool.
            left: number of runs that may still begin, this one included. Then a measured point is proposed again if
                another run of it is expected to gain more than a new point, or if the runs that are left are needed to
                confirm the points of the front that have a single run. None: no point is proposed twice.

        Returns:
            The point; None if every allowed point was measured, is running or was spent, and none is worth a repeat.
        """
        taken = self._taken(measured)
        distinct = len(np.unique(taken, axis=0))
        known = len(measured.values) >= 2
        if distinct < self.initial or not known:
            found = self._balanced(taken, np.random.default_rng([self.seed, number]))
            if found is not None or left is None or not known:
                return found
        now = self.situation(measured)
        pool = self.pool(now, measured, number)
        repeat, gain = (None, 0.0) if left is None else self._again(now, measured, left)
        if not len(pool):
            return repeat
        asked = self.kernel.features(pool, self.scaled(pool))
        expected, deviation = now.posterior.predict(asked, self._pending(measured))
        inflation = INFLATION[number % len(INFLATION)]
        hoped = expected_gain(expected, inflation * deviation, asked.cost, now.front, now.floor)
        if hoped.max() <= 0:
            hoped = expected + deviation
        best = int(np.argmax(hoped))
        if repeat is not None and gain > float(now.gain_of_new(asked.take(np.array([best])), inflation)[0]):
            return repeat
        return _point(pool[best])

    def situation(self, measured: Measured) -> Situation:
        """The front and the knowledge of it, from at least two values."""
        return Situation(self.posterior(measured), self._pending(measured))

    def pool(self, now: Situation, measured: Measured, number: int) -> np.ndarray:
        """Allowed points without a run among which the best one is looked for, (n, slots).

        Args:
            now: the situation.
            measured: what is known.
            number: of the proposal; it decides the random part.
        """
        taken = self._taken(measured)
        points = now.posterior.runs.points[now.trained]
        best = np.unique(np.concatenate([now.members, np.argsort(-now.mean)[:3]]))
        found = self._new(self._pool(points[best], np.random.default_rng([self.seed, number])), taken)
        return found if len(found) else self._new(self._rest(taken), taken)

    def repeatable(self, now: Situation, measured: Measured) -> np.ndarray:
        """(trained,) True for trained points that may get a further run: allowed, not running, seldom failed.

        Args:
            now: the situation.
            measured: what is known.
        """
        keys = self.space.keys(now.posterior.runs.points[now.trained])
        allowed = self.space.keys(self._permitted(now.posterior.runs.points[now.trained]))
        slots = len(self.space.sizes)
        running = self.space.keys(np.array(measured.running, int).reshape(-1, slots))
        failed, times = np.unique(self.space.keys(np.array(measured.spent, int).reshape(-1, slots)), return_counts=True)
        busy = np.concatenate([running, failed[times >= FAILURES]])
        found: np.ndarray = np.isin(keys, allowed) & ~np.isin(keys, busy)
        return found

    def single(self, now: Situation, measured: Measured) -> np.ndarray:
        """Positions among the trained points of the members of the front that have one run and may get another."""
        there = (now.runs == 1) & self.repeatable(now, measured)
        found: np.ndarray = now.members[there[now.members]]
        return found

    def _again(self, now: Situation, measured: Measured, left: int) -> tuple[Point | None, float]:
        """The measured point whose further run gains most, with the gain; no point if no run gains anything."""
        points = now.posterior.runs.points[now.trained]
        there = self.repeatable(now, measured)
        if there.sum() < 2:
            return None, 0.0
        gains = np.where(there, now.again(), -1.0)
        single = self.single(now, measured)
        last = left <= len(single) + RESERVE  # a new point would have a single run at the end
        if last and len(single):
            return _point(points[single[np.argmax(gains[single])]]), float("inf")
        best = int(np.argmax(gains))
        if gains[best] <= now.worth:  # the model may be too sure of itself
            gains = np.where(there, now.again(max(INFLATION)), -1.0)
            best = int(np.argmax(gains))
            if gains[best] <= now.worth:  # no run gains anything, so only the front is left to confirm
                return (_point(points[single[0]]) if len(single) else None), 0.0
            return _point(points[best]), 0.0
        return _point(points[best]), float("inf") if last else float(gains[best])

    def _taken(self, measured: Measured) -> np.ndarray:
        every = [*measured.points, *measured.running, *measured.spent]
        return np.array(every, int).reshape(-1, len(self.space.sizes))

    def _pending(self, measured: Measured) -> Features | None:
        running = np.array(measured.running, int).reshape(-1, len(self.space.sizes))
        return self.kernel.features(running, self.scaled(running)) if len(running) else None

    def posterior(self, measured: Measured) -> Posterior:
        """The posterior of all runs; beyond `ALWAYS` runs its variances are those of a round number of runs."""
        n = len(measured.values)
        first = n
        if n > ALWAYS:
            step = max(5, n // 20)
            first = n - n % step
        begun = self._first(measured, first)
        return begun if first == n else Posterior(self.kernel, self._runs(measured, n), like=begun)

    def _first(self, measured: Measured, n: int) -> Posterior:
        groups = None if measured.groups is None else tuple(measured.groups[:n])
        extra = None if measured.extra is None else tuple(measured.extra[:n])
        key = (tuple(measured.points[:n]), tuple(measured.values[:n]), groups, extra)
        if self._kept is None or self._kept[0] != key:
            self._kept = key, Posterior(self.kernel, self._runs(measured, n), best=True, prior=self._prior)
        return self._kept[1]

    def _runs(self, measured: Measured, n: int) -> Runs:
        at: dict[Point, int] = {}
        positions = [at.setdefault(tuple(p), len(at)) for p in measured.points[:n]]
        points = np.array(list(at), int)
        groups = None if measured.groups is None else list(measured.groups[:n])
        extra = None if measured.extra is None else list(measured.extra[:n])
        return Runs(points, self.scaled(points), positions, list(measured.values[:n]), groups, extra)

    def _balanced(self, taken: np.ndarray, rng: np.random.Generator) -> Point | None:
        """A new point whose options were tried least, at a cost whose range was tried least."""
        pool = self._new(self._all if self._all is not None else self.space.random(rng, POOL), taken)
        if not len(pool):
            pool = self._new(self._rest(taken), taken)
        if not len(pool):
            return None
        cost = self.scaled(pool)
        if not len(taken):
            return _point(pool[np.argmin(cost)])
        options, names = self.space.option_of, len(self.space.options)
        slots = np.arange(len(self.space.sizes)) * names
        used = np.bincount((options[self.space.variants(taken)] + slots).ravel(), minlength=names * len(slots))
        settings = np.bincount(self.space.variants(taken).ravel(), minlength=len(options))
        chosen = self.space.variants(pool)
        burden = used[options[chosen] + slots].sum(1) + 0.3 * settings[chosen].sum(1)
        edges = np.quantile(cost, np.linspace(0, 1, self.initial)[1:-1])
        tried = np.bincount(np.searchsorted(edges, self.scaled(taken)), minlength=self.initial)
        burden = burden + len(slots) * tried[np.searchsorted(edges, cost)] + 0.5 * rng.random(len(pool))
        return _point(pool[np.argmin(burden)])

    def _pool(self, best: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The whole space, or random points, neighbours of the front at one and two slots, and crossings of it."""
        if self._all is not None:
            return self._all
        slots, sizes = len(self.space.sizes), self.space.sizes
        found = [self.space.random(rng, POOL // 2), self._neighbours(best)]
        far = best[rng.integers(len(best), size=POOL // 4)]
        for _ in range(2):
            at = rng.integers(slots, size=len(far))
            far[np.arange(len(far)), at] = (rng.random(len(far)) * sizes[at]).astype(int)
        first, second = (best[rng.integers(len(best), size=POOL // 4)] for _ in range(2))
        found += [far, np.where(rng.random(first.shape) < 0.5, first, second)]
        return np.concatenate(found)

    def _neighbours(self, points: np.ndarray) -> np.ndarray:
        """The points themselves, and those that differ from one of them at one slot; some several times."""
        found = []
        for slot, size in enumerate(self.space.sizes):
            near = np.repeat(points, size, 0)
            near[:, slot] = np.tile(np.arange(size), len(points))
            found.append(near)
        return np.concatenate(found)

    def _cheapest(self) -> np.ndarray:
        """The point that the cheapest change of one slot after the other leads to, (1, slots).

        It is the cheapest of all if costs add up over the slots.
        """
        point = self.space.random(np.random.default_rng(self.seed), 1)
        while True:
            near = self._neighbours(point)
            costs = np.asarray(self._cost(near), float)
            found = near[[int(np.argmin(costs))]]
            if costs.min() >= np.asarray(self._cost(point), float)[0]:
                return point
            point = found

    def _reached(self) -> np.ndarray | None:
        """All allowed points, if there are few: those that changes of one slot lead to from the cheapest one."""
        if self._allowed is None:
            return None
        found = edge = self._permitted(self._cheapest())
        while len(edge):
            begun, edge = edge[:CHUNK], edge[CHUNK:]
            new = self._new(self._neighbours(begun), found)
            found, edge = np.concatenate([found, new]), np.concatenate([edge, new])
            if len(found) > WHOLE:
                return None
        return found if len(found) else None

    def _new(self, points: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """The distinct allowed points among these that are not taken."""
        keys, first = np.unique(self.space.keys(points), return_index=True)
        left = points[first[~np.isin(keys, self.space.keys(taken))]]
        return self._permitted(left)

    def _permitted(self, points: np.ndarray) -> np.ndarray:
        return points if self._allowed is None or not len(points) else points[np.asarray(self._allowed(points), bool)]

    def _rest(self, taken: np.ndarray) -> np.ndarray:
        """All points of a space that is small enough to be nearly used up; else many random ones."""
        if self.space.size <= 50 * WHOLE:
            return self.space.all()
        return self.space.random(np.random.default_rng([self.seed, len(taken)]), 10 * POOL)


def _point(row: np.ndarray) -> Point:
    return tuple(int(i) for i in row)
