"""Seed noise, from repeated seeds, and the conclusions that it leaves room for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas_attn.statistics.spread import moments, pooled, student
from nas_attn.study.view import Candidate, StudyView

ENOUGH = 8  # degrees of freedom from which a standard deviation is known to about a quarter
BETTER, WORSE, TIE = "better than base", "worse than base", "not distinguishable"


@dataclass(frozen=True)
class Noise:
    """Seed noise in mAP50-95, from the controls.

    Attributes:
        sd_single: standard deviation of single runs of one architecture, pooled over the controls.
        df_single: its degrees of freedom.
        sd_paired: standard deviation of an architecture's differences to the base of the same seed, pooled over all
            candidates with at least two; None if there is none.
        df_paired: its degrees of freedom.
    """

    sd_single: float
    df_single: int
    sd_paired: float | None = None
    df_paired: int = 0

    def threshold(self, seeds: int = 1) -> float:
        """Smallest mean difference over `seeds` paired runs that seed noise alone does not explain.

        Two-sided at 95 %, Student's t. Pairing narrows it once there are enough paired differences to say so; before,
        a few lucky ones would promise too much, and the larger of this and the unpaired threshold stands.
        """
        unpaired = student(self.df_single) * self.sd_single * math.sqrt(2)
        paired = student(self.df_paired) * self.sd_paired if self.sd_paired is not None else unpaired
        return (paired if self.df_paired >= ENOUGH else max(paired, unpaired)) / math.sqrt(seeds)

    def __str__(self) -> str:
        return self.sentence()

    def sentence(self) -> str:
        """The estimate in plain words."""
        how = f"single runs of the controls: standard deviation {self.sd_single:.4f}, {_freedom(self.df_single)}"
        if self.sd_paired is not None:
            how += f"; differences at equal seeds: {self.sd_paired:.4f}, {_freedom(self.df_paired)}"
        return (
            f"Differences to the base below {self.threshold():.4f} mAP50-95 in a single run cannot be told from seed "
            f"noise (two-sided 95 %; {how}); a mean over n seeds resolves √n times less."
        )


TOO_LITTLE = (
    "There is no noise estimate yet: a control must have finished with at least two seeds. Until then no difference "
    "can be told from seed noise."
)


def noise_words(view: StudyView) -> str:
    """The estimate in plain words, or the reason why there is none."""
    estimate = noise(view)
    if estimate is not None:
        return estimate.sentence()
    repeated = _repeated(view)
    if not repeated:
        return TOO_LITTLE
    scores = {t.map50_95 for c in repeated for t in c.trials if t.usable}
    which = f"scored {scores.pop():g} mAP50-95" if len(scores) == 1 else "scored the same with every seed"
    return (
        f"There is no noise estimate: all control trials {which}, so seeds show no difference. Where that is 0, the "
        "runs are too short to learn anything: train longer. Until then no difference can be told from seed noise."
    )


def _repeated(view: StudyView) -> list[Candidate]:
    """The controls with at least two usable trials."""
    return [c for c in view.candidates() if c.role in ("base", "conv") and c.sd is not None]


def noise(view: StudyView) -> Noise | None:
    """The seed noise that the study shows; None until a control has two usable trials that differ."""
    repeated = _repeated(view)
    if not repeated or all(c.sd == 0 for c in repeated):
        return None  # runs that cannot differ (all at mAP 0, say) tell nothing about noise
    single = pooled((len(c.seeds) - 1, c.sd or 0.0) for c in repeated)
    groups = [[t.delta for t in c.trials if t.delta is not None] for c in view.candidates()]
    paired = [(len(g) - 1, sd) for g in groups if (sd := moments(g)[1]) is not None]
    return Noise(*single, *pooled(paired)) if paired else Noise(*single)


def interval(candidate: Candidate) -> tuple[float, float] | None:
    """95 % confidence interval of the mean mAP50-95, from the candidate's own spread; None below two seeds."""
    if candidate.mean is None or candidate.sd is None:
        return None
    n = len(candidate.seeds)
    half = student(n - 1) * candidate.sd / math.sqrt(n)
    return max(0.0, candidate.mean - half), min(1.0, candidate.mean + half)


def verdict(candidate: Candidate, estimate: Noise | None) -> str:
    """`better than base`, `worse than base` or `not distinguishable`.

    The last also if nothing can be said: without a noise estimate, or without a seed shared with the base.
    """
    if candidate.delta is None or estimate is None:
        return TIE
    seeds = sum(t.delta is not None for t in candidate.trials)
    if abs(candidate.delta) <= estimate.threshold(seeds):
        return TIE
    return BETTER if candidate.delta > 0 else WORSE


def _freedom(df: int) -> str:
    return f"{df} degree{'s' if df > 1 else ''} of freedom"
