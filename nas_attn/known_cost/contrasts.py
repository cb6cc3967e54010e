"""Sums of an unknown function over points: joint draws of them, and the distance of each from zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TINY = 1e-8  # share of a variance that is added to it, so that sums may depend on each other
LEAST = 0.05  # share of its variance that the runs must have removed, else a sum has no distance


@dataclass(frozen=True)
class Contrasts:
    """Sums of f over points, given runs.

    Attributes:
        draws: (draws, sums) joint draws.
        away: (sums,) distance from zero, in standard errors, averaged over draws of the variances. It is not shrunk
            towards zero, as a mean is. The least of several: as the covariance expects, and with a free effect of the
            clearest option. 0 if their signs differ, or if the runs tell little about the sum.
        errors: (draws, sums) the draws minus what each draw of the variances expects, in its standard deviations; 0 for
            a sum that is known.
    """

    draws: np.ndarray
    away: np.ndarray
    errors: np.ndarray

    def take(self, columns: np.ndarray) -> Contrasts:
        """Some of the sums."""
        return Contrasts(self.draws[:, columns], self.away[columns], self.errors[:, columns])


@dataclass(frozen=True)
class Moments:
    """The knowledge of sums of f under one draw of the variances, (sums,) each.

    Attributes:
        mean: the expected sums.
        left: their variances, given the runs.
        before: their variances before any run.
    """

    mean: np.ndarray
    left: np.ndarray
    before: np.ndarray

    @property
    def distance(self) -> np.ndarray:
        """The distances from zero, see `distance`."""
        return distance(self.mean, self.left, self.before)

    @property
    def learned(self) -> np.ndarray:
        """The share of the variances that the runs have removed."""
        return learned(self.left, self.before)


def least(plain: np.ndarray, free: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The smallest of several distances of each sum, with the sign of the plain one; 0 if their signs differ.

    Args:
        plain: (sums,) as the covariance expects.
        free: (options, sums) with a free effect of each of some options.
        known: (sums,) share of the variance that the runs have removed; a sum with little has no distance.
    """
    shortest = np.min(np.sign(plain) * np.vstack([plain, free]), axis=0)
    return np.where(known > LEAST, np.sign(plain) * np.maximum(shortest, 0.0), 0.0)


def learned(left: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The share of the variances that the runs have removed, (sums,).

    Args:
        left: (sums,) the variances, given the runs.
        before: (sums,) the variances before any run.
    """
    found: np.ndarray = 1 - left / np.maximum(before, np.maximum(left, 1e-300))
    return found


def distance(mean: np.ndarray, left: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The distances of sums from zero, (sums,), in standard errors.

    If a sum is truly zero, its mean has the variance v (1 - v / b), where v is left of its variance b before any run.
    """
    errors = np.sqrt(np.maximum(left * learned(left, before), 0.0))
    found: np.ndarray = np.where(np.abs(mean) > 1e-12, mean / np.maximum(errors, 1e-9), 0.0)  # but for rounding
    return found


def root_of(covariance: np.ndarray) -> np.ndarray:
    """A matrix R with R R' = covariance, also if sums have no variance or depend on each other."""
    variances = np.diag(covariance)
    some = np.flatnonzero(variances > TINY * variances.max(initial=0.0))
    found = np.zeros_like(covariance)
    if len(some):
        inner = covariance[np.ix_(some, some)]
        inner[np.diag_indices(len(some))] *= 1 + TINY
        found[np.ix_(some, some)] = _lower(inner)
    return found


def _lower(covariance: np.ndarray) -> np.ndarray:
    try:
        lower: np.ndarray = np.linalg.cholesky(covariance)
        return lower
    except np.linalg.LinAlgError:  # rounding has made a tiny eigenvalue negative
        values, vectors = np.linalg.eigh(covariance)
        root: np.ndarray = vectors * np.sqrt(np.maximum(values, 0))
        return root
