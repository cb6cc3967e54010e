"""The Pareto front of a study, and the pick of a candidate from it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas_attn.errors import UnknownName, UserError
from nas_attn.study.view import Candidate, StudyView

PLAIN = ("none", "conv")  # modules without attention
PICKS = ("best", "knee", "trial:N")


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other point dominates.

    A point dominates another one if its mAP is not lower, its cost is not higher, and one of the two is better. So two
    equal points never dominate each other.

    Args:
        points: pairs (mAP, gmacs); high mAP and low gmacs are good.

    Returns:
        Indices in order of cost; equal points keep their given order.

    Raises:
        ValueError: a coordinate is NaN, which cannot be ordered.
    """
    for i, point in enumerate(points):
        if any(math.isnan(v) for v in point):
            raise ValueError(f"`points` must hold numbers, but got {point!r} at {i}.")
    front: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0])):
        if not front or points[i][0] > points[front[-1]][0] or points[i] == points[front[-1]]:
            front.append(i)
    return front


def front(view: StudyView, *, attention: bool = False) -> list[Candidate]:
    """The candidates that no other dominates in (score, gmacs), the cheapest first.

    The score is the paired mAP50-95, see `Candidate`. It counts usable trials only: failed, refused, running and
    flagged trials cannot put a candidate on the front.

    Args:
        view: the study.
        attention: leave out candidates without attention: the base, and plain convolutions alone.
    """
    asked = [c for c in view.candidates() if not attention or any(g.module not in PLAIN for _, g in c.architecture)]
    usable = [(c, c.score) for c in asked if c.score is not None]
    return [usable[i][0] for i in pareto_front([(score, c.gmacs) for c, score in usable])]


def best(candidates: Sequence[Candidate], max_gmacs: float | None = None) -> Candidate:
    """The candidate with the highest score, and the cheapest one of equal scores.

    Args:
        candidates: a front.
        max_gmacs: leave out candidates with more GMACs.

    Raises:
        UserError: no candidate is left.
    """
    return max(_affordable(candidates, max_gmacs), key=lambda c: (c.score, -c.gmacs))


def knee(candidates: Sequence[Candidate], max_gmacs: float | None = None) -> Candidate:
    """The knee of a front: the candidate farthest above the line between its two ends, both axes scaled to [0, 1].

    Beyond the knee, more cost gains little mAP. Of equal candidates, the cheapest is taken. A front of one or two has
    no knee; the best is taken.

    Args:
        candidates: a front, cheapest first.
        max_gmacs: leave out candidates with more GMACs.

    Raises:
        UserError: no candidate is left.
    """
    left = _affordable(candidates, max_gmacs)
    first, last = left[0], left[-1]
    rise, run = _score(last) - _score(first), last.gmacs - first.gmacs
    if len(left) < 3 or rise <= 0 or run <= 0:
        return best(left)
    # the signed height above the line is √2 times the distance; a point below the line is no knee
    return max(left, key=lambda c: ((_score(c) - _score(first)) / rise - (c.gmacs - first.gmacs) / run, -c.gmacs))


def pick(view: StudyView, spec: str, max_gmacs: float | None = None, *, attention: bool = False) -> Candidate:
    """The candidate that `spec` names.

    Args:
        view: the study.
        spec: `best` or `knee` of the front, or `trial:N` for the architecture of that trial, on the front or not.
        max_gmacs: leave out candidates with more GMACs.
        attention: `best` and `knee` of the front of candidates with attention.

    Raises:
        UnknownName: `spec` has another form.
        UserError: no candidate is left; or the trial does not exist, was not trained or costs too much.
    """
    if spec in ("best", "knee"):
        choose = best if spec == "best" else knee
        return choose(front(view, attention=attention), max_gmacs)
    kind, sign, number = spec.partition(":")
    if kind != "trial" or not sign:
        raise UnknownName("pick", spec, PICKS, where="--pick")
    if not number.strip().isdecimal():
        raise UserError("`trial:N` must name a trial by its number", got=f"'{spec}'", where="--pick")
    trial = view.trial(int(number))
    if trial.state == "refused":
        raise UserError(
            "a picked trial must have been trained",
            got=f"trial:{trial.number}, refused: {trial.reason}",
            where="--pick",
            remedy="Pick `best`, `knee` or another trial.",
        )
    found = next(c for c in view.candidates() if c.architecture == trial.architecture)
    return _affordable([found], max_gmacs)[0]


def _affordable(candidates: Sequence[Candidate], max_gmacs: float | None) -> Sequence[Candidate]:
    if not candidates:
        raise UserError(
            "the front has no candidate: no trial is complete and comparable yet",
            remedy="Continue the search; `report` lists failed trials with their reasons.",
        )
    left = [c for c in candidates if max_gmacs is None or c.gmacs <= max_gmacs]
    if not left:
        cheapest = min(c.gmacs for c in candidates)
        raise UserError(
            f"`--max-gmacs` must be at least {cheapest:.3f}, the GMACs of the cheapest candidate",
            got=f"{max_gmacs:g}",
            where="--max-gmacs",
            remedy="Raise the limit.",
        )
    return left


def _score(candidate: Candidate) -> float:
    assert candidate.score is not None  # a front has only candidates with a score
    return candidate.score
