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
        away: (sums,) distance from zero, in standard errors. A mean is shrunk towards zero, this is not; no other sum
            of the space needs to be small for it. 0 if the runs tell little about the sum.
        errors: (draws, sums) the draws minus what is expected, in standard deviations; 0 for what is known.
    """

    draws: np.ndarray
    away: np.ndarray
    errors: np.ndarray

    def take(self, columns: np.ndarray) -> Contrasts:
        """Some of the sums."""
        return Contrasts(self.draws[:, columns], self.away[columns], self.errors[:, columns])

    def beside(self, others: Contrasts) -> Contrasts:
        """These sums, then others."""
        pairs = ((self.draws, others.draws), (self.away, others.away), (self.errors, others.errors))
        return Contrasts(*(np.concatenate(pair, axis=-1) for pair in pairs))


def learned(left: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The share of the variances that the runs have removed, (sums,): of what was there before, some is left."""
    found: np.ndarray = 1 - left / np.maximum(before, np.maximum(left, 1e-300))
    return found


def distance(mean: np.ndarray, left: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The distances of sums from zero, (sums,), in standard errors.

    If a sum is truly zero, its mean has the variance v (1 - v / b), where v is left of its variance b before any run.
    """
    errors = np.sqrt(np.maximum(left * learned(left, before), 1e-300))
    found: np.ndarray = np.where(np.abs(mean) > 1e-12, mean / np.maximum(errors, 1e-9), 0.0)
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
