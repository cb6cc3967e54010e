"""Chooses between a run alone and a cheap run of several points, by what each is expected to tell in a second.

A cheap run measures a group of points at once, but something else than the value: see `told.py`. Which of both pays
depends on the problem, so nobody chooses it beforehand. Some points are measured both ways first, and some more if it
is close. From then on, new points are measured in a cheap run as long as this takes more of what is open about them in
a second, so a way that tells nothing is dropped. A point has a value only by a run alone, so the seconds of a group
include one.
"""

from __future__ import annotations

import numpy as np

from .improvement import expected_gain
from .kernel import Features
from .measured import Measured, Point
from .pools import to_point
from .proposer import Proposer, Weighed
from .situation import Situation
from .told import ToldKernel

WORTH = 40  # runs that may still begin; with fewer, cheap runs do not pay back the time to learn what they tell
BOTH = 12  # points that are measured both ways before the ways are compared
MORE, CLOSE = 24, 0.25  # the same if cheap runs tell at least this share of what runs alone tell in a second
LOOKED = 200  # most promising points among which a group is looked for


def group(proposer: Proposer, measured: Measured, number: int, left: int) -> list[Point]:
    """The points of the next cheap run; none if the next run is one alone.

    Args:
        proposer: of the points that run alone.
        measured: what is known, with its cheap runs.
        number: of the proposal; it decides the random pool.
        left: number of points that may still be measured, by either way.
    """
    cheap = measured.cheap
    if cheap is None or cheap.size < 2 or left <= cheap.size or proposer.begin(measured, number) != (None, True):
        return []
    if not cheap.points and not cheap.running and left < WORTH:
        return []
    gone = {*cheap.points, *cheap.running, *cheap.barred}
    alone = list(dict.fromkeys(tuple(p) for p in measured.points))
    left_out = [p for p in alone if p not in gone]
    both = len(alone) - len(left_out)
    missing = min(BOTH, len(alone)) - both
    if missing > 1:
        return left_out[: min(cheap.size, missing)]
    if proposer.cheap(measured) is None:
        return []
    weighed = proposer.weigh(measured, number, left)
    if weighed.best is None or weighed.point == weighed.repeat:
        return []
    new = np.array([to_point(p) not in gone for p in weighed.pool], bool)
    if new.sum() < cheap.size:
        return []
    asked, points = _best(weighed, cheap.size, weighed.asked.take(new), weighed.pool[new])
    by_group, by_run = told(weighed.now, asked)
    alone_seconds, seconds = cheap.seconds
    worth = by_group / (seconds + alone_seconds / cheap.size) * alone_seconds / by_run
    if worth > 1:
        return points
    # a few points hardly show what cheap runs tell, so runs alone are repeated in a group before it is given up
    return left_out[: cheap.size] if worth > CLOSE and both < MORE and len(left_out) >= cheap.size else []


def _best(weighed: Weighed, size: int, asked: Features, pool: np.ndarray) -> tuple[Features, list[Point]]:
    """The group that is expected to gain most, chosen one point after the other."""
    now, inflation = weighed.now, weighed.inflation
    mean, deviation = now.posterior.predict(asked)
    some = np.argsort(-expected_gain(mean, inflation * deviation, asked.cost, now.front, now.floor), kind="stable")
    some = some[:LOOKED]
    asked, pool, mean, deviation = asked.take(some), pool[some], mean[some], deviation[some]
    kernel = now.posterior.kernel
    assert isinstance(kernel, ToldKernel)
    covariance, noise = kernel.g.between(asked, asked)[2], kernel.noise
    first = _told(covariance, noise)
    chosen: list[int] = []
    for _ in range(size):
        moves = inflation * deviation * np.sqrt(_told(covariance, noise) / first)
        gains = expected_gain(mean, np.maximum(moves, 1e-12), asked.cost, now.front, now.floor)
        gains[chosen] = -1.0
        best = int(np.argmax(gains))
        chosen.append(best)
        column = covariance[:, best]
        covariance = covariance - np.outer(column, column) / (column[best] + noise)
    return asked.take(np.array(chosen)), [to_point(p) for p in pool[chosen]]


def told(now: Situation, asked: Features) -> tuple[float, float]:
    """The mean share of the open variance of f at points that one run of each takes: a cheap one, and one alone."""
    whole, taken = np.zeros(len(asked)), np.zeros(len(asked))
    for factor, part in now.posterior.apart:
        kernel = part.kernel
        assert isinstance(kernel, ToldKernel)
        rest, open_, learned = kernel.unknown(part, asked)
        whole, taken = whole + factor * (rest + open_), taken + factor * learned
    variance = now.posterior.predict(asked)[1] ** 2
    return float(np.mean(taken / whole)), float(np.mean(variance / (variance + now.posterior.noise)))


def _told(covariance: np.ndarray, noise: float) -> np.ndarray:
    """The variance of g at each point that a cheap run of it takes away, (n,)."""
    open_ = np.maximum(np.diag(covariance), 1e-12)
    found: np.ndarray = open_**2 / (open_ + noise)
    return found
