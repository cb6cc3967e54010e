"""Early stops: a trial ends after a part of its epochs if it would stay below the front whatever it still gains.

The rule reads the training loss, which costs nothing: on BCCD, the loss after a quarter of the epochs correlates 0.8
with the final mAP50-95, and the mAP50-95 at that time 0.1 (`tests/benchmarks/early_stop.py`). A line through (loss
then, mAP50-95 at the end) of the finished trials gives the expected end. A trial stops if this, plus the largest gain
over the line that a finished trial made, plus `SLACK`, is below the front of the posterior at the trial's own cost. All
that is known when the trial begins, so it travels with the trial as a threshold for each epoch, and nobody calls back.
As long as the loss does not surely tell something in a study, no trial stops.

A stopped trial counts as evidence with its expected end, and with the variance of that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import t as student

from nas_attn.evaluate import Evaluator, can_stop
from nas_attn.study.trial import Trial

SHARES = (0.125, 0.25, 0.5, 0.75)  # of the epochs, after which a trial may stop
LEAST_EPOCHS = 4  # of a run; shorter ones are never stopped
LEAST = 6  # finished trials before the first stop
QUANTILES = {"safe": 1.0, "fast": 0.9}  # of the gains of finished trials
EXPECTED = {"safe": 0.975, "fast": 0.9}  # the same of a normal distribution: the largest of six gains is a small one
SLACK = 0.5  # standard deviations of a run
SURE = 2.5  # standard errors by which the line must fall
HUGE = 1e6  # a loss above this is no loss
TINY = 1e-12  # a spread that is rounding


def epochs_of(epochs: int) -> tuple[int, ...]:
    """The epochs after which a run of a number of epochs may be stopped; empty for a very short run."""
    looks = (math.ceil(share * epochs) for share in SHARES if epochs >= LEAST_EPOCHS)
    return tuple(dict.fromkeys(looks))


def obstacle(evaluator: Evaluator, epochs: int) -> str | None:
    """The reason why no run of an evaluator can be stopped; None if they can.

    Args:
        evaluator: scores the architectures.
        epochs: of a run.
    """
    if not can_stop(evaluator):
        return "the evaluator cannot be told to stop (it has no argument `stop_above`)"
    return None if epochs_of(epochs) else f"a run has fewer than {LEAST_EPOCHS} epochs"


def loss_after(trial: Trial, epoch: int) -> float | None:
    """The training loss of a trial in an epoch; None if it has none."""
    curve = trial.evaluation.curve if trial.evaluation else ()
    found = next((row.get("loss") for row in curve if row["epoch"] == epoch), None)
    return found if found is not None and abs(found) < HUGE else None


def thresholds(trials: Sequence[Trial], epochs: int, height: float, noise: float, mode: str) -> dict[int, float]:
    """Epoch -> training loss in it above which a new trial stops; empty as long as too little is known.

    Args:
        trials: all trials of the study.
        epochs: epochs of a whole run.
        height: the front at the cost of the new trial, mAP50-95.
        noise: standard deviation of a run.
        mode: a key of `QUANTILES`.
    """
    found = {}
    for epoch in epochs_of(epochs):
        line = Line.of(trials, epoch, epochs)
        if line is not None and line.sure:
            limit = line.loss + (height - line.gain(mode) - SLACK * noise - line.end) / line.slope
            found[epoch] = max(limit, float(line.losses.min()))  # what is as good as the best so far goes on
    return found


@dataclass(frozen=True)
class Predicted:
    """The expected end of a stopped trial.

    Attributes:
        value: mAP50-95 after the last epoch.
        variance: of this expectation.
    """

    value: float
    variance: float


def predicted(trials: Sequence[Trial]) -> Mapping[int, Predicted]:
    """The expected ends of the stopped trials: number of the trial -> expectation.

    A trial without enough finished ones to compare with has none.

    Args:
        trials: all trials of the study.
    """
    together: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for t in trials:
        if t.stopped is not None and t.evaluation is not None and (loss := loss_after(t, t.stopped)) is not None:
            together.setdefault((t.stopped, t.evaluation.epochs), []).append((t.number, loss))
    found = {}
    for key, some in together.items():
        if (line := Line.of(trials, *key)) is not None:
            found.update({number: line.at(loss, len(some)) for number, loss in some})
    return found


@dataclass(frozen=True)
class Line:
    """The least-squares line of the final mAP50-95 on the training loss of an epoch. It never rises.

    Attributes:
        losses: (trials,) the losses.
        ends: (trials,) the final mAP50-95.
    """

    losses: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, trials: Sequence[Trial], epoch: int, epochs: int) -> Line | None:
        """The line of the finished trials of a number of epochs; None if there are fewer than `LEAST`."""
        finished = (t for t in trials if t.usable and t.evaluation and t.evaluation.epochs == epochs)
        pairs = [(loss, t.map50_95) for t in finished if (loss := loss_after(t, epoch)) is not None]
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
        return Predicted(max(0.0, self.end + self.slope * away), self.variance * (1 + trials * shared))
