"""Trials and candidates: one training, and one architecture, as a record log tells them. Plain values."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nas_attn.cost.cost import true_names
from nas_attn.evaluate import Evaluation
from nas_attn.space import Architecture
from nas_attn.statistics.spread import moments
from nas_attn.study.record_kinds import parsed


@dataclass(frozen=True, repr=False)
class Trial:
    """One training of one architecture with one seed, or one refusal.

    Attributes:
        number: its name in its study, from 0 and ascending; there are gaps if lines of the log were removed.
        role: `base`, `conv` or `search`; `arm` for what else an ablation trains.
        state: `running`, `complete`, `failed` or `refused`.
        cost: `gmacs`, `gmacs_fvcore_default`, `gflops_torch`, `params_m` at the final training's image size.
        evaluation: its result; None unless complete.
        reason: why it failed or was refused.
        sampled: the sampler's `params` and `attributes` for it; empty for a control.
        violation: by what share a refused architecture exceeds its limit.
        delta: its mAP50-95 minus that of the base trial of the same seed; None if there is none.
        model: the base model, if an ablation trained on another one than its study's.
    """

    number: int
    role: str
    architecture: Architecture
    seed: int
    state: str
    cost: dict[str, float]
    evaluation: Evaluation | None = None
    reason: str = ""
    delta: float | None = None
    sampled: dict[str, Any] = field(default_factory=dict)
    violation: float = 0.0
    model: str | None = None

    @property
    def map50_95(self) -> float | None:
        """mAP50-95 on val, or None."""
        return self.evaluation.map50_95 if self.evaluation else None

    @property
    def gmacs(self) -> float:
        """Giga multiply-accumulates of the final model; NaN if a refusal came before any cost was known."""
        return self.cost.get("gmacs", math.nan)

    @property
    def usable(self) -> bool:
        """True if it may be compared: complete and without flags."""
        return self.state == "complete" and self.evaluation is not None and self.evaluation.comparable

    def __repr__(self) -> str:
        score = "" if self.map50_95 is None else f", mAP50-95 {self.map50_95:.4f}"
        return f"<trial {self.number}, {self.state}{score}, seed {self.seed}: {self.architecture}>"


@dataclass(frozen=True, repr=False)
class Candidate:
    """One architecture with all its trials.

    Attributes:
        mean: mean mAP50-95 of its usable trials; None without any.
        sd: sample standard deviation; None below two usable trials.
        delta: mean difference to the base trials of the same seeds; None if no seed is shared.
        delta_sd: sample standard deviation of these differences; None below two.
        score: the number by which candidates are compared: the base's mean over all its seeds, plus `delta`. A mean
            over other seeds than the base's would compare seeds, not architectures. None if no seed is shared.
    """

    architecture: Architecture
    role: str
    trials: tuple[Trial, ...]
    mean: float | None
    sd: float | None
    delta: float | None
    delta_sd: float | None
    score: float | None

    @property
    def key(self) -> str:
        """Its name everywhere: the architecture as text."""
        return str(self.architecture)

    @property
    def state(self) -> str:
        """`usable`, or the obstacle: `flagged` (results, none comparable), `running` or `failed`."""
        if self.score is not None:
            return "usable"
        states = {t.state for t in self.trials}
        return next((name for state, name in _OBSTACLES if state in states), "failed")

    @property
    def cost(self) -> dict[str, float]:
        """The same for all its trials."""
        return self.trials[0].cost

    @property
    def gmacs(self) -> float:
        """Giga multiply-accumulates of the final model."""
        return self.cost["gmacs"]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of its usable trials."""
        return tuple(t.seed for t in self.trials if t.usable)

    def __repr__(self) -> str:
        delta = "" if self.delta is None or self.architecture.is_base else f", {self.delta:+.4f} to the base"
        score = self.state if self.score is None else f"mAP50-95 {self.score:.4f}{delta}"
        return f"<candidate {self.key}: {score}, {self.gmacs:.4f} GMACs, seeds {list(self.seeds)}>"


_OBSTACLES = (("complete", "flagged"), ("running", "running"))


def told(known: Trial | None, record: Mapping[str, Any]) -> Trial | None:
    """The trial after one more record of its number; a number is given once, and an ended trial stays as it is.

    Args:
        known: the trial before; None if the number is new.
        record: of kind `started`, `refused` or `finished`.
    """
    if record["kind"] == "finished":
        if known is None or known.state != "running":
            return known
        data = record.get("evaluation")
        evaluation = Evaluation.from_dict(data) if data else None
        return replace(known, state=record["state"], evaluation=evaluation, reason=record.get("reason", ""))
    return known if known is not None else _begun(record)


def _begun(record: Mapping[str, Any]) -> Trial:
    return Trial(
        number=record["number"],
        role=record["role"],
        architecture=parsed(record["architecture"]),
        seed=record["seed"],
        state="running" if record["kind"] == "started" else "refused",
        cost=true_names(record["cost"]),
        reason=record.get("reason", ""),
        sampled=record.get("sampled") or {},
        violation=record.get("violation", 0.0),
        model=record.get("model"),
    )


def place(trials: Sequence[Trial], number: int) -> int:
    """The position of a number among trials in order of theirs, or the one it would have: numbers may have gaps."""
    last = len(trials) - 1
    if 0 <= number <= last and trials[number].number == number:
        return number
    return bisect_left(trials, number, key=lambda t: t.number)


def numbered(trials: Sequence[Trial], number: int) -> Trial | None:
    """The trial of that number among trials in order of theirs; None if there is none."""
    at = place(trials, number)
    return trials[at] if at < len(trials) and trials[at].number == number else None


def next_number(trials: Sequence[Trial]) -> int:
    """The number of a new trial: one above the highest, so that none is given twice if lines were removed."""
    return trials[-1].number + 1 if trials else 0


def paired(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The trials, each with its difference to the base trial of the same seed."""
    trials = tuple(trials)
    base = {t.seed: t.map50_95 for t in trials if t.architecture.is_base and t.usable}
    return tuple(with_delta(t, base.get(t.seed)) for t in trials)


def with_delta(trial: Trial, reference: float | None) -> Trial:
    """The trial with its difference to the base's score `reference` on its seed; None if the base has none."""
    delta = None
    if trial.usable and not trial.architecture.is_base and reference is not None and trial.map50_95 is not None:
        delta = trial.map50_95 - reference
    return trial if trial.delta == delta else replace(trial, delta=delta)


def candidate_of(architecture: Architecture, trials: Sequence[Trial], reference: float | None) -> Candidate:
    """The candidate that trials of one architecture make, scored against the base's mean `reference`."""
    values = [t.map50_95 for t in trials if t.usable and t.map50_95 is not None]
    deltas = [t.delta for t in trials if t.delta is not None]
    mean, sd = moments(values)
    delta, delta_sd = moments(deltas)
    role = next((t.role for t in trials if t.role != "search"), "search")
    score = None
    if reference is not None and architecture.is_base:
        score = reference
    elif reference is not None and delta is not None:
        score = reference + delta
    return Candidate(architecture, role, tuple(trials), mean, sd, delta, delta_sd, score)
