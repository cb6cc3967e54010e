"""Seed noise, estimated from repeated seeds, and the verdict on a candidate that it allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas_attn.statistics.spread import moments, pooled, student
from nas_attn.study.trial import Displayed
from nas_attn.study.view import Candidate, StudyView

ENOUGH = 8  # degrees of freedom that give a standard deviation to about ±25 %
BETTER, WORSE, TIE = "better than base", "worse than base", "not distinguishable"


@dataclass(frozen=True, repr=False)
class Noise(Displayed):
    """An estimate of seed noise in mAP50-95.

    Attributes:
        sd_single: standard deviation of single runs of one architecture, pooled over the controls.
        df_single: degrees of freedom of `sd_single`.
        sd_paired: standard deviation of the differences to the base at equal seeds, pooled over all candidates with
            two or more of them; None if there is no such candidate.
        df_paired: degrees of freedom of `sd_paired`.
    """

    sd_single: float
    df_single: int
    sd_paired: float | None = None
    df_paired: int = 0

    def threshold(self, seeds: int = 1) -> float:
        """The smallest mean difference over `seeds` paired runs that seed noise does not explain.

        It comes from Student's t, two-sided at 95 %. It uses the paired standard deviation if there are enough paired
        differences. With only a few, these may agree by chance, so the larger of both thresholds is taken.
        """
        unpaired = student(self.df_single) * self.sd_single * math.sqrt(2)
        paired = student(self.df_paired) * self.sd_paired if self.sd_paired is not None else unpaired
        return (paired if self.df_paired >= ENOUGH else max(paired, unpaired)) / math.sqrt(seeds)

    def __repr__(self) -> str:
        return self.sentence()

    def sentence(self) -> str:
        """A sentence on the estimate."""
        how = f"standard deviation of single runs of the controls: {self.sd_single:.4f}, {_freedom(self.df_single)}"
        if self.sd_paired is not None:
            how += f"; of differences at equal seeds: {self.sd_paired:.4f}, {_freedom(self.df_paired)}"
        return (
            f"Seed noise can explain a difference to the base of up to {self.threshold():.4f} mAP50-95 in a single run "
            f"(two-sided 95 %; {how}). For a mean over n seeds this limit is √n times smaller."
        )


TOO_LITTLE = (
    "There is no estimate of seed noise yet: it needs a control with at least two complete seeds. Until then, seed "
    "noise can explain any difference."
)


def noise_words(view: StudyView) -> str:
    """A sentence on the noise estimate, or on the reason why there is none."""
    estimate = noise(view)
    if estimate is not None:
        return estimate.sentence()
    repeated = _repeated(view)
    if not repeated:
        return TOO_LITTLE
    scores = {t.map50_95 for c in repeated for t in c.trials if t.usable}
    which = f"score {scores.pop():g} mAP50-95" if len(scores) == 1 else "score the same with every seed"
    return (
        f"There is no estimate of seed noise: all trials of the controls {which}. If the score is 0, the runs are too "
        "short to learn anything: train longer. Until then, seed noise can explain any difference."
    )


def _repeated(view: StudyView) -> list[Candidate]:
    """The controls with at least two usable trials."""
    return [c for c in view.candidates() if c.role in ("base", "conv") and c.sd is not None]


def noise(view: StudyView) -> Noise | None:
    """The estimate of seed noise; None until a control has two usable trials with different scores."""
    repeated = _repeated(view)
    if not repeated or all(c.sd == 0 for c in repeated):
        return None  # equal scores, for example all 0, do not show any noise
    single = pooled((len(c.seeds) - 1, c.sd or 0.0) for c in repeated)
    groups = [[t.delta for t in c.trials if t.delta is not None] for c in view.candidates()]
    paired = [(len(g) - 1, sd) for g in groups if (sd := moments(g)[1]) is not None]
    return Noise(*single, *pooled(paired)) if paired else Noise(*single)


def interval(candidate: Candidate) -> tuple[float, float] | None:
    """The 95 % confidence interval of the candidate's mean mAP50-95; None below two seeds."""
    if candidate.mean is None or candidate.sd is None:
        return None
    n = len(candidate.seeds)
    half = student(n - 1) * candidate.sd / math.sqrt(n)
    return max(0.0, candidate.mean - half), min(1.0, candidate.mean + half)


def verdict(candidate: Candidate, estimate: Noise | None) -> str:
    """`better than base`, `worse than base` or `not distinguishable`.

    It is `not distinguishable` also without a noise estimate, or if no seed is shared with the base.
    """
    if candidate.delta is None or estimate is None:
        return TIE
    seeds = sum(t.delta is not None for t in candidate.trials)
    if abs(candidate.delta) <= estimate.threshold(seeds):
        return TIE
    return BETTER if candidate.delta > 0 else WORSE


def _freedom(df: int) -> str:
    return f"{df} degree{'s' if df > 1 else ''} of freedom"
