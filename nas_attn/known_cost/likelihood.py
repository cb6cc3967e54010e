"""The marginal likelihood of a Gaussian process with levels, its derivatives, and its conditional distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from .observations import Observations, Precision

CONSTANT = 100.0  # variance of the mean over all points, in units of the scaled values: it is practically free
JITTER = 1e-10


@dataclass(frozen=True)
class Conditioned:
    """f given the runs.

    Attributes:
        logp: logarithm of the marginal likelihood, without the constant term.
        alpha: (points,): the mean of f anywhere is its covariance with the points times this.
        root: (points, points): the variance of f falls by the squared length of covariance @ root.
        mean: (points,) mean of f at the points.
    """

    logp: float
    alpha: np.ndarray
    root: np.ndarray
    mean: np.ndarray


def condition(covariance: np.ndarray, given: Precision) -> Conditioned:
    """Condition f on runs.

    Args:
        covariance: (points, points) of f, with the constant.
        given: the evidence of the runs.
    """
    n = len(covariance)
    matrix = given.matrix.copy()
    matrix[np.diag_indices(n)] += JITTER * np.trace(matrix) / n
    lower = np.linalg.cholesky(matrix)
    inner = lower.T @ covariance @ lower
    inner[np.diag_indices(n)] += 1.0
    chol = np.linalg.cholesky(inner)
    # (K + W^-1)^-1 = R (I + R' K R)^-1 R' with W = R R'
    root = solve_triangular(chol, lower.T, lower=True, check_finite=False).T
    projected = covariance @ given.vector
    alpha = given.vector - root @ (root.T @ projected)
    mean = covariance @ alpha
    fit = given.square - float(given.vector @ mean)
    logp = -0.5 * (fit + given.logdet + 2 * float(np.log(np.diag(chol)).sum()))
    return Conditioned(logp, alpha, root, mean)


class Likelihood:
    """The marginal likelihood as a function of the variances.

    Args:
        parts: (parts, points, points) of the covariance of f, each for variance 1.
        observations: the runs, scaled.
    """

    def __init__(self, parts: np.ndarray, observations: Observations) -> None:
        self.parts, self.observations = parts, observations

    def covariance(self, variances: np.ndarray) -> np.ndarray:
        """The covariance of f at the points, with the constant."""
        found: np.ndarray = np.tensordot(variances, self.parts, 1)
        found += CONSTANT
        return found

    def conditioned(self, variances: np.ndarray) -> Conditioned:
        """f given the runs.

        Args:
            variances: of the parts, of a run and of the levels.
        """
        noise, level = variances[-2:]
        return condition(self.covariance(variances[:-2]), self.observations.precision(noise, level))

    def __call__(self, variances: np.ndarray) -> tuple[float, np.ndarray]:
        """The logarithm of the likelihood, and its derivatives by the logarithms of the variances."""
        return self.full(variances)[:2]

    def full(self, variances: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The logarithm of the likelihood with its derivatives.

        Args:
            variances: of the parts, of a run and of the levels.

        Returns:
            The value; its derivatives by the logarithms of the variances; minus its derivatives by the values.
        """
        seen, noise, level = self.observations, *variances[-2:]
        covariance = self.covariance(variances[:-2])
        given = seen.precision(noise, level)
        found = condition(covariance, given)
        inverse = found.root @ found.root.T  # (K + W^-1)^-1
        slopes = np.empty(len(variances))
        spread = 0.5 * (np.outer(found.alpha, found.alpha) - inverse)
        slopes[:-2] = self.parts.reshape(len(self.parts), -1) @ spread.ravel()
        told = seen.weighted(noise)
        g, per_group = given.shrink, told.per_group
        posterior = covariance - covariance @ inverse @ covariance
        weights, moved, quadratic = self._weights(found, g, posterior, noise)
        trace = float(self._precisions(posterior, moved, quadratic, told.weights, g, noise).sum())
        q = (1 - g * per_group) / noise
        slopes[-2] = 0.5 * (float(weights @ weights) - trace)
        grouped = np.bincount(seen.groups, weights, len(per_group))
        slopes[-1] = 0.5 * (float(grouped @ grouped) - float(per_group @ q) + float(q**2 @ quadratic))
        return found.logp, slopes * variances, weights

    def left_out(self, variances: np.ndarray) -> np.ndarray:
        """Each run's distance from what all other runs predict, in standard deviations of that prediction."""
        seen, noise, level = self.observations, *variances[-2:]
        covariance = self.covariance(variances[:-2])
        given = seen.precision(noise, level)
        found = condition(covariance, given)
        posterior = covariance - (covariance @ found.root) @ (covariance @ found.root).T
        g = given.shrink
        weights, moved, quadratic = self._weights(found, g, posterior, noise)
        precision = self._precisions(posterior, moved, quadratic, seen.weighted(noise).weights, g, noise)
        distances: np.ndarray = weights / np.sqrt(np.maximum(precision, 1e-12))
        return distances

    def _weights(
        self, found: Conditioned, g: np.ndarray, posterior: np.ndarray, noise: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The precision of the runs times their residuals; (points, groups) and (groups,) sums over `posterior`."""
        seen = self.observations
        told = seen.weighted(noise)
        residual = seen.values - found.mean[seen.points]
        totals = np.bincount(seen.groups, told.weights * residual, len(g))
        moved = posterior @ told.counts
        quadratic = np.einsum("ag,ag->g", told.counts, moved)
        return told.weights * (residual - (g * totals)[seen.groups]) / noise, moved, quadratic

    def _precisions(
        self,
        posterior: np.ndarray,
        moved: np.ndarray,
        quadratic: np.ndarray,
        w: np.ndarray,
        g: np.ndarray,
        noise: float,
    ) -> np.ndarray:
        """The diagonal of the inverse covariance of the runs, (runs,)."""
        a, s = self.observations.points, self.observations.groups
        known = np.diag(posterior)[a] - 2 * g[s] * moved[a, s] + g[s] ** 2 * quadratic[s]
        found: np.ndarray = w * (1 - g[s] * w) / noise - w**2 * known / noise**2
        return found
