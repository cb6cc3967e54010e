"""The variances of the model, estimated from the runs: the most probable ones, and how sure they are.

Collapsed runs are found on the way. A run that lies far below all that the others predict would widen every variance,
so it is left out if the rest becomes more probable by more than a collapse is improbable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import qmc
from scipy.stats import t as student

from .kernel import PARTS, TOLD
from .likelihood import Likelihood
from .observations import Observations

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]  # logarithms of variances -> value, derivatives
LOWEST, HIGHEST = -9.0, 4.0
TAILS = 4.0  # degrees of freedom of the priors
PEAK = float(student.logpdf(0.0, TAILS))
FAR = 4.0  # standard deviations: runs this far below their predictions may have collapsed together
SUSPECT = 3.0  # the same of the lowest run alone: a wide `own` of few points hides how far it is
COLLAPSE = 0.001  # probability beforehand that a run collapses
ROUNDS = 8
QUIET = 3.0  # logarithm of the factor by which the variance of a run is smaller where the second climb starts
MOST = 200  # points that the variances are estimated from; the time grows with the third power
LARGE, FEW = 400, 4  # with so many points, only so many draws are kept
DRAWS = 16  # of the variances; a power of 2, as Sobol's sequence wants


@dataclass(frozen=True)
class Prior:
    """The variances that are expected before any run, in units of the squared scale of the values.

    The logarithm of each has Student's t distribution: an evaluation may have no noise at all, whatever is usual.

    Attributes:
        parts: median of the variance of each part.
        noise: median of the variance of a run.
        level: median of the variance of the levels.
        spread: scale of the logarithm of these variances.
        spread_of_noise: the same of the variance of a run.
        nothing: probability that no two points differ.
    """

    parts: Mapping[str, float]
    noise: float
    level: float
    spread: float = 1.5
    spread_of_noise: float = 1.5
    nothing: float = 0.5

    def centre(self, names: Sequence[str]) -> np.ndarray:
        """The logarithms of the medians, (parts + 2,), for the parts of a kernel."""
        return np.log([*(self.parts[p] for p in names), self.noise, self.level])

    def width(self, names: Sequence[str]) -> np.ndarray:
        """The scales of the logarithms, (parts + 2,), for the parts of a kernel."""
        return np.array([*(self.spread for _ in names), self.spread_of_noise, self.spread])


WIDE = Prior(dict.fromkeys((*PARTS, TOLD), 0.3) | {"own": 0.01}, noise=0.1, level=0.1)


@dataclass(frozen=True)
class Variances:
    """Estimated variances, in units of the squared scale of the values.

    Attributes:
        best: (parts + 2,) the most probable ones: of the parts, of a run, of the levels.
        draws: (draws, parts + 2) of them, if points differ.
        weights: (draws,) probability of each draw.
        kept: (runs,) False for runs that are not used: they collapsed, or there are too many points.
        nothing: probability that no two points differ; None if only the best were asked.
    """

    best: np.ndarray
    draws: np.ndarray
    weights: np.ndarray
    kept: np.ndarray
    nothing: float | None = None


def scale_of(values: np.ndarray) -> tuple[float, float]:
    """The centre of values and their scale, which a few extreme ones hardly move."""
    centre = float(np.median(values))
    scale = 1.4826 * float(np.median(np.abs(values - centre)))
    if scale <= 0:
        scale = float(np.std(values))
    return centre, scale or 1.0


class Fitter:
    """Estimates the variances.

    Args:
        parts: (parts, points, points) of the covariance.
        observations: the runs, scaled.
        prior: what is expected before any run.
    """

    def __init__(self, parts: np.ndarray, observations: Observations, prior: Prior = WIDE) -> None:
        self.parts, self.all, self.prior = parts, observations, prior
        names = (*PARTS, TOLD)[: len(parts)]
        self.centre, self.width = prior.centre(names), prior.width(names)

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """The most probable variances, and which runs are kept."""
        kept = np.ones(len(self.all), bool)
        theta, value = self._mode(kept)
        for _ in range(ROUNDS):
            distance = np.zeros(len(kept))
            distance[kept] = self._whole(kept).left_out(np.exp(theta))
            worst = distance.min(initial=0.0)
            if worst > -SUSPECT:
                break
            several, lowest = distance < min(-FAR, worst / 2), distance == worst
            for far in (several, lowest) if several.sum() > lowest.sum() else (lowest,):
                left = kept & ~far
                if left.sum() <= 2:
                    continue
                climbed, fit = self._mode(left)
                if (improved := fit + self._collapsed(~left)) > value:
                    kept, theta, value = left, climbed, improved
                    break
            else:
                break
        return np.exp(theta), kept

    def _collapsed(self, runs: np.ndarray) -> float:
        """The log-likelihood of collapsed runs: each may lie anywhere down to twice its own depth."""
        depth = 2 * np.abs(self.all.values[runs]) + 1
        # the likelihood of the others leaves out a constant for each run
        return float((np.log(COLLAPSE / depth) + 0.5 * math.log(2 * math.pi)).sum())

    def sampled(self) -> Variances:
        """The most probable variances and draws from their distribution, with and without differences of f."""
        best, kept = self.best()
        model = self._model(kept)
        free = np.arange(len(best)) if model.observations.levels else np.arange(len(best) - 1)
        some, evidence = _draws(lambda t: self._posterior(model, t), np.log(best), free, DRAWS)
        start = np.log(best)
        start[: len(self.parts)] = -40.0
        spread = float(model.observations.values.var()) or 1e-4
        start[-2] = math.log(max(spread, math.exp(LOWEST)))
        alone = free[len(self.parts) :]
        flat = _climbed(lambda t: self._posterior(model, t, alone), start, alone)[0]
        _, without = _draws(lambda t: self._posterior(model, t, alone), flat, alone, DRAWS // 2)
        top = max(evidence.max(), without.max())
        odds = np.exp(evidence - top), np.exp(without - top)
        expected = self.prior.nothing
        alike, differ = expected * odds[1].sum(), (1 - expected) * odds[0].sum()
        weights = odds[0] / odds[0].sum()
        if len(self.parts[0]) > LARGE:  # each draw costs time with the third power of the points
            likely = np.argsort(-weights)[:FEW]
            some, weights = some[likely], weights[likely] / weights[likely].sum()
        return Variances(best, np.exp(some), weights, kept, float(alike / (alike + differ)))

    def _model(self, kept: np.ndarray) -> Likelihood:
        return self._whole(sparse(self.all.points, kept))

    def _whole(self, kept: np.ndarray) -> Likelihood:
        observations, left = self.all.kept(kept)
        return Likelihood(self.parts[:, left[:, None], left], observations)

    def _mode(self, kept: np.ndarray) -> tuple[np.ndarray, float]:
        """The most probable variances. Runs differ by noise or by points; a climb finds the nearer of both."""
        model, noisy = self._model(kept), self.centre
        quiet = noisy.copy()
        quiet[-2] -= QUIET
        free = np.arange(len(noisy))
        climbed = [_climbed(lambda t: self._posterior(model, t), start, free) for start in (noisy, quiet)]
        return max(climbed, key=lambda found: found[1])

    def _posterior(
        self, model: Likelihood, theta: np.ndarray, free: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        try:
            value, slopes = model(np.exp(theta))
        except np.linalg.LinAlgError:
            return -1e10, np.zeros_like(theta)
        asked = slice(None) if free is None else free
        before, pull = self.density(theta, asked)
        slopes = slopes.copy()
        slopes[asked] += pull
        return value + before, slopes

    def density(self, theta: np.ndarray, asked: slice | np.ndarray) -> tuple[float, np.ndarray]:
        """The logarithm of the prior density, normalised, so that models with other numbers of variances compare.

        Args:
            theta: logarithms of the variances.
            asked: positions of those that count.

        Returns:
            The value, and its derivatives by those that count.
        """
        width = self.width[asked]
        away = (theta[asked] - self.centre[asked]) / width
        value = float((log_student(away) - np.log(width)).sum())
        return value, -(TAILS + 1) * away / (TAILS + away**2) / width


def sparse(points: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(runs,) True for kept runs of at most `MOST` points, evenly over the order in which they were first seen.

    Args:
        points: (runs,) the point of each run.
        kept: (runs,) False for runs that are not used.
    """
    distinct = np.unique(points[kept])
    if len(distinct) <= MOST:
        return kept
    some = distinct[np.unique(np.linspace(0, len(distinct) - 1, MOST).astype(int))]
    return kept & np.isin(points, some)


def log_student(away: np.ndarray) -> np.ndarray:
    """The logarithm of the density of Student's t distribution with `TAILS` degrees of freedom; scipy's is slow."""
    found: np.ndarray = PEAK - (TAILS + 1) / 2 * np.log1p(away**2 / TAILS)
    return found


def _climbed(function: Function, start: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
    theta = start.copy()

    def negative(values: np.ndarray) -> tuple[float, np.ndarray]:
        theta[free] = values
        value, slopes = function(theta)
        return -value, -slopes[free]

    bounds = [(LOWEST, HIGHEST)] * len(free)
    first = np.clip(start[free], LOWEST, HIGHEST)
    found = minimize(negative, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40, "gtol": 1e-3})
    theta[free] = found.x
    return theta, -float(found.fun)


def curvature(function: Function, mode: np.ndarray, free: np.ndarray, step: float) -> np.ndarray:
    """Minus the second derivatives of a function, (free, free), from differences of its first ones.

    Args:
        function: gives its value and its derivatives.
        mode: the place.
        free: positions of the arguments that count.
        step: half the distance of the two places whose derivatives are compared.
    """
    hessian = np.empty((len(free), len(free)))
    for i, j in enumerate(free):
        up, down = mode.copy(), mode.copy()
        up[j] += step
        down[j] -= step
        hessian[i] = (function(down)[1][free] - function(up)[1][free]) / (2 * step)
    found: np.ndarray = (hessian + hessian.T) / 2
    return found


def _draws(function: Function, mode: np.ndarray, free: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws around a mode by Laplace's approximation, with the logarithms of their weights: parts of the evidence."""
    k = len(free)
    values, vectors = np.linalg.eigh(curvature(function, mode, free, 0.1))
    deviations = 1 / np.sqrt(np.maximum(values, 1 / 1.5**2))  # never wider than the prior
    normal = ndtri(qmc.Sobol(k, scramble=True, rng=np.random.default_rng(0)).random(n))
    normal[0] = 0
    draws = np.repeat(mode[None], n, 0)
    draws[:, free] += (normal * deviations) @ vectors.T
    density = -0.5 * (normal**2).sum(1) - np.log(deviations * math.sqrt(2 * math.pi)).sum()
    logs = np.array([function(t)[0] for t in draws]) - density - math.log(n)
    return draws, logs
