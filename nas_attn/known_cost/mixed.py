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

from .contrasts import Contrasts, Moments, least
from .fit import WIDE, Prior, Variances, scale_of
from .kernel import Features, Kernel
from .mixing import Learned, Mixing, MixingFitter
from .posterior import Posterior, Runs

ENOUGH = 8  # runs before the second score counts


class MixedPosterior:
    """The joint distribution of f at all points, given runs with two scores. It answers as a `Posterior` does.

    Args:
        kernel: the covariance.
        runs: the runs with their first score.
        second: the second score of each run, of `ENOUGH` runs or more.
        extra: variance of each second score beyond the noise of a run; None if there is none.
        prior: the variances that are expected of each score.

    Attributes:
        first: the posterior by the first score alone: it says which runs collapsed, and whether points differ at all.
        learned: the mixing of the two scores.
    """

    def __init__(
        self,
        kernel: Kernel,
        runs: Runs,
        second: Sequence[float],
        extra: Sequence[float] | None = None,
        *,
        prior: Prior = WIDE,
    ) -> None:
        self.first = Posterior(kernel, runs, prior=prior)
        values = np.asarray(second, float)
        if not np.isfinite(values).all() or len(values) < ENOUGH:
            raise ValueError(f"There must be {ENOUGH} runs, each with a finite second score.")
        centre, scale = scale_of(values)
        self._second = (values - centre) / scale
        self._extra = None if extra is None else np.asarray(extra, float) / scale**2
        kept = self.first.variances.kept
        observations, left = self.first.observations.kept(kept)
        some = self.first.features.take(left)
        more = None if self._extra is None else self._extra[kept]
        fitter = MixingFitter(kernel.parts(some, some), observations, self._second[kept], more, prior)
        self.learned: Learned = fitter.learned()

    @cached_property
    def _mixed(self) -> list[tuple[float, Posterior, Posterior]]:
        """(loading, posterior of F1, posterior of F2) for each mixing, on the runs that did not collapse."""
        return [(m.loading, *self._apart(m)) for m in self.learned.spread()]

    def _apart(self, mixing: Mixing) -> tuple[Posterior, Posterior]:
        own, seen, kept = self.first.runs, self.first.observations, self.first.variances.kept
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

    def spread(self, part: int, away: float = 0.0) -> float:
        """A standard deviation of the first score, in its units, as of `Posterior.spread`."""
        return self.first.spread(part, away)

    def predict(self, asked: Features) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of f at points, (n,) each."""
        means, squares = [], []
        for loading, one, two in self._mixed:
            (m1, s1), (m2, s2) = one.predict(asked), two.predict(asked)
            means.append(m1 + loading * m2)
            squares.append(s1**2 + loading**2 * s2**2)
        mean, variance = np.mean(means, 0), np.mean(squares, 0) + np.var(means, 0)
        mean, variance = mean * self.first.scale + self.first.centre, variance * self.first.scale**2
        alone, deviation = self.first.predict(asked)
        w = self.learned.unrelated
        both = w * alone + (1 - w) * mean
        spread = w * (deviation**2 + alone**2) + (1 - w) * (variance + mean**2) - both**2
        return both, np.sqrt(np.maximum(spread, 0.0))

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
