"""The Pareto front of a study, and choosing from it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas_attn.errors import UnknownName, UserError
from nas_attn.study.view import Candidate, StudyView

PICKS = ("best", "knee", "trial:N")


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other point dominates.

    A point dominates another when it has at least its mAP at no more cost and is strictly better in one of the two;
    so equal points are dominated together or not at all.

    Args:
        points: (mAP, gmacs) pairs; mAP up, gmacs down.

    Returns:
        Indices in order of cost, equal points in their given order.

    Raises:
        ValueError: a coordinate is NaN, which has no place in an order.
    """
    for i, point in enumerate(points):
        if any(math.isnan(v) for v in point):
            raise ValueError(f"`points` must hold numbers, but got {point!r} at {i}.")
    front: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][1], -points[i][0])):
        if not front or points[i][0] > points[front[-1]][0] or points[i] == points[front[-1]]:
            front.append(i)
    return front


def front(view: StudyView) -> list[Candidate]:
    """The non-dominated candidates by (score, gmacs), cheapest first.

    The score pairs each candidate with the base at equal seeds, see `Candidate`. Only usable trials count: failed,
    refused, running and flagged ones put nobody on the front.
    """
    usable = [(c, c.score) for c in view.candidates() if c.score is not None]
    return [usable[i][0] for i in pareto_front([(score, c.gmacs) for c, score in usable])]


def best(candidates: Sequence[Candidate], max_gmacs: float | None = None) -> Candidate:
    """The candidate of highest score; of equals, the cheapest.

    Args:
        candidates: a front.
        max_gmacs: leave out candidates that cost more.

    Raises:
        UserError: nothing is left.
    """
    return max(_affordable(candidates, max_gmacs), key=lambda c: (c.score, -c.gmacs))


def knee(candidates: Sequence[Candidate], max_gmacs: float | None = None) -> Candidate:
    """The candidate farthest above the chord between the front's ends, both axes scaled to [0, 1].

    From there on further cost buys little. Of equals, the cheapest; of one or two, the best.

    Args:
        candidates: a front, cheapest first.
        max_gmacs: leave out what costs more.

    Raises:
        UserError: nothing is left.
    """
    left = _affordable(candidates, max_gmacs)
    first, last = left[0], left[-1]
    rise, run = _score(last) - _score(first), last.gmacs - first.gmacs
    if len(left) < 3 or rise <= 0 or run <= 0:
        return best(left)
    # the signed height over the diagonal is √2 times the distance; a point below the chord is no knee
    return max(left, key=lambda c: ((_score(c) - _score(first)) / rise - (c.gmacs - first.gmacs) / run, -c.gmacs))


def pick(view: StudyView, spec: str, max_gmacs: float | None = None) -> Candidate:
    """The candidate that `spec` names.

    Args:
        view: the study.
        spec: `best` or `knee` of the front, or `trial:N` for the architecture of that trial, on the front or not.
        max_gmacs: leave out what costs more.

    Raises:
        UnknownName: `spec` is none of these.
        UserError: nothing fits, or the trial does not exist, was never trained or costs too much.
    """
    if spec in ("best", "knee"):
        choose = best if spec == "best" else knee
        return choose(front(view), max_gmacs)
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
            "the front must hold a candidate, but no trial is finished and comparable yet",
            remedy="Run the search longer; `report` lists what failed and why.",
        )
    left = [c for c in candidates if max_gmacs is None or c.gmacs <= max_gmacs]
    if not left:
        cheapest = min(c.gmacs for c in candidates)
        raise UserError(
            f"`--max-gmacs` must leave a candidate, and the cheapest here has {cheapest:.3f}",
            got=f"{max_gmacs:g}",
            where="--max-gmacs",
            remedy="Raise the limit.",
        )
    return left


def _score(candidate: Candidate) -> float:
    assert candidate.score is not None  # a front holds measured candidates only
    return candidate.score
