"""The training loss of a trial: it foretells the end of a stopped trial, and is a second score of every trial.

It costs nothing. On BCCD, the loss after a quarter of the epochs correlates 0.8 with the final mAP50-95, and the
mAP50-95 at that time 0.1 (`tests/benchmarks/early_stop.py`). Its mean over the last quarter of the epochs has less
noise than the mAP of the same run (`tests/benchmarks/proxy_signal.py`), so it says more about the architecture, as far
as it says the same: how far, the posterior learns from the trials of the study. That holds for every score: of a score
that the loss tells nothing about, it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import t as student

from nas_attn.study.trial import Trial

LEAST = 6  # finished trials before the first stop
QUANTILES = {"safe": 1.0, "fast": 0.9}  # of the gains of finished trials
EXPECTED = {"safe": 0.975, "fast": 0.9}  # the same of a normal distribution: the largest of six gains is a small one
SURE = 2.5  # standard errors by which the line must fall
HUGE = 1e6  # a loss above this is no loss
TINY = 1e-12  # a spread that is rounding
LAST = 0.75  # share of the epochs, after which the loss counts as the second score

End = Callable[[Trial], float | None]


def loss_after(trial: Trial, epoch: int) -> float | None:
    """The training loss of a trial in an epoch; None if it has none."""
    curve = trial.evaluation.curve if trial.evaluation else ()
    found = next((row.get("loss") for row in curve if row["epoch"] == epoch), None)
    return found if found is not None and abs(found) < HUGE else None


def last_loss(trial: Trial) -> float | None:
    """Minus the mean training loss of the last quarter of a trial's epochs; None if it was not trained so far."""
    if (e := trial.evaluation) is None or trial.stopped is not None:
        return None
    found = [loss_after(trial, epoch) for epoch in range(math.floor(LAST * e.epochs) + 1, e.epochs + 1)]
    there = [loss for loss in found if loss is not None]
    return -sum(there) / len(there) if there and len(there) == len(found) else None


def told_together(trials: Sequence[Trial]) -> list[tuple[Trial, float]]:
    """The trials that ended in a group, each with minus the mean training loss of its last quarter."""
    some = (t for t in trials if t.state == "complete" and t.evaluation is not None and t.together)
    return [(t, value) for t in some if (value := last_loss(t)) is not None]


def final_score(trial: Trial) -> float | None:
    """The score of a whole trial; None if there is none."""
    return trial.score


@dataclass(frozen=True)
class Predicted:
    """The expected end of a stopped trial.

    Attributes:
        value: of the end.
        variance: of this expectation.
    """

    value: float
    variance: float


def predicted(trials: Sequence[Trial], end: End = final_score) -> Mapping[int, Predicted]:
    """The expected ends of the stopped trials: number of the trial -> expectation.

    A trial without enough finished ones to compare with has none.

    Args:
        trials: all trials of the study.
        end: what is expected of a trial.
    """
    together: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for t in trials:
        if t.stopped is not None and t.evaluation is not None and (loss := loss_after(t, t.stopped)) is not None:
            together.setdefault((t.stopped, t.evaluation.epochs), []).append((t.number, loss))
    found = {}
    lowest = 0.0 if end is final_score else -math.inf
    for key, some in together.items():
        if (line := Line.of(trials, *key, end)) is not None:
            for number, loss in some:
                expected = line.at(loss, len(some))
                found[number] = Predicted(max(lowest, expected.value), expected.variance)
    return found


@dataclass(frozen=True)
class Scores:
    """One score of several trials.

    Attributes:
        values: the score of each trial; of a stopped one, the expectation.
        extra: variance of each beyond the noise of a run; 0 of whole trials.
    """

    values: list[float]
    extra: list[float]


def with_end(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that a posterior may use: usable ones with a finite score, and stopped ones with a predicted end.

    Args:
        trials: all trials of the study.
    """
    ends = predicted(trials)
    return [t for t in trials if t.number in ends or (t.usable and (y := t.score) is not None and math.isfinite(y))]


def scores(trials: Sequence[Trial], some: Sequence[Trial], end: End = final_score) -> Scores | None:
    """A score of some trials; None if one of them has none.

    Args:
        trials: all trials of the study.
        some: whole trials, or stopped ones whose ends are `predicted`.
        end: the score of a whole trial.
    """
    ends = predicted(trials, end)
    values, extra = [], []
    for t in some:
        expected = ends.get(t.number)
        value = end(t) if expected is None else expected.value
        if value is None or not math.isfinite(value):
            return None
        values.append(value)
        extra.append(0.0 if expected is None else expected.variance)
    return Scores(values, extra)


@dataclass(frozen=True)
class Line:
    """The least-squares line of the end of whole trials on the training loss of an epoch. It never rises.

    Attributes:
        losses: (trials,) the losses.
        ends: (trials,) the ends.
    """

    losses: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, trials: Sequence[Trial], epoch: int, epochs: int, end: End = final_score) -> Line | None:
        """The line of the finished trials of a number of epochs; None if there are fewer than `LEAST`."""
        finished = (t for t in trials if t.usable and t.evaluation and t.evaluation.epochs == epochs)
        pairs = [(loss, end(t)) for t in finished if (loss := loss_after(t, epoch)) is not None]
        whole = np.array([(x, y) for x, y in pairs if y is not None and math.isfinite(y)])
        return cls(*whole.T) if len(whole) >= LEAST else None

    @cached_property
    def loss(self) -> float:
        """The mean loss."""
        return float(self.losses.mean())

    @cached_property
    def end(self) -> float:
        """The mean end."""
        return float(self.ends.mean())

    @cached_property
    def spread(self) -> float:
        """The sum of squares of the losses around their mean."""
        return float(((self.losses - self.loss) ** 2).sum())

    @cached_property
    def slope(self) -> float:
        """The change of the end with the loss."""
        if self.spread <= TINY:
            return 0.0
        return min(0.0, float(((self.losses - self.loss) * (self.ends - self.end)).sum()) / self.spread)

    @cached_property
    def rest(self) -> np.ndarray:
        """(trials,) the gains over the line."""
        found: np.ndarray = self.ends - self.end - self.slope * (self.losses - self.loss)
        return found

    @cached_property
    def variance(self) -> float:
        """The variance around the line."""
        return float((self.rest**2).sum()) / (len(self.ends) - 2)

    def gain(self, mode: str) -> float:
        """The gain over the line that is granted: the largest that was seen, or that few trials let expect.

        Args:
            mode: a key of `QUANTILES`.
        """
        seen = float(np.quantile(self.rest, QUANTILES[mode]))
        return max(seen, math.sqrt(self.variance) * float(student.ppf(EXPECTED[mode], len(self.ends) - 2)))

    @property
    def sure(self) -> bool:
        """True if the line surely falls: if the loss tells something about the end."""
        return self.slope < -SURE * math.sqrt(self.variance / max(self.spread, TINY))

    def at(self, loss: float, trials: int = 1) -> Predicted:
        """The expected end of a trial with this loss.

        Args:
            loss: the loss.
            trials: number of trials whose ends are expected by this line. They share its error. Whoever takes the
                errors of several trials for independent would average it away, so it counts as often.
        """
        away = loss - self.loss
        shared = 1 / len(self.ends) + (away**2 / self.spread if self.spread > TINY else 0.0)
        return Predicted(self.end + self.slope * away, self.variance * (1 + trials * shared))
