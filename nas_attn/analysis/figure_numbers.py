"""The numbers behind the figures, as plain data: computed once, testable, drawn by `analysis/figures.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas_attn.analysis.front import front
from nas_attn.analysis.noise import Noise, noise, verdict
from nas_attn.space import NONE, Architecture
from nas_attn.study.view import Candidate, StudyView

LIVE_THRESHOLD = 0.003  # of a study that does not record it


@dataclass(frozen=True)
class Point:
    """One candidate in the Pareto plot.

    Attributes:
        key: the architecture as text; a click on the point finds it.
        group: `base`, `conv control`, the one module it uses, or `mixed`.
        state: `usable`, `flagged` or `failed`.
        gmacs: cost of the final model, giga multiply-accumulates.
        map50_95: mean on val; for a failed candidate None.
        sd: standard deviation over seeds; None below two.
        seeds: seeds of the runs shown.
        delta: mean difference to the base of the same seeds.
        verdict: the same in words; of a candidate that is not usable, the reason.
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
    """The Pareto plot.

    Attributes:
        points: candidates that ended, in order of their first trial.
        front: keys of the front, cheapest first.
        groups: the points' groups in order of first appearance, so that a live plot keeps its colours.
        base_map50_95: mean of the base on val.
        noise: half-width in mAP50-95 of the differences that seed noise explains in one paired run.
    """

    points: tuple[Point, ...]
    front: tuple[str, ...]
    groups: tuple[str, ...]
    base_map50_95: float | None
    noise: float | None


@dataclass(frozen=True)
class Curve:
    """One trial's training.

    Attributes:
        label: e.g. `candidate, seed 0`.
        number: the trial.
        seed: its seed.
        is_base: True if it is the reference.
        loss: (epoch, training loss).
        map50_95: (epoch, mAP50-95 on val) of the epochs that were validated.
    """

    label: str
    number: int
    seed: int
    is_base: bool
    loss: tuple[tuple[float, float], ...]
    map50_95: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class CurveNumbers:
    """Learning curves of one candidate and of the base trials of the same seeds."""

    key: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class LivenessNumbers:
    """mAP50-95 lost when a slot's output is zeroed.

    Attributes:
        drop: (slot, mAP50-95 lost), in the study's order.
        live: the live slots.
        threshold: mAP50-95 that a live slot loses at least.
        intact: mAP50-95 of the untouched base.
    """

    drop: tuple[tuple[str, float], ...]
    live: tuple[str, ...]
    threshold: float
    intact: float | None


def module_group(architecture: Architecture, role: str = "search") -> str:
    """`base`, `conv control`, the one module an architecture uses, or `mixed`."""
    modules = {gene.module for _, gene in architecture if gene != NONE}
    if not modules:
        return "base"
    if role == "conv":
        return "conv control"
    return modules.pop() if len(modules) == 1 else "mixed"


def pareto_numbers(view: StudyView) -> ParetoNumbers:
    """Every candidate that ended, the front, the base and the noise around it."""
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
    """The candidate's finished trials and, for comparison, the base's of the same seeds."""
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
    """The mAP50-95 that each slot is worth to the trained base; None until that is measured."""
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
