"""The joint distribution of an unknown function at all points of a space, given runs."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array

from .contrasts import Contrasts, Moments, least, root_of
from .fit import FAR, WIDE, Fitter, Prior, Variances, scale_of
from .kernel import Features, Kernel
from .likelihood import CONSTANT, Conditioned, Likelihood, condition
from .observations import Observations, Runs

NOISE, LEVEL = -2, -1  # positions of these variances
NEAR = 4.0  # difference of squared distances from zero up to which two options are about equally clear
ALIKE = 0.7  # correlation from which the effects of two options are hardly told apart
UNLIKELY = 0.01  # probability of a draw of the variances below which a prediction leaves it out
MANY = 2000  # distinct points whose runs are used; time grows with their third power, memory with the square


class Posterior:
    """The joint distribution of f at all points, given runs.

    Args:
        kernel: the covariance.
        runs: the runs; at least one.
        best: use only the most probable variances. This is enough to choose a point, and takes a quarter of the time.
        like: take the variances from this posterior of fewer runs.
        variances: take these variances of these very runs, whose values are scaled already.
        prior: the variances that are expected before any run.

    Attributes:
        trained: the features of the points whose runs are used.
    """

    def __init__(
        self,
        kernel: Kernel,
        runs: Runs,
        *,
        best: bool = False,
        like: Posterior | None = None,
        variances: Variances | None = None,
        prior: Prior = WIDE,
    ) -> None:
        self.kernel, self.runs = kernel, runs
        raw = np.asarray(runs.values, float)
        self.centre: float
        self.scale: float
        self.centre, self.scale = (0.0, 1.0) if variances else (like.centre, like.scale) if like else scale_of(raw)
        extra = None if runs.extra is None else np.asarray(runs.extra, float) / self.scale**2
        self.observations = Observations(runs.at, (raw - self.centre) / self.scale, runs.groups, extra)
        self.features = kernel.features(runs.points, runs.cost)
        given = variances or like
        self._used = np.ones(len(self.observations), bool) if given else _some(self.observations)
        self.variances: Variances = variances or (self._taken(like.variances) if like else self._fit(best, prior))
        self._kept, left = self.observations.kept(self.variances.kept)
        self.trained = self.features.take(left)

    def _fit(self, best: bool, prior: Prior) -> Variances:
        observations, left = self.observations.kept(self._used)
        some = self.features.take(left)
        fitter = Fitter(self.kernel.parts(some, some), observations, prior)
        if best:
            most, kept = fitter.best()
            found = Variances(most, most[None], np.ones(1), kept)
        else:
            found = fitter.sampled()
        every = self._used.copy()
        every[self._used] = found.kept
        return replace(found, kept=every)

    def _taken(self, earlier: Variances) -> Variances:
        """Earlier variances; of the runs since then, those far below their prediction are left out."""
        kept = np.ones(len(self.observations), bool)
        kept[: len(earlier.kept)] = earlier.kept
        new = np.arange(len(kept)) >= len(earlier.kept)
        if new.any():
            level = earlier.best[-1]
            for _ in range(2):
                seen, left = self.observations.kept(kept)
                parts = self.kernel.weighted(earlier.best[:-2], *(self.features.take(left),) * 2)
                model = Likelihood(parts[None], seen)
                away = np.zeros(len(kept))
                away[kept] = model.left_out(np.array([1.0, earlier.best[-2], level]))
                if not (far := new & (away < -1.5 * FAR)).any():
                    break
                kept &= ~far
        return replace(earlier, kept=kept)

    @property
    def nothing(self) -> float | None:
        """The probability that no two points differ; everything else here holds if they do."""
        return self.variances.nothing

    @property
    def apart(self) -> list[tuple[float, Posterior]]:
        """The posteriors that f is made of, each with the factor of its variance: this one alone."""
        return [(1.0, self)]

    @property
    def likely_parts(self) -> np.ndarray:
        """The most probable of the kept variances of the parts, (parts,)."""
        return np.asarray(self.variances.draws[int(np.argmax(self.variances.weights))][:-2])

    @property
    def given(self) -> Conditioned:
        """f given the runs, by the most probable of the kept variances."""
        return self._conditioned[int(np.argmax(self.variances.weights))]

    def spread(self, part: int, away: float = 0.0) -> float:
        """A standard deviation, in units of the values: its median, or a value beside it.

        Args:
            part: `NOISE` of a run, or `LEVEL` of groups.
            away: distance from the median, in standard deviations of the logarithm.
        """
        logs, weights = np.log(self.variances.draws[:, part]), self.variances.weights
        middle = float(weights @ logs)
        deviation = float(np.sqrt(weights @ (logs - middle) ** 2))
        return float(self.scale * np.exp((middle + away * deviation) / 2))

    @property
    def noise(self) -> float:
        """The variance of a run."""
        return float(self.variances.best[NOISE] * self.scale**2)

    @property
    def kept(self) -> np.ndarray:
        """(runs,) False for runs that are not used: they collapsed, or there are too many points."""
        return self.variances.kept

    @property
    def collapsed(self) -> np.ndarray:
        """(runs,) True for runs that are left out because they collapsed."""
        gone: np.ndarray = self._used & ~self.variances.kept
        return gone

    @cached_property
    def _conditioned(self) -> list[Conditioned]:
        return [self._condition(v) for v in self.variances.draws]

    def _condition(self, variances: np.ndarray) -> Conditioned:
        covariance = self.kernel.weighted(variances[:-2], self.trained, self.trained) + CONSTANT
        level = variances[-1] if self._kept.levels else 0.0
        return condition(covariance, self._kept.precision(variances[-2], level))

    def predict(self, asked: Features, pending: Features | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of f at points, (n,) each.

        Args:
            asked: the points.
            pending: points of runs that have not ended. They are taken to give what is expected, so that the mean
                stays and the deviation falls.
        """
        mean, square = np.zeros(len(asked)), np.zeros(len(asked))
        ahead = pending if pending is not None and len(pending) else None
        weights = self.variances.weights
        for variances, given, weight in zip(self.variances.draws, self._conditioned, weights, strict=True):
            if weight < UNLIKELY:
                continue
            one, deviation = self._predicted(variances, given, asked, ahead)
            mean += weight * one
            square += weight * (deviation**2 + one**2)
        total = weights[weights >= UNLIKELY].sum()
        mean /= total
        deviation = np.sqrt(np.maximum(square / total - mean**2, 1e-12))
        return mean * self.scale + self.centre, deviation * self.scale

    def _predicted(
        self, variances: np.ndarray, given: Conditioned, asked: Features, pending: Features | None
    ) -> tuple[np.ndarray, np.ndarray]:
        parts = variances[:-2]
        if pending is not None:
            lower, ahead = self._awaited(variances, given, pending)
        mean, variance = np.empty(len(asked)), np.empty(len(asked))
        for begin in range(0, len(asked), 4096):  # in pieces, for the memory
            rows = slice(begin, begin + 4096)
            some = asked.take(rows)
            between = self.kernel.weighted(parts, some, self.trained) + CONSTANT
            mean[rows] = between @ given.alpha
            reduced = between @ given.root
            variance[rows] = self.kernel.diagonal(parts, some) + CONSTANT - (reduced**2).sum(1)
            if pending is not None:
                shared = self.kernel.weighted(parts, some, pending) + CONSTANT - reduced @ ahead.T
                variance[rows] -= (solve_triangular(lower, shared.T, lower=True) ** 2).sum(0)
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def joint(self, asked: Features, pending: Features | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean (n,) and covariance (n, n) of f at points, by the most probable of the kept variances.

        Args:
            asked: the points.
            pending: as for `predict`.
        """
        most = int(np.argmax(self.variances.weights))
        variances, given = self.variances.draws[most], self._conditioned[most]
        parts = variances[:-2]
        between = self.kernel.weighted(parts, asked, self.trained) + CONSTANT
        reduced = between @ given.root
        covariance = self.kernel.weighted(parts, asked, asked) + CONSTANT - reduced @ reduced.T
        if pending is not None and len(pending):
            lower, ahead = self._awaited(variances, given, pending)
            shared = self.kernel.weighted(parts, asked, pending) + CONSTANT - reduced @ ahead.T
            known = solve_triangular(lower, shared.T, lower=True)
            covariance -= known.T @ known
        return (between @ given.alpha) * self.scale + self.centre, covariance * self.scale**2

    def at(self, asked: Features) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of f at points, (n,) each, with variances and units as for `between`."""
        most = int(np.argmax(self.variances.weights))
        return self._predicted(self.variances.draws[most], self.given, asked, None)

    def between(self, a: Features, b: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means of f at two sets of points, and the covariance between them, by the most probable variances, scaled."""
        one, two = (self.kernel.weighted(self.likely_parts, some, self.trained) + CONSTANT for some in (a, b))
        shared = (
            self.kernel.weighted(self.likely_parts, a, b)
            + CONSTANT
            - (one @ self.given.root) @ (two @ self.given.root).T
        )
        return one @ self.given.alpha, two @ self.given.alpha, shared

    def _awaited(self, variances: np.ndarray, given: Conditioned, pending: Features) -> tuple[np.ndarray, np.ndarray]:
        """The root of the covariance of pending runs, and their covariance with the known ones."""
        ahead = (self.kernel.weighted(variances[:-2], pending, self.trained) + CONSTANT) @ given.root
        whole = self.kernel.weighted(variances[:-2], pending, pending) + CONSTANT - ahead @ ahead.T
        whole[np.diag_indices(len(pending))] += variances[-2] + 1e-9
        return np.linalg.cholesky(whole), ahead

    def contrasts(self, asked: Features, matrix: np.ndarray, n: int, seed: int = 0) -> Contrasts:
        """Joint draws of sums of f over points.

        The factors of a sum should add up to 0. Else it has the uncertainty of the free mean, and its `away` is not the
        distance from zero.

        Args:
            asked: the points.
            matrix: (sums, points): the factor of each point in each sum.
            n: number of draws.
            seed: of the draws; equal arguments give equal draws.
        """
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(n, self.variances.weights)
        sums, total = csr_array(matrix), matrix.sum(1)
        found, errors = [], []
        away, known = np.zeros((2, len(matrix)))
        free = np.zeros((len(self._standouts), len(matrix)))
        for variances, given, count in zip(self.variances.draws, self._conditioned, counts, strict=True):
            if not count:
                continue
            summed, plain, rest = self._sums(variances, given, sums, asked)
            drawn = rng.standard_normal((count, len(matrix))) @ root_of(rest).T
            found.append(plain.mean + drawn)
            errors.append(drawn / np.sqrt(plain.left))
            away += count / n * plain.distance
            for at, found_free in zip(self._standouts, free, strict=True):
                found_free += count / n * self._beside(at, given, sums, asked, summed, plain).distance
            known += count / n * plain.learned
        mixed = rng.permutation(n)
        drawn = np.vstack(found) * self.scale + self.centre * total
        return Contrasts(drawn[mixed], least(away, free, known), np.vstack(errors)[mixed])

    def likely(self, asked: Features, matrix: np.ndarray) -> list[Moments]:
        """Sums of f by the most probable of the kept variances, in units of the scaled values.

        Args:
            asked, matrix: as for `contrasts`.

        Returns:
            As the covariance expects; then with a free effect of each of the clearest options.
        """
        most, sums = int(np.argmax(self.variances.weights)), csr_array(matrix)
        given = self._conditioned[most]
        summed, plain, _ = self._sums(self.variances.draws[most], given, sums, asked)
        return [plain, *(self._beside(at, given, sums, asked, summed, plain) for at in self._standouts)]

    def _sums(
        self, variances: np.ndarray, given: Conditioned, sums: csr_array, asked: Features
    ) -> tuple[np.ndarray, Moments, np.ndarray]:
        """Sums of f: their covariance with the points that have runs; what is known; their covariance, given runs."""
        parts, total = variances[:-2], np.asarray(sums.sum(1)).ravel()
        summed = sums @ (self.kernel.weighted(parts, asked, self.trained) + CONSTANT)
        reduced = summed @ given.root
        whole = sums @ (sums @ self.kernel.weighted(parts, asked, asked)).T
        whole += CONSTANT * np.outer(total, total)
        rest = whole - reduced @ reduced.T
        plain = Moments(summed @ given.alpha, np.maximum(np.diag(rest), 1e-16), np.diag(whole))
        return summed, plain, rest

    @cached_property
    def _standouts(self) -> list[int]:
        """The option at a slot that the runs show most clearly, and those hardly told from it, by their columns."""
        given = self._conditioned[int(np.argmax(self.variances.weights))]
        there = self.trained.options
        seen = given.root.T @ there
        length = np.sqrt((seen**2).sum(0))
        varied = np.flatnonzero((there.min(0) < there.max(0)) & (length > 1e-9))
        if not len(varied):
            return []
        clear = np.abs(there[:, varied].T @ given.alpha) / length[varied]
        top = int(np.argmax(clear))
        alike = np.abs(seen[:, varied].T @ seen[:, varied[top]]) / length[varied] / length[varied[top]]
        near = (clear**2 >= clear[top] ** 2 - NEAR) & (alike >= ALIKE)
        return [int(i) for i in varied[near]]

    def _beside(
        self,
        standout: int,
        given: Conditioned,
        sums: csr_array,
        asked: Features,
        summed: np.ndarray,
        plain: Moments,
    ) -> Moments:
        """The knowledge of sums if the effect of one option at a slot may have any size.

        A search trains its best option nearly always, and beside it others. The covariance expects effects of a
        common size, so it gives a part of one large effect to options that stand beside it. With a free effect, that
        part goes back to the option that has it.

        Args:
            standout: the option, as a column of `Features.options`.
            given: f given the runs.
            sums, asked: as for `contrasts`.
            summed: (sums, points) covariance of the sums with the points that have runs.
            plain: what is known without the free effect.
        """
        column = self.trained.options[:, standout]
        through = given.root @ (given.root.T @ column)
        precision = float(column @ through) + 1 / CONSTANT
        own = sums @ asked.options[:, standout]
        factor = own - summed @ through
        mean = plain.mean + factor * float(column @ given.alpha) / precision
        return Moments(mean, plain.left + factor**2 / precision, plain.before + CONSTANT * own**2)


def _some(observations: Observations) -> np.ndarray:
    """(runs,) True for the runs of at most `MANY` points: those with most runs, and others evenly over their order."""
    n = observations.distinct
    if n <= MANY:
        return np.ones(len(observations), bool)
    often = np.argsort(-np.bincount(observations.points, minlength=n), kind="stable")[: MANY // 2]
    others = np.setdiff1d(np.arange(n), often)
    evenly = others[np.linspace(0, len(others) - 1, MANY - len(often)).astype(int)]
    return np.isin(observations.points, np.concatenate([often, evenly]))
