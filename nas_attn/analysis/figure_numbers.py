"""The numbers of the figures as plain data; `analysis/figures.py` draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas_attn.evaluate.score import MAP, Score
from nas_attn.space import NONE, Architecture
from nas_attn.study.view import Candidate, StudyView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nas_attn.analysis.posterior import StudyPosterior
    from nas_attn.study.training_loss import Predicted

LIVE_THRESHOLD = 0.003  # for a study that does not record one


@dataclass(frozen=True)
class Point:
    """One candidate in the Pareto plot.

    Attributes:
        key: the architecture as text; clicks find the candidate by it.
        group: `base`, `conv control`, the only module that it uses, or `mixed`.
        state: `usable`, `stopped`, `flagged` or `failed`.
        gmacs: cost of the final model, giga multiply-accumulates.
        score: estimated score on val; the mean of a flagged candidate, the expected end of a stopped one; None
            if it failed.
        low, high: 95 % interval of its difference to the base, added to the base; None without a posterior.
        mean: plain mean over its runs, in the score; None if it failed.
        seeds: seeds of the runs shown.
        delta: estimated difference to the base; None without a posterior.
        front: probability that it is on the front; None without a posterior.
        verdict: its verdict in words; if it is not usable, the reason.
        on_front: True if no other candidate dominates it.
    """

    key: str
    group: str
    state: str
    gmacs: float
    score: float | None
    low: float | None
    high: float | None
    mean: float | None
    seeds: tuple[int, ...]
    delta: float | None
    front: float | None
    verdict: str
    on_front: bool


@dataclass(frozen=True)
class ParetoNumbers:
    """The numbers of the Pareto plot.

    Attributes:
        points: the candidates that have ended, in the order of their first trials.
        front: keys of the front, cheapest first.
        groups: groups of the points, in the order of appearance, so that a live plot keeps its colours.
        base_score: estimated score of the base on val; None if it has no usable trial.
        noise: standard deviation of one run, in the score; None without a posterior.
        scored_by: the score.
    """

    points: tuple[Point, ...]
    front: tuple[str, ...]
    groups: tuple[str, ...]
    base_score: float | None
    noise: float | None
    scored_by: Score = MAP


@dataclass(frozen=True)
class Curve:
    """The learning curve of one trial.

    Attributes:
        label: its name, e.g. `candidate, seed 0`.
        number: number of the trial.
        seed: seed of the trial.
        is_base: True if it is a trial of the base.
        loss: (epoch, training loss).
        score: (epoch, score on val), for the validated epochs.
    """

    label: str
    number: int
    seed: int
    is_base: bool
    loss: tuple[tuple[float, float], ...]
    score: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class CurveNumbers:
    """The learning curves of one candidate, and of the base trials with the same seeds.

    Attributes:
        key: the architecture as text.
        curves: the curves.
        scored_by: the score that they show. The AP of a class is not in curves: there it is the mAP50-95.
    """

    key: str
    curves: tuple[Curve, ...]
    scored_by: Score = MAP


@dataclass(frozen=True)
class LivenessNumbers:
    """The liveness of each slot: the score that is lost if its output is set to zero, see `Score.of_a_slot`.

    Attributes:
        drop: (slot, score lost), in the study's order.
        live: the live slots.
        threshold: least loss of a live slot.
        intact: score of the unchanged base.
        scored_by: the score.
    """

    drop: tuple[tuple[str, float], ...]
    live: tuple[str, ...]
    threshold: float
    intact: float | None
    scored_by: Score = MAP


def module_group(architecture: Architecture, role: str = "search") -> str:
    """The group of an architecture: `base`, `conv control`, the only module that it uses, or `mixed`."""
    modules = {gene.module for _, gene in architecture if gene != NONE}
    if not modules:
        return "base"
    if role == "conv":
        return "conv control"
    return modules.pop() if len(modules) == 1 else "mixed"


def pareto_numbers(view: StudyView) -> ParetoNumbers:
    """The numbers of all candidates that have ended, of the front, and of the base with its noise."""
    from nas_attn.analysis.front import front
    from nas_attn.analysis.posterior import posterior
    from nas_attn.study.training_loss import predicted

    found = posterior(view)
    keys = tuple(c.key for c in front(view))
    ended = [c for c in view.candidates() if c.state != "running"]
    ends = predicted(view.trials)
    grouped = [c.architecture for c in ended if c.state == "together"]
    expected = dict(zip(grouped, found.expected(grouped), strict=True)) if found is not None else {}
    points = tuple(_point(c, found, c.key in keys, ends, expected.get(c.architecture)) for c in ended)
    usable = (p for p, c in zip(points, ended, strict=True) if c.architecture.is_base and p.state == "usable")
    base = next(usable, None)
    return ParetoNumbers(
        points,
        keys,
        tuple(dict.fromkeys(p.group for p in points)),
        base.score if base else None,
        found.noise.mean if found else None,
        view.score,
    )


def curve_numbers(view: StudyView, candidate: Candidate) -> CurveNumbers:
    """The curves of the candidate's complete trials and of the base trials with the same seeds."""
    own = [t for t in candidate.trials if t.evaluation]
    score = view.score if view.score.class_name is None else MAP
    seeds = {t.seed for t in own}
    base = [t for t in view.trials if t.architecture.is_base and t.evaluation and t.seed in seeds and t not in own]
    curves = []
    for trial, is_base in [(t, candidate.architecture.is_base) for t in own] + [(t, True) for t in base]:
        assert trial.evaluation is not None
        curves.append(
            Curve(
                f"{'base' if is_base else 'candidate'}, seed {trial.seed}",
                trial.number,
                trial.seed,
                is_base,
                _series(trial.evaluation.curve, "loss"),
                _series(trial.evaluation.curve, score.name),
            )
        )
    return CurveNumbers(candidate.key, tuple(curves), score)


def liveness_numbers(view: StudyView) -> LivenessNumbers | None:
    """The liveness of each slot; None before it is measured."""
    if not view.slots.get("drop"):
        return None
    return LivenessNumbers(
        tuple((slot, float(lost)) for slot, lost in view.slots["drop"].items()),
        tuple(view.slots.get("live", ())),
        float(view.header.get("config", {}).get("live_threshold", LIVE_THRESHOLD)),
        view.slots.get("intact"),
        view.searched_by.of_a_slot,
    )


def _point(
    candidate: Candidate,
    found: StudyPosterior | None,
    on_front: bool,
    ends: Mapping[int, Predicted],
    expected: float | None,
) -> Point:
    from nas_attn.analysis.posterior import verdict

    shown = [t for t in candidate.trials if t.evaluation and (t.usable or candidate.state != "usable")]
    values = [t.score for t in shown if t.score is not None]
    if candidate.state == "stopped":
        shown = [t for t in shown if t.stopped is not None]
        values = [ends[t.number].value for t in shown if t.number in ends]
        words = f"stopped after epoch {shown[0].stopped}: it would have stayed below the front"
    elif candidate.state == "together":
        values = [] if expected is None else [expected]
        words = "trained together with others only: a run of its own decides"
    elif candidate.state == "flagged":
        flags = dict.fromkeys(f for t in shown for f in t.flags)
        words = f"not comparable: {', '.join(flags)}"
    elif candidate.state == "failed":
        words = f"failed: {candidate.trials[-1].reason}"
    else:
        words = "the base itself" if candidate.architecture.is_base else verdict(candidate, found)
    mean = math.fsum(values) / len(values) if values else None
    at = found.index(candidate) if found is not None else None
    own: tuple[float | None, ...] = (mean, None, None, None, None)
    if found is not None and at is not None:
        d, estimate = found.differences[at], float(found.means[at])
        own = (estimate, estimate + d.low - d.mean, estimate + d.high - d.mean, d.mean, float(found.on_front[at]))
    estimate_, low, high, delta, front_ = own
    return Point(
        candidate.key,
        module_group(candidate.architecture, candidate.role),
        candidate.state,
        candidate.gmacs,
        estimate_,
        low,
        high,
        mean,
        tuple(t.seed for t in shown),
        delta,
        front_,
        words,
        on_front,
    )


def _series(curve: tuple[dict[str, float], ...], name: str) -> tuple[tuple[float, float], ...]:
    return tuple((row["epoch"], row[name]) for row in curve if row.get(name) is not None)
