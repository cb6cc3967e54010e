"""Finished sampler runs as a table: regret, worst seed, ratios, trials to a goal, and the goals themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sampler_results import KNOWN_COST, Entry

DEFAULT = "default TPE"
FEW = 5  # seeds that a method needs to count as the best stock sampler
MARKS = (25, 50)  # and the last trial


@dataclass(frozen=True)
class Score:
    """One method on one table.

    Attributes:
        curves: seed -> regret after each trial.
        seconds: CPU seconds of an ask, the median over the seeds.
    """

    method: str
    curves: Mapping[int, NDArray[np.float64]]
    seconds: float

    @property
    def mean(self) -> NDArray[np.float64]:
        return np.mean(list(self.curves.values()), axis=0)

    @property
    def final(self) -> NDArray[np.float64]:
        """The regret of each seed at the end."""
        return np.array([curve[-1] for curve in self.curves.values()])

    @property
    def error(self) -> float:
        """The standard error of the mean regret at the end."""
        return float(self.final.std(ddof=1) / math.sqrt(len(self.final))) if len(self.final) > 1 else math.nan

    def reaches(self, regret: float) -> int | None:
        """The first trial at which the mean curve has this regret; None if it never has."""
        at = np.flatnonzero(self.mean <= regret)
        return int(at[0]) + 1 if len(at) else None

    def ratio(self, other: Score) -> float | None:
        """The mean regret at the end as a multiple of another method's, over the seeds of both."""
        both = sorted(set(self.curves) & set(other.curves))
        if not both:
            return None
        own, theirs = (float(np.mean([score.curves[s][-1] for s in both])) for score in (self, other))
        return own / theirs


def scores(entries: Iterable[Entry], table: str, trials: int, seeds: int) -> dict[str, Score]:
    """The methods on a table, best first."""
    grouped: dict[str, list[Entry]] = {}
    for e in entries:
        if e.table == table and e.trials >= trials and e.seed < seeds:
            grouped.setdefault(e.method, []).append(e)
    found = [
        Score(method, {e.seed: e.curve(trials) for e in own}, float(np.median([e.seconds for e in own])))
        for method, own in grouped.items()
    ]
    return {s.method: s for s in sorted(found, key=lambda s: float(s.mean[-1]))}


def best_stock(found: Mapping[str, Score]) -> Score | None:
    """The best other sampler, of those with enough seeds (or of all, if none has)."""
    others = [s for s in found.values() if s.method != KNOWN_COST]
    return next(iter([s for s in others if len(s.curves) >= FEW] or others), None)


@dataclass(frozen=True)
class Goal:
    """A figure and its limit. No figure: its runs are missing."""

    table: str
    text: str
    limit: float
    figure: float | None
    noted: str = ""

    @property
    def verdict(self) -> str:
        if self.figure is None:
            return "no runs"
        return "reached" if self.figure <= self.limit else "missed"


LIMITS: dict[str, dict[str, float]] = {
    "macro": {DEFAULT: 1 / 3, "nsga2": 1 / 3, "best": 0.7, "trials": 33},
    "nb201": {DEFAULT: 1 / 3, "nsga2": 1 / 3, "best": 0.5, "worst": 0.10, "trials": 33},
    "necks": {"best": 0.55, "trials": 40},
    "noisy necks": {"best": 0.6},
}


def goals(table: str, found: Mapping[str, Score]) -> list[Goal]:
    """The goals of a table."""
    ours, best, default = found.get(KNOWN_COST), best_stock(found), found.get(DEFAULT)
    listed = []
    for name, limit in LIMITS[table].items():
        figure: float | None = None
        noted = ""
        if name == "worst":
            text = "worst seed"
            figure = float(ours.final.max()) if ours else None
        elif name == "trials":
            text = f"trials until the mean curve reaches {DEFAULT} at the end"
            if ours and default:
                figure = ours.reaches(float(default.mean[-1])) or math.inf
        else:
            other = best if name == "best" else found.get(name)
            text = "regret as a share of " + ("the best stock sampler's" if name == "best" else name + "'s")
            if ours and other:
                figure = ours.ratio(other)
                noted = f"{other.method}, {len(set(ours.curves) & set(other.curves))} seeds"
        listed.append(Goal(table, text, limit, figure, noted))
    return listed


def rows(found: Mapping[str, Score]) -> list[str]:
    """The table as lines of text."""
    marks = _marks(found)
    heads = [f"@{m}" for m in marks]
    ours, default = found.get(KNOWN_COST), found.get(DEFAULT)
    head = f"  {'method':24}seeds " + "".join(f"{h:>7}" for h in heads)
    lines = [head + "   (se)   worst  ours/it  n to TPE  CPU s/ask"]
    for s in found.values():
        regrets = "".join(f"{s.mean[m - 1]:7.3f}" for m in marks)
        ratio = ours.ratio(s) if ours and s is not ours else None
        n = s.reaches(float(default.mean[-1])) if default else None
        lines.append(
            f"  {s.method:24}{len(s.curves):5} {regrets} ({s.error:.3f}) {s.final.max():7.3f}"
            f" {'' if ratio is None else f'{ratio:.2f}':>8} {n or '-':>9} {s.seconds:10.4f}"
        )
    return lines


def figures(found: Mapping[str, Score]) -> dict[str, Any]:
    """The table as plain values."""
    default = found.get(DEFAULT)
    return {
        s.method: {
            "seeds": len(s.curves),
            **{f"at_{m}": round(float(s.mean[m - 1]), 5) for m in _marks(found)},
            "error": None if math.isnan(s.error) else round(s.error, 5),
            "worst": float(s.final.max()),
            "trials_to_default_tpe": s.reaches(float(default.mean[-1])) if default else None,
            "cpu_seconds_per_ask": round(s.seconds, 5),
        }
        for s in found.values()
    }


def _marks(found: Mapping[str, Score]) -> list[int]:
    last = min((len(s.mean) for s in found.values()), default=0)
    return [*(m for m in MARKS if m < last), last]
