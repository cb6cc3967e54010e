"""One moment of a search: the points that may be on the front, and the expected gain of the next runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import norm, qmc

from .improvement import expected_gain, steps
from .kernel import Features
from .knowledge import gain_of_run, hypervolume, means_after
from .mixed import MixedPosterior
from .posterior import Posterior

FLOOR = 0.1  # quantile of the values below which nothing is gained
RACING = 80  # most points that are compared with each other; time grows with the third power
NEAR = 3.0  # standard deviations below the front up to which a point may be on it
NOTHING = 1e-6  # share of the hypervolume below which a gain is none
DRAWS = 256  # of means after several runs; a power of 2, as Sobol's sequence wants


@dataclass(frozen=True)
class Foresight:
    """The expected state after several further runs.

    Attributes:
        gain: expected gain of the reported front's hypervolume, as a share of the present one.
        cost: (n,) scaled costs of all points that may be picked then.
        mean: (n,) their present means.
        after: (draws, n) draws of their means then.
        covariance: (n, n) of their values now.
        trained: (n,) True for points that have a run now.
    """

    gain: float
    cost: np.ndarray
    mean: np.ndarray
    after: np.ndarray
    covariance: np.ndarray
    trained: np.ndarray


class Situation:
    """The reported front at one moment.

    Args:
        posterior: of all runs.
        pending: points of runs that have not ended.
    """

    def __init__(self, posterior: Posterior | MixedPosterior, pending: Features | None = None) -> None:
        self.posterior, self._pending = posterior, pending
        used, runs = posterior.kept, posterior.runs
        self.trained = np.unique(np.asarray(runs.at)[used])
        measured = used if runs.extra is None else used & (np.asarray(runs.extra) == 0)
        # a value with extra variance is a prediction: it tells something, but its point cannot be reported
        self.runs = np.bincount(np.asarray(runs.at)[measured], minlength=len(runs.points))[self.trained]
        self.cost = runs.cost[self.trained]
        self.mean, self.deviation = posterior.predict(posterior.features.take(self.trained), pending)
        self.floor = float(np.quantile(np.asarray(runs.values)[used], FLOOR))

    @cached_property
    def front(self) -> tuple[np.ndarray, np.ndarray]:
        """The reported front as a step function, see `steps`."""
        there = self.runs > 0
        return steps(self.cost[there], self.mean[there], self.floor)

    @cached_property
    def members(self) -> np.ndarray:
        """Positions among the trained points of those on the reported front."""
        heights = self.front[1]
        return np.flatnonzero(np.isin(self.mean, heights) & (self.runs > 0)) if len(heights) else np.zeros(0, int)

    @cached_property
    def racing(self) -> np.ndarray:
        """Positions among the trained points of those that may be on the front, at most `RACING`."""
        return self._near(1.0)

    def _near(self, inflation: float) -> np.ndarray:
        order = np.lexsort((-self.mean, self.cost))
        reported = np.where(self.runs > 0, self.mean, -np.inf)
        height = np.empty(len(order))
        height[order] = np.maximum.accumulate(np.maximum(reported[order], self.floor))
        away = (height - self.mean) / (inflation * self.deviation)
        away[self.runs == 0] = np.inf
        found = np.sort(np.argsort(away, kind="stable")[:RACING])
        near: np.ndarray = found[away[found] < NEAR]
        return near

    @property
    def worth(self) -> float:
        """A gain below this is none."""
        return NOTHING * float(hypervolume(self.mean[self.runs > 0], self.cost[self.runs > 0], self.floor))

    def again(self, inflation: float = 1.0) -> np.ndarray:
        """The expected gain of one further run of each trained point, (trained,).

        Args:
            inflation: factor of the deviations.
        """
        found = np.zeros(len(self.trained))
        some = self._near(inflation)
        if len(some) > 1:
            mean, covariance = self._joint(some)
            covariance = covariance * inflation**2
            found[some] = gain_of_run(mean, covariance, self.cost[some], self.posterior.noise, self.floor)
        return found

    def gain_of_new(self, asked: Features, inflation: float = 1.0) -> np.ndarray:
        """The expected gain of the first run of new points, (n,): what its noise leaves of it.

        Args:
            asked: the points.
            inflation: factor of the deviation.
        """
        mean, deviation = self.posterior.predict(asked, self._pending)
        deviation = deviation * inflation
        moves = deviation**2 / np.sqrt(deviation**2 + self.posterior.noise)
        return expected_gain(mean, moves, asked.cost, self.front, self.floor)

    def foresee(self, new: Features, runs: int) -> Foresight:
        """The state after further runs: those of new and of trained points that are expected to gain most.

        Args:
            new: points without a run that may get one.
            runs: number of further runs.
        """
        some = self.racing
        gains = np.concatenate([self.again()[some], self.gain_of_new(new)])
        chosen = np.argsort(-gains, kind="stable")[:runs]
        further = chosen[chosen >= len(some)] - len(some)
        asked = _joined(self._features(some), new.take(further))
        mean, covariance = self.posterior.joint(asked, self._pending)
        at = np.concatenate([chosen[chosen < len(some)], len(some) + np.arange(len(further))]).astype(int)
        normal = norm.ppf(qmc.Sobol(len(at), scramble=True, rng=np.random.default_rng(0)).random(DRAWS))
        after = means_after(mean, covariance, at, self.posterior.noise, normal)
        there = np.arange(len(mean)) < len(some)
        known = float(hypervolume(mean[there], asked.cost[there], self.floor))
        gain = float(hypervolume(after, asked.cost, self.floor).mean()) - known
        share = max(gain, 0.0) / known if known > 0 else float("inf") if gain > 0 else 0.0
        return Foresight(share, asked.cost, mean, after, covariance, there)

    def _features(self, rows: np.ndarray) -> Features:
        return self.posterior.features.take(self.trained[rows])

    def _joint(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.posterior.joint(self._features(rows), self._pending)


def _joined(a: Features, b: Features) -> Features:
    return Features(
        np.concatenate([a.options, b.options]),
        np.concatenate([a.variants, b.variants]),
        np.concatenate([a.counts, b.counts]),
        np.concatenate([a.cost, b.cost]),
    )
