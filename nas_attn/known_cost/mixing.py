"""Two scores of the same runs: what the second tells of the first is learned from the runs.

    first[run]  = z1[run] + loading × z2[run]
    second[run] = z2[run] + echo × z1[run]

z1 and z2 are independent, each a function of the point plus a level of the group plus noise. Two scores with any
covariance between points and any covariance of their noise can be written so, if both have the parts of one kernel. It
is the orthogonal mixing model of Bruinsma et al. (2020), "Scalable exact inference in multi-output Gaussian processes",
for two outputs. With a loading of 0, the second score tells nothing of the first one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm
from scipy.stats import t as student

from .fit import HIGHEST, LOWEST, TAILS, Fitter, Prior, curvature, log_student
from .likelihood import Likelihood
from .observations import Observations

WIDTHS = np.array([0.5, 1.0])  # scales of the priors of loading and echo, for scores of scale 1
STARTS = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5))
WIDE_FIRST = 3.0  # logarithm of the factor by which the variance of the first part is larger where other climbs start
TRIED, CLIMBED = 20, 2  # steps of each climb before it is compared, and the number of climbs that go on
LIMIT = 0.98  # of loading × echo: at 1, both scores would be one
STEP = 0.05  # of the differences that the curvature is taken from


@dataclass(frozen=True)
class Mixing:
    """The two factors by which two scores are made of two independent ones."""

    loading: float = 0.0
    echo: float = 0.0

    @property
    def determinant(self) -> float:
        """Of the matrix that makes the scores of the independent ones."""
        return 1 - self.loading * self.echo

    def apart(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The independent scores of two scores, (runs,) each."""
        d = self.determinant
        return (first - self.loading * second) / d, (second - self.echo * first) / d


@dataclass(frozen=True)
class Learned:
    """The most probable mixing, and how sure it is.

    Attributes:
        mixing: loading and echo.
        variances: (2, parts + 2): of the parts, of a run and of the levels, for z1 and z2.
        covariance: (2, 2) of loading and echo.
    """

    mixing: Mixing
    variances: np.ndarray
    covariance: np.ndarray

    @property
    def unrelated(self) -> float:
        """The probability that the second score tells nothing of the first: that the loading is zero.

        Both are as likely before any run. It follows from the Savage-Dickey ratio: the density of the loading at zero
        after the runs, over that before them.
        """
        after = float(norm.pdf(0.0, self.mixing.loading, self.covariance[0, 0] ** 0.5))
        before = float(student.pdf(0.0, TAILS) / WIDTHS[0])
        return after / (after + before)

    def spread(self) -> list[Mixing]:
        """Mixings with equal probability whose mean and covariance are those of what was learned."""
        values, vectors = np.linalg.eigh(self.covariance)
        middle = np.array([self.mixing.loading, self.mixing.echo])
        found = []
        for value, vector in zip(np.maximum(values, 0), vectors.T, strict=True):
            for sign in (1, -1):
                loading, echo = middle + sign * np.sqrt(2 * value) * vector
                if loading * echo > LIMIT:
                    echo = LIMIT / loading
                found.append(Mixing(float(loading), float(echo)))
        return found


class MixingFitter:
    """Learns the mixing of two scores.

    Args:
        parts: (parts, points, points) of the covariance.
        first: the runs with the first score, scaled.
        second: (runs,) the second score, scaled.
        extra: (runs,) variance of each second score beyond the noise of a run. Extra variances are taken for those of
            z1 and z2: they are rough, and small loadings change them little.
        prior: the variances that are expected of each score.
    """

    def __init__(
        self,
        parts: np.ndarray,
        first: Observations,
        second: np.ndarray,
        extra: np.ndarray | None = None,
        prior: Prior | None = None,
    ) -> None:
        self.parts, self.first, self.second = parts, first, second
        self._extra = (first.extra, extra)
        self._prior = prior
        self._n = len(parts) + 2

    def learned(self) -> Learned:
        """The most probable mixing with its variances."""
        usual = self._fitters(Mixing())[0].centre
        wide = usual.copy()
        wide[0] += WIDE_FIRST  # a single bad module explains far runs as well as much noise does
        starts = [np.concatenate([v, v, mixing]) for v in (usual, wide) for mixing in STARTS]
        tried = sorted((self._climbed(start, TRIED) for start in starts), key=lambda found: -found[1])
        theta = max((self._climbed(some) for some, _ in tried[:CLIMBED]), key=lambda found: found[1])[0]
        free = self._free()
        return Learned(
            Mixing(float(theta[-2]), float(theta[-1])),
            np.exp(theta[:-2]).reshape(2, self._n),
            self._covariance(theta, free),
        )

    def _climbed(self, start: np.ndarray, steps: int = 80) -> tuple[np.ndarray, float]:
        theta, free = start.copy(), self._free()

        def negative(values: np.ndarray) -> tuple[float, np.ndarray]:
            theta[free] = values
            value, slopes = self(theta)
            return -value, -slopes[free]

        bounds = [(LOWEST, HIGHEST)] * (len(free) - 2) + [(-3.0, 3.0)] * 2
        options = {"maxiter": steps, "gtol": 1e-3}
        best = minimize(negative, start[free], jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        theta[free] = best.x
        return theta.copy(), -float(best.fun)

    def _free(self) -> np.ndarray:
        """The parameters that the runs tell something about: without groups, levels have no variance to learn."""
        every = np.arange(2 * self._n + 2)
        return every if self.first.levels else np.setdiff1d(every, [self._n - 1, 2 * self._n - 1])

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The logarithm of the posterior density, and its derivatives.

        Args:
            theta: logarithms of the variances of z1 and of z2; loading, echo.
        """
        mixing, slopes = Mixing(*theta[-2:]), np.zeros_like(theta)
        d = mixing.determinant
        if d <= 1 - LIMIT:
            return -1e10, slopes
        value, pulls = 0.0, []
        for i, fitter in enumerate(self._fitters(mixing)):
            part = slice(i * self._n, (i + 1) * self._n)
            try:
                likely, by_variances, pull = Likelihood(self.parts, fitter.all).full(np.exp(theta[part]))
            except np.linalg.LinAlgError:
                return -1e10, np.zeros_like(theta)
            before, by_prior = fitter.density(theta[part], slice(None))
            slopes[part] = by_variances + by_prior
            value += likely + before
            pulls.append(pull)
        z1, z2 = mixing.apart(self.first.values, self.second)
        loading, echo = theta[-2:]
        by_loading = float(pulls[0] @ (self.second - echo * z1) - pulls[1] @ (echo * z2)) / d
        by_echo = float(pulls[1] @ (self.first.values - loading * z2) - pulls[0] @ (loading * z1)) / d
        n = len(self.first)
        slopes[-2:] = by_loading + n * echo / d, by_echo + n * loading / d
        away = theta[-2:] / WIDTHS
        slopes[-2:] -= (TAILS + 1) * away / (TAILS + away**2) / WIDTHS
        return value - n * np.log(d) + float((log_student(away) - np.log(WIDTHS)).sum()), slopes

    def _fitters(self, mixing: Mixing) -> list[Fitter]:
        seen = self.first
        labels = [seen.names[g] for g in seen.groups] if seen.names else None
        scores = mixing.apart(seen.values, self.second)
        some = (Observations(seen.points, v, labels, e) for v, e in zip(scores, self._extra, strict=True))
        return [Fitter(self.parts, s) if self._prior is None else Fitter(self.parts, s, self._prior) for s in some]

    def _covariance(self, theta: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Of loading and echo, from the curvature at the mode; never wider than the prior."""
        values, vectors = np.linalg.eigh(curvature(self, theta, free, STEP))
        inverse = (vectors / np.maximum(values, 1.0)) @ vectors.T
        found: np.ndarray = inverse[-2:, -2:]
        return found
