"""The answer of a study in a few sentences: was anything better than the base, and what could this study have shown?

If a module is better by the difference that `shows` returns, a study names it in about 80 % of cases. The factor comes
from simulated studies (`tests/benchmarks/posterior.py`): they had 95 candidates in 100 trials, and one module that was
better by 1.43 standard deviations of a run; 76 % of 235 studies named it.
"""

from __future__ import annotations

import math

import numpy as np

from nas_attn.analysis.effects.conclusion import WORTH, span
from nas_attn.analysis.posterior import StudyPosterior, posterior
from nas_attn.lines import many
from nas_attn.space import NONE, Architecture
from nas_attn.statistics.paired import ALPHA, pairs_needed
from nas_attn.study.view import StudyView, Trial

FACTOR = 14.6  # 1.5 × √95
LEARNED = 0.5  # share of the base's score: a study that can show only larger differences can show nothing


def shows(noise: float, candidates: int) -> float:
    """The difference in the score that a search of so many candidates can show.

    Args:
        noise: standard deviation of a run in the score.
        candidates: number of trials that try something.
    """
    return FACTOR * noise / math.sqrt(candidates) if candidates else math.inf


def candidates_for(noise: float, difference: float) -> int:
    """The number of candidates with which a search can show a difference; at least 1."""
    return max(1, math.ceil((FACTOR * noise / difference) ** 2))


def seeds_for(noise: float, difference: float) -> int:
    """The seeds with which an ablation of one idea can show a difference, each for the idea and for the base."""
    return pairs_needed(difference, math.sqrt(2) * noise, ALPHA)


def spoken(architecture: Architecture) -> str:
    """An architecture in words: `lska(k_size=41) at p3, se at p4`."""
    return ", ".join(f"{gene} at {slot}" for slot, gene in architecture if gene != NONE) or "the base"


def tried(view: StudyView) -> list[Trial]:
    """The trials that have tried something: those of candidates that ended, early or not."""
    return [t for t in view.trials if t.role == "search" and t.state in ("complete", "stopped")]


def answer(view: StudyView) -> str:
    """The answer of a study, with a caution if it is read by a score that its search did not look for."""
    return f"{view.caution} {_answer(view)}" if view.caution else _answer(view)


def _answer(view: StudyView) -> str:
    begun = [t for t in view.trials if t.state != "refused"]
    if not begun:
        return "No trial has run yet."
    candidates = len(tried(view))
    if not candidates:
        failed = sum(t.state == "failed" and t.role == "search" for t in begun)
        only_controls = all(t.role != "search" for t in begun)
        why = (
            f"all {many(len(begun), 'trial')} were controls"
            if only_controls
            else f"{failed} failed, and no other has ended"
        )
        return f"Nothing was tried: {why}. Run it again with a larger --trials."
    found = posterior(view)
    if found is None or all(c.architecture.is_base for c in found.candidates):
        return "Nothing can be said yet: the base and another architecture must have results that can be compared."
    noise, limit = found.noise.mean, shows(found.noise.mean, candidates)
    base = next((float(found.means[i]) for i, c in enumerate(found.candidates) if c.architecture.is_base), None)
    better = sorted((int(i) for i in np.flatnonzero(found.signs == 1)), key=lambda i: -found.means[i])
    if better:
        return _better(found, better)
    if base is not None and limit > LEARNED * base:
        return (
            f"This proxy cannot show anything yet: the base reaches only {base:.3f} {view.score.words}, and with this "
            f"noise a search of {many(len(view.trials), 'trial')} can show {limit:.3f} at best. Train longer "
            "(--epochs), on larger images (--imgsz), or from trained weights (--weights)."
        )
    return " ".join(
        [
            "Nothing tried here was shown to beat the base.",
            f"With this noise a search of {many(len(view.trials), 'trial')} can show {limit:.3f};",
            f"{_best(found)}.",
            _help(noise, candidates, limit),
        ]
    )


def _better(found: StudyPosterior, better: list[int]) -> str:
    others = sum(not c.architecture.is_base for c in found.candidates)
    best = found.candidates[better[0]].architecture
    those = f"{len(better)} of {others} architectures" if others > 1 else "The only architecture"
    verb = "are" if len(better) > 1 else "is"
    difference = found.differences[better[0]]
    told = f"Best in {found.score.words}: {span(difference)}, {spoken(best)}."
    return f"{those} tried here {verb} better than the base. {told}"


def _best(found: StudyPosterior) -> str:
    others = [i for i, c in enumerate(found.candidates) if not c.architecture.is_base]
    at = max(others, key=lambda i: found.means[i])
    return f"the best estimate was {span(found.differences[at])}, {spoken(found.candidates[at].architecture)}"


def _help(noise: float, candidates: int, limit: float) -> str:
    """The sentence on what would help."""
    if limit <= WORTH:
        return f"A difference of {WORTH} would probably have been seen. Other modules or slots may do more."
    further, seeds = candidates_for(noise, WORTH) - candidates, seeds_for(noise, WORTH)
    return (
        f"What would help: to see {WORTH}, about {further} more trials, or `ablate` of one idea with {seeds} seeds "
        f"({2 * seeds} trainings); or longer runs."
    )
