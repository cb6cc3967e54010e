"""The joint distribution of f at all points, given runs with two scores.

f is what the first score measures. The second score, of the same runs, counts for as much as the runs themselves show
that it tells of the first, see `mixing.py`: f = F1 + loading × F2, where F1 and F2 are the functions behind two
independent scores. How sure the loading is enters as several mixings with equal probability, and as the probability
that there is none: then f has the posterior of the first score alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.stats import spearmanr

from .contrasts import Contrasts, Moments, least
from .fit import LARGE, WIDE, Prior, Variances, scale_of, sparse
from .kernel import Features, Kernel
from .mixing import Learned, Mixing, MixingFitter
from .observations import Runs
from .posterior import NOISE, Posterior

ENOUGH = 8  # runs before the second score counts
COPY = 0.99  # rank correlation from which the second score is a copy of the first one, which tells nothing more
QUIET = 0.01  # variance of a run, in units of the scale, below which the first score tells all


def with_second(
    first: Posterior,
    second: Sequence[float],
    extra: Sequence[float] | None = None,
    *,
    prior: Prior = WIDE,
    like: Posterior | MixedPosterior | None = None,
) -> Posterior | MixedPosterior:
    """The posterior by two scores; `first` itself if the second can tell nothing more, or if there are too few runs.

    Args:
        first, second, extra, prior: as for `MixedPosterior`.
        like: the posterior of fewer runs whose variances `first` has.
    """
    if len(second) < ENOUGH or np.ptp(second) == 0 or (like is not None and not isinstance(like, MixedPosterior)):
        return first
    if like is None and (first.variances.best[NOISE] < QUIET or abs(spearmanr(first.runs.values, second)[0]) > COPY):
        return first
    return MixedPosterior(first, second, extra, prior=prior, like=like)


class MixedPosterior:
    """The joint distribution of f at all points, given runs with two scores. It answers as a `Posterior` does.

    Args:
        first: the posterior by the first score alone: it says which runs collapsed, and whether points differ at all.
        second: the second score of each run.
        extra: variance of each second score beyond the noise of a run; None if there is none.
        prior: the variances that are expected of each score.
        like: take the mixing from this posterior of fewer runs, as `first` does with its variances.

    Attributes:
        learned: the mixing of the two scores.
    """

    def __init__(
        self,
        first: Posterior,
        second: Sequence[float],
        extra: Sequence[float] | None = None,
        *,
        prior: Prior = WIDE,
        like: MixedPosterior | None = None,
    ) -> None:
        self.first = first
        values = np.asarray(second, float)
        if not np.isfinite(values).all():
            raise ValueError("Each run must have a finite second score.")
        self._units: tuple[float, float] = like._units if like else scale_of(values)
        centre, scale = self._units
        self._second = (values - centre) / scale
        self._extra = None if extra is None else np.asarray(extra, float) / scale**2
        self.learned: Learned = like.learned if like else self._learn(prior)

    def _learn(self, prior: Prior) -> Learned:
        used = sparse(self.first.observations.points, self.kept)
        observations, left = self.first.observations.kept(used)
        some = self.first.features.take(left)
        extra = None if self._extra is None else self._extra[used]
        parts = self.first.kernel.parts(some, some)
        return MixingFitter(parts, observations, self._second[used], extra, prior).learned()

    @property
    def runs(self) -> Runs:
        """The runs with their first score."""
        return self.first.runs

    @property
    def features(self) -> Features:
        """Of the distinct points of the runs."""
        return self.first.features

    @property
    def kernel(self) -> Kernel:
        """The covariance."""
        return self.first.kernel

    @property
    def kept(self) -> np.ndarray:
        """(runs,) False for runs that are not used, by the first score."""
        return self.first.kept

    @cached_property
    def _mixed(self) -> list[tuple[float, Posterior, Posterior]]:
        """(loading, posterior of F1, posterior of F2) for each mixing, on the runs that did not collapse."""
        if len(self.first.variances.draws) == 1 or len(self.runs.points) > LARGE:
            return [self._likely]  # enough to choose a point; and with many runs, the mixing is known well
        return [(m.loading, *self._apart(m)) for m in self.learned.spread()]

    def _apart(self, mixing: Mixing) -> tuple[Posterior, Posterior]:
        own, seen, kept = self.first.runs, self.first.observations, self.kept
        extras = (seen.extra, self._extra)
        found = []
        for values, extra, variances in zip(
            mixing.apart(seen.values, self._second), extras, self.learned.variances, strict=True
        ):
            runs = Runs(
                own.points, own.cost, own.at, values.tolist(), own.groups, None if extra is None else extra.tolist()
            )
            found.append(
                Posterior(self.first.kernel, runs, variances=Variances(variances, variances[None], np.ones(1), kept))
            )
        return found[0], found[1]

    @property
    def nothing(self) -> float | None:
        """The probability that no two points differ, by the first score alone: no other makes a claim by itself."""
        return self.first.nothing

    @property
    def collapsed(self) -> np.ndarray:
        """(runs,) True for runs that are left out because they collapsed."""
        return self.first.collapsed

    @property
    def apart(self) -> list[tuple[float, Posterior]]:
        """The posteriors that f is made of, each with the factor of its variance."""
        loading, one, two = self._likely
        w = self.learned.unrelated
        return [(w, self.first), (1 - w, one), ((1 - w) * loading**2, two)]

    def spread(self, part: int, away: float = 0.0) -> float:
        """A standard deviation of the first score, in its units, as of `Posterior.spread`."""
        return self.first.spread(part, away)

    @cached_property
    def noise(self) -> float:
        """The variance of a run with one score that would tell as much of the points that have runs."""
        before = [np.diag(p.joint(self.features)[1]) for p in (self._likely[1], self._likely[2])]
        square = self._likely[0] ** 2
        told = sum(
            w * v**2 / (v + p.noise + 1e-12) for w, v, p in zip((1.0, square), before, self._likely[1:], strict=True)
        )
        whole = before[0] + square * before[1]
        both = float(np.median(whole * (whole - told) / told)) * self.first.scale**2
        w = self.learned.unrelated
        return w * self.first.noise + (1 - w) * min(both, self.first.noise)

    def predict(self, asked: Features, pending: Features | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of f at points, (n,) each.

        Args:
            asked, pending: as for `Posterior.predict`.
        """
        means, squares = [], []
        for loading, one, two in self._mixed:
            (m1, s1), (m2, s2) = one.predict(asked, pending), two.predict(asked, pending)
            means.append(m1 + loading * m2)
            squares.append(s1**2 + loading**2 * s2**2)
        mean, variance = np.mean(means, 0), np.mean(squares, 0) + np.var(means, 0)
        alone, deviation = self.first.predict(asked, pending)
        w = self.learned.unrelated
        mean, variance = self._rescaled(mean, variance)
        apart = alone - mean
        return w * alone + (1 - w) * mean, np.sqrt(w * deviation**2 + (1 - w) * (variance + w * apart**2))

    def joint(self, asked: Features, pending: Features | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean (n,) and covariance (n, n) of f at points, by the most probable mixing and variances.

        Args:
            asked, pending: as for `Posterior.predict`.
        """
        loading, one, two = self._likely
        (m1, c1), (m2, c2) = one.joint(asked, pending), two.joint(asked, pending)
        alone, covariance = self.first.joint(asked, pending)
        w = self.learned.unrelated
        mean, both = self._rescaled(m1 + loading * m2, c1 + loading**2 * c2)
        apart = alone - mean
        return w * alone + (1 - w) * mean, w * covariance + (1 - w) * (both + w * np.outer(apart, apart))

    def _rescaled(self, mean: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return mean * self.first.scale + self.first.centre, square * self.first.scale**2

    @cached_property
    def _likely(self) -> tuple[float, Posterior, Posterior]:
        """(loading, posterior of F1, posterior of F2) of the most probable mixing."""
        return self.learned.mixing.loading, *self._apart(self.learned.mixing)

    def contrasts(self, asked: Features, matrix: np.ndarray, n: int, seed: int = 0) -> Contrasts:
        """Joint draws of sums of f over points, as of `Posterior.contrasts`."""
        rng = np.random.default_rng(seed)
        alone = self.first.contrasts(asked, matrix, n, seed)
        few = int(rng.binomial(n, self.learned.unrelated))
        if few == n:
            return alone
        drawn, errors, away = [], [], []
        share = -(-(n - few) // len(self._mixed))
        for i, (loading, one, two) in enumerate(self._mixed):
            parts = [p.contrasts(asked, matrix, share, seed + 2 * i + j) for j, p in enumerate((one, two))]
            likely = one.likely(asked, matrix), two.likely(asked, matrix)
            plain = _added(likely[0][0], likely[1][0], loading)
            free = [
                _added(a, b, loading).distance for a in likely[0][1:] or likely[0] for b in likely[1][1:] or likely[1]
            ]
            away.append(least(plain.distance, np.array(free), plain.learned))
            drawn.append(parts[0].draws + loading * parts[1].draws)
            deviations = [np.sqrt(some[0].left) for some in likely]
            summed = parts[0].errors * deviations[0] + loading * parts[1].errors * deviations[1]
            errors.append(summed / np.sqrt(plain.left))
        shift = self.first.centre * matrix.sum(1)
        some = rng.permutation(share * len(self._mixed))[: n - few]
        mixed = rng.permutation(n)
        distances = np.array([alone.away, *away])
        weights = np.array([few / n, *[(1 - few / n) / len(away)] * len(away)])
        same = np.all(np.sign(distances[weights > 0]) == np.sign(distances[-1]), axis=0)
        return Contrasts(
            np.vstack([np.vstack(drawn)[some] * self.first.scale + shift, alone.draws[:few]])[mixed],
            np.where(same, weights @ distances, 0.0),
            np.vstack([np.vstack(errors)[some], alone.errors[:few]])[mixed],
        )


def _added(one: Moments, two: Moments, loading: float) -> Moments:
    square = loading**2
    return Moments(one.mean + loading * two.mean, one.left + square * two.left, one.before + square * two.before)
