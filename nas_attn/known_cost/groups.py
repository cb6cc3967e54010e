"""Chooses between a run alone and a cheap run of several points, by what each is expected to gain in a second.

A cheap run measures a group of points at once, but something else than the value: see `told.py`. Which of both pays
depends on the problem, so nobody chooses it beforehand. Some points are measured both ways first. From then on, a cheap
run is proposed as long as its expected gain in a second is the higher one, so a way that tells nothing is dropped. A
point has a value only by a run alone: what a group gains counts as if one of its points is confirmed after it.
"""

from __future__ import annotations

import numpy as np

from .improvement import expected_gain
from .kernel import Features
from .measured import Cheap, Measured, Point
from .mixed import MixedPosterior
from .pools import to_point
from .posterior import Posterior
from .proposer import Proposer, Weighed
from .told import ToldKernel

BOTH = 12  # points that are measured both ways before the ways are compared
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
    gone = {*cheap.points, *cheap.running, *cheap.barred}
    alone = list(dict.fromkeys(tuple(p) for p in measured.points))
    missing = min(BOTH, len(alone)) - sum(p in gone for p in alone)
    if missing > 1:
        return [p for p in alone if p not in gone][: min(cheap.size, missing)]
    if proposer.cheap(measured) is None:
        return []
    weighed = proposer.weigh(measured, number, left)
    points, gain = _best(weighed, cheap, gone)
    seconds, shared = cheap.seconds
    if gain / (shared + seconds / cheap.size) > max(weighed.gain, weighed.gain_of_repeat) / seconds:
        return points
    return []


def _best(weighed: Weighed, cheap: Cheap, gone: set[Point]) -> tuple[list[Point], float]:
    """The group that is expected to gain most, one point after the other, and its mean gain of a point."""
    now, inflation = weighed.now, weighed.inflation
    new = np.array([to_point(p) not in gone for p in weighed.pool], bool)
    if new.sum() < cheap.size:
        return [], 0.0
    asked, pool = weighed.asked.take(new), weighed.pool[new]
    mean, deviation = now.posterior.predict(asked)
    moves = inflation * deviation * np.sqrt(taken(now.posterior, asked))
    some = np.argsort(-expected_gain(mean, moves, asked.cost, now.front, now.floor), kind="stable")[:LOOKED]
    asked, pool, mean, moves = asked.take(some), pool[some], mean[some], moves[some]
    kernel = now.posterior.kernel
    assert isinstance(kernel, ToldKernel)
    covariance, noise = kernel.g.between(asked, asked)[2], kernel.noise
    first = _told(covariance, noise)
    points: list[Point] = []
    total = 0.0
    for _ in range(cheap.size):
        left = np.sqrt(_told(covariance, noise) / first)
        gains = expected_gain(mean, np.maximum(moves * left, 1e-12), asked.cost, now.front, now.floor)
        gains[[to_point(p) in points for p in pool]] = -1.0
        best = int(np.argmax(gains))
        points.append(to_point(pool[best]))
        total += float(gains[best])
        column = covariance[:, best]
        covariance = covariance - np.outer(column, column) / (column[best] + noise)
    return points, total / cheap.size


def taken(posterior: Posterior | MixedPosterior, asked: Features) -> np.ndarray:
    """The share of the variance of f at points that one cheap run of each takes away, (n,)."""
    whole, told = np.zeros(len(asked)), np.zeros(len(asked))
    for factor, part in posterior.apart:
        assert isinstance(part.kernel, ToldKernel)
        one, two = part.kernel.due(part.likely_parts, asked)
        whole, told = whole + factor * one, told + factor * two
    found: np.ndarray = told / whole
    return found


def _told(covariance: np.ndarray, noise: float) -> np.ndarray:
    """What a cheap run of each point takes from the variance of g there, (n,)."""
    open_ = np.maximum(np.diag(covariance), 1e-12)
    found: np.ndarray = open_**2 / (open_ + noise)
    return found
