"""A covariance with a part that another function tells.

f is measured by expensive runs, g by cheap ones, and nobody knows beforehand how much g has to do with f:

    f(x) = rho × g(x) + delta(x)

With rho of mean 0 and variance v, the covariance of rho × g given the cheap runs is v × E[g(a) g(b)]. So g is one more
part of the covariance of f, whose variance v is estimated from the expensive runs as those of all other parts; delta
has these. If g tells nothing, v becomes small. It is the model of Kennedy and O'Hagan (2000), "Predicting the output
from a complex computer code when fast approximations are available", in the recursive form of Le Gratiet (2014).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .kernel import Features, Kernel
from .posterior import Posterior


class ToldKernel(Kernel):
    """The parts of a covariance, and the part that g tells.

    Args:
        g: the posterior of g, by cheap runs.
    """

    def __init__(self, g: Posterior) -> None:
        super().__init__(g.kernel.space)
        self.g = g

    @cached_property
    def _centre(self) -> tuple[float, float]:
        """Mean of g over its points, and the mean square of g around it: the unit of the part."""
        mean, _, covariance = self.g.between(self.g.features, self.g.features)
        n = len(mean)
        square = float(np.trace(covariance) / n - covariance.sum() / n**2 + mean.var())
        return float(mean.mean()), max(square, 1e-9)

    def told(self, a: Features, b: Features) -> np.ndarray:
        """The part between two sets of points, (len(a), len(b))."""
        centre, unit = self._centre
        one, two, shared = self.g.between(a, b)
        found: np.ndarray = (np.outer(one - centre, two - centre) + shared) / unit
        return found

    @property
    def noise(self) -> float:
        """The variance of a cheap run, scaled as `g` scales its values."""
        return self.g.noise / self.g.scale**2

    def rho_squared(self, posterior: Posterior) -> float:
        """The mean square of rho given the expensive runs, for g in units of the part.

        Args:
            posterior: of f; this is its kernel.
        """
        centre, unit = self._centre
        mean = (self.g.at(posterior.trained)[0] - centre) / np.sqrt(unit)
        before = float(posterior.likely_parts[-1])
        after = before - before**2 * float(((mean @ posterior.given.root) ** 2).sum())
        return max(0.0, before * float(mean @ posterior.given.alpha)) ** 2 + after

    def unknown(self, posterior: Posterior, a: Features) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The prior variance of delta at points, what is open of rho × g, and what a cheap run takes of that.

        Args:
            posterior: of f; this is its kernel.
            a: n points; each result is (n,).
        """
        variance = self.g.at(a)[1] ** 2
        open_ = self.rho_squared(posterior) * variance / self._centre[1]
        rest = super().diagonal(posterior.likely_parts[:-1], a)
        return rest, open_, open_ * variance / (variance + self.noise)

    def parts(self, a: Features, b: Features) -> np.ndarray:
        return np.concatenate([super().parts(a, b), self.told(a, b)[None]])

    def weighted(self, variances: np.ndarray, a: Features, b: Features) -> np.ndarray:
        found: np.ndarray = super().weighted(variances[:-1], a, b) + variances[-1] * self.told(a, b)
        return found

    def diagonal(self, variances: np.ndarray, a: Features) -> np.ndarray:
        centre, unit = self._centre
        mean, deviation = self.g.at(a)
        square = ((mean - centre) ** 2 + deviation**2) / unit
        found: np.ndarray = super().diagonal(variances[:-1], a) + variances[-1] * square
        return found
