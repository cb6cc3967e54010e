"""Early stops: a trial ends after a part of its epochs if it would stay below the front whatever it still gains.

The rule reads the training loss, which costs nothing: on BCCD, the loss after a quarter of the epochs correlates 0.8
with the final mAP50-95, and the mAP50-95 at that time 0.1 (`tests/benchmarks/early_stop.py`). A line through (loss
then, score at the end) of the finished trials gives the expected end. A trial stops if this, plus the largest gain
over the line that a finished trial made, plus `SLACK`, is below the front of the posterior at the trial's own cost. All
that is known when the trial begins, so it travels with the trial as a threshold for each epoch, and nobody calls back.
As long as the loss does not surely tell something in a study, no trial stops. The line leads to the score of the study,
so the rule holds for every score: it stops nothing in a study by a score of which the loss does not tell.

A stopped trial counts as evidence with its expected end, see `training_loss.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas_attn.evaluate import Evaluator, can_stop
from nas_attn.study.training_loss import Line
from nas_attn.study.trial import Trial

SHARES = (0.125, 0.25, 0.5, 0.75)  # of the epochs, after which a trial may stop
LEAST_EPOCHS = 4  # of a run; shorter ones are never stopped
SLACK = 0.5  # standard deviations of a run


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


def thresholds(trials: Sequence[Trial], epochs: int, height: float, noise: float, mode: str) -> dict[int, float]:
    """Epoch -> training loss in it above which a new trial stops; empty as long as too little is known.

    Args:
        trials: all trials of the study.
        epochs: epochs of a whole run.
        height: the front at the cost of the new trial, in the score.
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
