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

from .kernel import PARTS, TOLD, Features, Kernel
from .posterior import Posterior


class ToldKernel(Kernel):
    """The parts of a covariance, and the part that g tells.

    Args:
        g: the posterior of g, by cheap runs.
    """

    names = (*PARTS, TOLD)

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

    def due(self, variances: np.ndarray, a: Features) -> tuple[np.ndarray, np.ndarray]:
        """The prior variance of f at points, and the part of it that one cheap run takes away, (n,) each.

        Args:
            variances: of the parts.
            a: the points.
        """
        unit = self._centre[1]
        open_ = self.g.at(a)[1] ** 2
        taken = open_**2 / (open_ + self.noise)
        rest = super().diagonal(variances[:-1], a)
        return rest + variances[-1] * open_ / unit, variances[-1] * taken / unit

    @property
    def noise(self) -> float:
        """The variance of a cheap run, scaled as `g` scales its values."""
        return self.g.noise / self.g.scale**2

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
