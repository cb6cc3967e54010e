"""The numbers of the figures as plain data; `analysis/figures.py` draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas_attn.analysis.front import front
from nas_attn.analysis.noise import Noise, noise, verdict
from nas_attn.space import NONE, Architecture
from nas_attn.study.view import Candidate, StudyView

LIVE_THRESHOLD = 0.003  # for a study that does not record one


@dataclass(frozen=True)
class Point:
    """One candidate in the Pareto plot.

    Attributes:
        key: the architecture as text; clicks find the candidate by it.
        group: `base`, `conv control`, the only module that it uses, or `mixed`.
        state: `usable`, `flagged` or `failed`.
        gmacs: cost of the final model, giga multiply-accumulates.
        map50_95: paired mAP50-95 on val, or the mean of a flagged candidate; None if it failed.
        sd: standard deviation over seeds; None below two seeds.
        seeds: seeds of the runs shown.
        delta: mean difference to the base at equal seeds; None if no seed is shared.
        verdict: its verdict in words; if it is not usable, the reason.
        on_front: True if no other candidate dominates it.
    """

    key: str
    group: str
    state: str
    gmacs: float
    map50_95: float | None
    sd: float | None
    seeds: tuple[int, ...]
    delta: float | None
    verdict: str
    on_front: bool


@dataclass(frozen=True)
class ParetoNumbers:
    """The numbers of the Pareto plot.

    Attributes:
        points: the candidates that have ended, in the order of their first trials.
        front: keys of the front, cheapest first.
        groups: groups of the points, in the order of appearance, so that a live plot keeps its colours.
        base_map50_95: mean of the base on val.
        noise: largest difference in mAP50-95 of one paired run that seed noise explains; None without an estimate.
    """

    points: tuple[Point, ...]
    front: tuple[str, ...]
    groups: tuple[str, ...]
    base_map50_95: float | None
    noise: float | None


@dataclass(frozen=True)
class Curve:
    """The learning curve of one trial.

    Attributes:
        label: its name, e.g. `candidate, seed 0`.
        number: number of the trial.
        seed: seed of the trial.
        is_base: True if it is a trial of the base.
        loss: (epoch, training loss).
        map50_95: (epoch, mAP50-95 on val), for the validated epochs.
    """

    label: str
    number: int
    seed: int
    is_base: bool
    loss: tuple[tuple[float, float], ...]
    map50_95: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class CurveNumbers:
    """The learning curves of one candidate, and of the base trials with the same seeds."""

    key: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class LivenessNumbers:
    """The liveness of each slot: the mAP50-95 that is lost if its output is set to zero.

    Attributes:
        drop: (slot, mAP50-95 lost), in the study's order.
        live: the live slots.
        threshold: least loss of a live slot, mAP50-95.
        intact: mAP50-95 of the unchanged base.
    """

    drop: tuple[tuple[str, float], ...]
    live: tuple[str, ...]
    threshold: float
    intact: float | None


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
    estimate = noise(view)
    keys = tuple(c.key for c in front(view))
    ended = [c for c in view.candidates() if c.state != "running"]
    points = tuple(_point(c, estimate, c.key in keys) for c in ended)
    base = next((c for c in ended if c.architecture.is_base), None)
    return ParetoNumbers(
        points,
        keys,
        tuple(dict.fromkeys(p.group for p in points)),
        base.score if base else None,
        estimate.threshold() if estimate else None,
    )


def curve_numbers(view: StudyView, candidate: Candidate) -> CurveNumbers:
    """The curves of the candidate's complete trials and of the base trials with the same seeds."""
    own = [t for t in candidate.trials if t.evaluation]
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
                _series(trial.evaluation.curve, "map50_95"),
            )
        )
    return CurveNumbers(candidate.key, tuple(curves))


def liveness_numbers(view: StudyView) -> LivenessNumbers | None:
    """The liveness of each slot; None before it is measured."""
    if not view.slots.get("drop"):
        return None
    return LivenessNumbers(
        tuple((slot, float(lost)) for slot, lost in view.slots["drop"].items()),
        tuple(view.slots.get("live", ())),
        float(view.header.get("config", {}).get("live_threshold", LIVE_THRESHOLD)),
        view.slots.get("intact"),
    )


def _point(candidate: Candidate, estimate: Noise | None, on_front: bool) -> Point:
    shown = [t for t in candidate.trials if t.evaluation and (t.usable or candidate.state == "flagged")]
    values = [t.map50_95 for t in shown if t.map50_95 is not None]
    if candidate.state == "flagged":
        flags = dict.fromkeys(f for t in shown if t.evaluation for f in t.evaluation.flags)
        words = f"not comparable: {', '.join(flags)}"
    elif candidate.state == "failed":
        words = f"failed: {candidate.trials[-1].reason}"
    else:
        words = "the base itself" if candidate.architecture.is_base else verdict(candidate, estimate)
    return Point(
        candidate.key,
        module_group(candidate.architecture, candidate.role),
        candidate.state,
        candidate.gmacs,
        candidate.score if candidate.score is not None else math.fsum(values) / len(values) if values else None,
        candidate.sd if candidate.architecture.is_base else candidate.delta_sd,
        tuple(t.seed for t in shown),
        candidate.delta,
        words,
        on_front,
    )


def _series(curve: tuple[dict[str, float], ...], name: str) -> tuple[tuple[float, float], ...]:
    return tuple((row["epoch"], row[name]) for row in curve if row.get(name) is not None)
