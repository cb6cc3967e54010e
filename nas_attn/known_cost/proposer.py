"""Proposes the point to measure next, from everything measured so far.

The first points are spread evenly over options and costs. After them, the point with the highest expected gain in
hypervolume is proposed, from the whole space or from a pool around the front; or a measured point, if a further run of
it tells more. A proposal is a pure function of the seed and of what was measured: it may be computed again at any
time, in any process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .fit import WIDE, Prior
from .improvement import expected_gain
from .kernel import Features, Kernel
from .measured import Cheap, Measured, Point
from .mixed import ENOUGH, MixedPosterior, with_second
from .observations import Runs
from .pools import Pools, to_point
from .posterior import Posterior
from .situation import Situation
from .space import ProductSpace
from .told import ToldKernel

INITIAL = 12  # points before the model is used
INFLATION = (1.0, 1.0, 3.0)  # factors of the deviation, in turn: the model may be too sure of itself
ALWAYS = 60  # up to so many runs, the variances are estimated anew for each proposal
ALWAYS_OF_TWO = 24  # the same if there is a second score
FAILURES = 2  # failed runs after which a point gets no further one
RESERVE = 4  # runs beyond the number of single runs on the front that are kept for confirming them


@dataclass(frozen=True)
class Weighed:
    """The choice of a proposal: the best new point, and the best measured one.

    Attributes:
        now: the situation.
        pool: (n, slots) the new points that were looked at.
        asked: their features.
        inflation: factor of the deviations in this proposal.
        best: position of the best new point; None if there is none.
        gain: expected gain of its first run.
        repeat: the measured point whose further run gains most; None if no further run gains anything.
        gain_of_repeat: expected gain of this run.
    """

    now: Situation
    pool: np.ndarray
    asked: Features
    inflation: float
    best: int | None
    gain: float
    repeat: Point | None
    gain_of_repeat: float

    @property
    def point(self) -> Point | None:
        """The point to measure next; None if no run gains anything."""
        if self.best is None or (self.repeat is not None and self.gain_of_repeat > self.gain):
            return self.repeat
        return to_point(self.pool[self.best])


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
        self.pools = Pools(space, cost, seed, allowed, initial)
        self._weighed: tuple[object, Weighed] | None = None
        self._told: tuple[Cheap, Posterior] | None = None
        self._kept: tuple[Measured, Posterior | MixedPosterior] | None = None

    def scaled(self, points: np.ndarray) -> np.ndarray:
        """The costs of points, scaled so that the space has about 0 to 1."""
        return self.pools.scaled(points)

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
        found, begun = self.begin(measured, number)
        if found is not None or not begun:
            return found
        if left is None and self._few(measured):
            return None
        return self.weigh(measured, number, left).point

    def begin(self, measured: Measured, number: int) -> tuple[Point | None, bool]:
        """One of the points before the model is used, and True if the model can be used.

        Args:
            measured, number: as for `propose`.
        """
        known = len(measured.values) >= 2
        if known and not self._few(measured):
            return None, True
        return self.pools.balanced(self._taken(measured), np.random.default_rng([self.seed, number])), known

    def _few(self, measured: Measured) -> bool:
        return len(np.unique(self._taken(measured), axis=0)) < self.initial

    def weigh(self, measured: Measured, number: int, left: int | None) -> Weighed:
        """The best new point and the best measured one, from at least two values.

        Args:
            measured, number, left: as for `propose`.
        """
        asked_for = measured, number, left
        if self._weighed is None or self._weighed[0] != asked_for:
            self._weighed = asked_for, self._weigh(measured, number, left)
        return self._weighed[1]

    def _weigh(self, measured: Measured, number: int, left: int | None) -> Weighed:
        now = self.situation(measured)
        pool = self.pool(now, measured, number)
        repeat, again = (None, 0.0) if left is None else self._again(now, measured, left)
        asked = self.kernel.features(pool, self.scaled(pool))
        inflation = INFLATION[number % len(INFLATION)]
        if not len(pool):
            return Weighed(now, pool, asked, inflation, None, 0.0, repeat, again)
        expected, deviation = now.posterior.predict(asked, self._pending(measured))
        hoped = expected_gain(expected, inflation * deviation, asked.cost, now.front, now.floor)
        if hoped.max() <= 0:
            hoped = expected + deviation
        best = int(np.argmax(hoped))
        gain = float(now.gain_of_new(asked.take(np.array([best])), inflation)[0])
        return Weighed(now, pool, asked, inflation, best, gain, repeat, again)

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
        some = self.pools.around(points[best], np.random.default_rng([self.seed, number]))
        if measured.cheap is not None and not self.pools.whole:
            some = np.concatenate([some, np.array(measured.cheap.points, int).reshape(-1, len(self.space.sizes))])
        found = self.pools.new(some, taken)
        return found if len(found) else self.pools.new(self.pools.rest(taken), taken)

    def repeatable(self, now: Situation, measured: Measured) -> np.ndarray:
        """(trained,) True for trained points that may get a further run: allowed, not running, seldom failed.

        Args:
            now: the situation.
            measured: what is known.
        """
        keys = self.space.keys(now.posterior.runs.points[now.trained])
        allowed = self.space.keys(self.pools.permitted(now.posterior.runs.points[now.trained]))
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
            return to_point(points[single[np.argmax(gains[single])]]), float("inf")
        best = int(np.argmax(gains))
        if gains[best] <= now.worth:  # the model may be too sure of itself
            gains = np.where(there, now.again(max(INFLATION)), -1.0)
            best = int(np.argmax(gains))
            if gains[best] <= now.worth:  # no run gains anything, so only the front is left to confirm
                return (to_point(points[single[0]]) if len(single) else None), 0.0
            return to_point(points[best]), 0.0
        return to_point(points[best]), float("inf") if last else float(gains[best])

    def _taken(self, measured: Measured) -> np.ndarray:
        every = [*measured.points, *measured.running, *measured.spent]
        return np.array(every, int).reshape(-1, len(self.space.sizes))

    def _pending(self, measured: Measured) -> Features | None:
        running = np.array(measured.running, int).reshape(-1, len(self.space.sizes))
        return self.kernel.features(running, self.scaled(running)) if len(running) else None

    def posterior(self, measured: Measured) -> Posterior | MixedPosterior:
        """The posterior of all runs; beyond a number of runs its variances are those of a round number of runs."""
        n = len(measured.values)
        first = n
        if n > (ALWAYS if measured.second is None else ALWAYS_OF_TWO):
            step = max(5, n // 20)
            first = n - n % step
        begun = measured.first(first)
        if self._kept is None or self._kept[0] != begun:
            self._kept = begun, self._made(begun, None)
        return self._kept[1] if first == n else self._made(measured, self._kept[1])

    def _made(self, measured: Measured, like: Posterior | MixedPosterior | None) -> Posterior | MixedPosterior:
        earlier = like.first if isinstance(like, MixedPosterior) else like
        kernel = self.kernel if (g := self.cheap(measured)) is None else ToldKernel(g)
        found = Posterior(kernel, self._runs(measured), best=True, like=earlier, prior=self._prior)
        if measured.second is None:
            return found
        return with_second(found, measured.second, measured.second_extra, prior=self._prior, like=like)

    def cheap(self, measured: Measured) -> Posterior | None:
        """The posterior of what cheap runs measure; None if there are too few."""
        cheap = measured.cheap
        if cheap is None or len(set(cheap.points)) < ENOUGH:
            return None
        if self._told is None or self._told[0] != cheap:
            runs = self._runs(Measured(cheap.points, cheap.values, cheap.groups))
            self._told = cheap, Posterior(self.kernel, runs, best=True, prior=self._prior)
        return self._told[1]

    def _runs(self, measured: Measured) -> Runs:
        at: dict[Point, int] = {}
        positions = [at.setdefault(tuple(p), len(at)) for p in measured.points]
        points = np.array(list(at), int)
        return Runs(points, self.scaled(points), positions, measured.values, measured.groups, measured.extra)
