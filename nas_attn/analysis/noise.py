"""What a study's controls say about seed noise, and what may be concluded in spite of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas_attn.study.view import Candidate, StudyView

CONFIDENCE = 0.95
BETTER, WORSE, TIE = "better than base", "worse than base", "not distinguishable"


@dataclass(frozen=True)
class Noise:
    """Seed noise in mAP50-95, from the controls.

    Attributes:
        sd_single: pooled standard deviation of single runs of one architecture.
        df_single: its degrees of freedom.
        sd_paired: standard deviation of conv minus base of the same seed; None below two shared seeds.
        df_paired: its degrees of freedom.
    """

    sd_single: float
    df_single: int
    sd_paired: float | None = None
    df_paired: int = 0

    def threshold(self, seeds: int = 1) -> float:
        """Smallest mean difference over `seeds` paired runs that seed noise alone does not explain.

        Two-sided at 95 %, Student's t. Without enough paired runs the difference of two independent runs stands in.
        """
        if self.sd_paired is not None:
            sd, df = self.sd_paired, self.df_paired
        else:
            sd, df = self.sd_single * math.sqrt(2), self.df_single
        return _student(df) * sd / math.sqrt(seeds)

    def sentence(self) -> str:
        """The estimate in plain words."""
        how = (
            f"same-seed differences between the two controls, standard deviation {self.sd_paired:.4f}, "
            f"{_freedom(self.df_paired)}"
            if self.sd_paired is not None
            else f"single runs of the controls, standard deviation {self.sd_single:.4f}, {_freedom(self.df_single)}"
        )
        return (
            f"Differences to the base below {self.threshold():.4f} mAP50-95 in a single run cannot be told from seed "
            f"noise (two-sided 95 %; {how}); a mean over n seeds resolves √n times less."
        )


TOO_LITTLE = (
    "There is no noise estimate yet: a control must have finished with at least two seeds. Until then no difference "
    "can be told from seed noise."
)


def noise(view: StudyView) -> Noise | None:
    """The seed noise that the study's controls show; None until one of them has two usable trials."""
    controls = [c for c in view.candidates() if c.role in ("base", "conv")]
    repeated = [c for c in controls if c.sd is not None]
    if not repeated or all(c.sd == 0 for c in repeated):
        return None  # runs that cannot differ (all at mAP 0, say) tell nothing about noise
    df = sum(len(c.seeds) - 1 for c in repeated)
    variance = math.fsum((len(c.seeds) - 1) * (c.sd or 0.0) ** 2 for c in repeated) / df
    differences = [t.delta for c in controls if c.role == "conv" for t in c.trials if t.delta is not None]
    if len(differences) < 2:
        return Noise(math.sqrt(variance), df)
    return Noise(math.sqrt(variance), df, _sd(differences), len(differences) - 1)


def interval(candidate: Candidate) -> tuple[float, float] | None:
    """95 % confidence interval of the mean mAP50-95, from the candidate's own spread; None below two seeds."""
    if candidate.mean is None or candidate.sd is None:
        return None
    n = len(candidate.seeds)
    half = _student(n - 1) * candidate.sd / math.sqrt(n)
    return candidate.mean - half, candidate.mean + half


def verdict(candidate: Candidate, estimate: Noise | None) -> str:
    """`better than base`, `worse than base` or `not distinguishable`.

    The last also where nothing can be said: without a noise estimate, or without a seed shared with the base.
    """
    if candidate.delta is None or estimate is None:
        return TIE
    seeds = sum(t.delta is not None for t in candidate.trials)
    if abs(candidate.delta) <= estimate.threshold(seeds):
        return TIE
    return BETTER if candidate.delta > 0 else WORSE


def _student(df: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + CONFIDENCE / 2))


def _sd(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def _freedom(df: int) -> str:
    return f"{df} degree{'s' if df > 1 else ''} of freedom"
