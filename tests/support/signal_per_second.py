"""The signal per second of a cheap score: its word about the truth, which long runs give.

    score[architecture, seed] = effect[architecture] + level[seed] + noise
    signal per second = r² × variance(effect) / variance(noise) / seconds of a run

r is the correlation of the effects with those of the long runs. So a score that is quiet and wrong has no signal, and a
score that is right and noisy needs many runs. r² × variance(effect) is the square of the covariance, divided by the
variance of the effects of long runs. The noise of short and of long runs is independent, so it does not bias the
covariance of their means. In a ratio of two scores on the same architectures, the variance of the long runs cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Signal:
    """A score, judged by long runs.

    Attributes:
        effect: standard deviation of the effects of architectures.
        noise: standard deviation of a run.
        correlation: of the means of the score with the means of the long runs, as they are.
        corrected: the same without the noise of both (Spearman's correction), at most 1 and at least 0.
        per_second: the signal per second.
    """

    effect: float
    noise: float
    correlation: float
    corrected: float
    per_second: float


def signal(scores: np.ndarray, truth: np.ndarray, seconds: float) -> Signal:
    """The signal of a score.

    Args:
        scores: (architectures, seeds) the score of short runs; high is good.
        truth: (architectures, seeds) mAP50-95 of the long runs.
        seconds: of a short run.
    """
    effect, noise = variances(scores)
    effect_of_truth, noise_of_truth = variances(truth)
    reliability = _share(effect, noise / scores.shape[1]) * _share(effect_of_truth, noise_of_truth / truth.shape[1])
    means = scores.mean(1), truth.mean(1)
    correlation = 0.0 if min(map(np.ptp, means)) < 1e-12 else float(np.corrcoef(*means)[0, 1])
    corrected = min(1.0, max(0.0, correlation) / np.sqrt(reliability)) if reliability > 0 else 0.0
    covariance = max(0.0, float(np.cov(*means)[0, 1]))
    measured = covariance > 0 and noise > 0 and effect_of_truth > 0
    told = covariance**2 / effect_of_truth / noise / seconds if measured else 0.0
    return Signal(effect**0.5, noise**0.5, correlation, float(corrected), told)


def ratio(scores: np.ndarray, usual: np.ndarray, truth: np.ndarray, seconds: tuple[float, float]) -> float:
    """The signal per second of a score as a multiple of that of a usual score; infinite if the latter has none.

    Args:
        scores: (architectures, seeds) the score.
        usual: (architectures, seeds) the score that it is compared with.
        truth: (architectures, seeds) mAP50-95 of the long runs.
        seconds: of a run of each.
    """
    told = []
    for some, cost in zip((scores, usual), seconds, strict=True):
        noise = variances(some)[1]
        covariance = max(0.0, float(np.cov(some.mean(1), truth.mean(1))[0, 1]))
        told.append(covariance**2 / noise / cost if noise > 0 else 0.0)
    return told[0] / told[1] if told[1] > 0 else float("inf")


def variances(scores: np.ndarray) -> tuple[float, float]:
    """The variances of the effects of architectures, at least 0, and of the noise.

    Args:
        scores: (architectures, seeds).
    """
    n, k = scores.shape
    rest = scores - scores.mean(1, keepdims=True) - scores.mean(0, keepdims=True) + scores.mean()
    noise = float((rest**2).sum() / ((n - 1) * (k - 1)))
    return max(0.0, float(scores.mean(1).var(ddof=1)) - noise / k), noise


def resampled(n: int, draws: int, least: int = 4) -> np.ndarray:
    """(draws, n) positions of architectures, drawn with replacement; each draw has some different ones."""
    rng = np.random.default_rng(0)
    found: list[np.ndarray] = []
    while len(found) < draws:
        some = rng.integers(n, size=n)
        if len(np.unique(some)) >= least:
            found.append(some)
    return np.array(found)


def _share(effect: float, noise: float) -> float:
    return effect / (effect + noise) if effect > 0 else 0.0


def intraclass(scores: np.ndarray) -> float:
    """The share of a single run's variance that is the architecture's, beside the level of its seed.

    It is ICC(C,1) of McGraw and Wong (1996): from a two-way analysis of variance without interaction.

    Args:
        scores: (architectures, seeds).
    """
    n, k = scores.shape
    rest = scores - scores.mean(1, keepdims=True) - scores.mean(0, keepdims=True) + scores.mean()
    between = k * scores.mean(1).var(ddof=1)
    within = float((rest**2).sum() / ((n - 1) * (k - 1)))
    return float((between - within) / (between + (k - 1) * within))
