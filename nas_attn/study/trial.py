"""Trials and candidates as plain values, built from a record log."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from nas_attn.cost.cost import true_names
from nas_attn.evaluate import Evaluation
from nas_attn.evaluate.evaluation import SPLIT
from nas_attn.evaluate.score import MAP, Score
from nas_attn.space import Architecture
from nas_attn.statistics.spread import moments
from nas_attn.study.record_kinds import parsed

TOGETHER = "trained together"  # flag of a trial in a group: it compares only with others of its kind


class Displayed:
    """A value that a notebook shows as its `repr`, as text."""

    def _repr_html_(self) -> str:
        return f"<div>{escape(repr(self))}</div>"


@dataclass(frozen=True, repr=False)
class Trial(Displayed):
    """One training of one architecture with one seed, or the refusal of an architecture.

    Attributes:
        number: number of the trial, from 0 upwards; numbers have gaps if lines of the log were removed.
        role: `base`, `conv` or `search`; `arm` for the other trials of an ablation.
        architecture: the gene at each slot.
        seed: the seed.
        state: `running`, `complete`, `stopped` (early), `failed` or `refused`.
        cost: `gmacs`, `gmacs_fvcore_default`, `gflops_torch`, `params_m` at the image size of the final training.
        evaluation: the result; None if the state is not `complete` or `stopped`.
        reason: the reason why it failed or was refused.
        delta: its score minus that of the base trial with the same seed; None if there is no such base trial.
        sampled: the sampler's `params` and `attributes` for the trial; empty for a control.
        violation: excess of a refused architecture over its limit, as a share of the limit.
        model: the base model, if an ablation uses another one than the study; else None.
        origin: the earlier study that trained it, and its number there; empty for a trial of this study.
        source: the same with the id of that study, which tells studies of one name apart.
        group: number of the first trial of its group, if several architectures are trained in one run; else None.
        scored_by: the score by which the study is read.
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
    origin: str = ""
    source: str = ""
    group: int | None = None
    scored_by: Score = MAP

    @property
    def score(self) -> float | None:
        """The score on val after the last epoch; None if there is none, or the trial was stopped early."""
        return self.scored_by.of(self.evaluation) if self.evaluation and self.stopped is None else None

    @property
    def test_score(self) -> float | None:
        """The score on the test split; None if it was not measured."""
        return self.scored_by.of(self.evaluation, "test") if self.evaluation else None

    @property
    def map50_95(self) -> float | None:
        """The mAP50-95 on val, whatever the score is; None as for `score`."""
        return self.evaluation.map50_95 if self.evaluation and self.stopped is None else None

    @property
    def gmacs(self) -> float:
        """Giga multiply-accumulates of the final model; NaN if the trial was refused before its cost was counted."""
        return self.cost.get("gmacs", math.nan)

    @property
    def usable(self) -> bool:
        """True if the trial may be compared: it is complete, has a score and no flags."""
        e = self.evaluation
        return self.state == "complete" and e is not None and e.comparable and self.scored_by.of(e) is not None

    @property
    def flags(self) -> tuple[str, ...]:
        """The reasons why its result does not compare: the flags of the evaluation, and a score without record."""
        if (e := self.evaluation) is None:
            return ()
        return e.flags if self.stopped is not None or self.score is not None else (*e.flags, self.without_score)

    @property
    def without_score(self) -> str:
        """The flag of a trial whose run did not record the score by which the study is read."""
        return f"{self.scored_by.words} not recorded"

    @property
    def together(self) -> bool:
        """True if it was trained in a group and has no other flags: it tells something, but it has no score."""
        e = self.evaluation
        return e is not None and e.together is not None and set(e.flags) <= {TOGETHER, SPLIT}

    @property
    def stopped(self) -> int | None:
        """The epoch after which the trial was stopped early; None if it was not, or has other flags, too."""
        return self.evaluation.stopped if self.evaluation else None

    def __hash__(self) -> int:
        return hash((self.number, self.architecture, self.seed))

    def __repr__(self) -> str:
        score = "" if self.score is None else f", {self.scored_by.words} {self.score:.4f}"
        return f"<trial {self.number}, {self.state}{score}, seed {self.seed}: {self.architecture}>"


@dataclass(frozen=True, repr=False)
class Candidate(Displayed):
    """One architecture with all its trials.

    Attributes:
        architecture: the architecture.
        role: `base`, `conv`, `search` or `arm`, as of its trials.
        trials: its trials.
        mean: mean score of its usable trials; None if there are none.
        sd: sample standard deviation of this score; None if there are fewer than two usable trials.
        delta: mean difference to the base trials with the same seeds, in the score; None if no seed is shared.
        delta_sd: sample standard deviation of these differences; None if there are fewer than two.
        score: the value by which candidates are compared: the base's mean over all its seeds, plus `delta`. Plain
            means over different seeds would compare seeds, not architectures. None if no seed is shared.
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
        """The architecture as text, which identifies the candidate everywhere."""
        return str(self.architecture)

    @property
    def state(self) -> str:
        """`usable` if it has a usable trial; else `stopped`, `together`, `flagged`, `running` or `failed`.

        With `together` it was trained in a group only, with `flagged` its trials are not comparable.
        """
        if self.mean is not None:
            return "usable"
        if any(t.stopped is not None for t in self.trials):
            return "stopped"
        if any(t.together for t in self.trials):
            return "together"
        states = {t.state for t in self.trials}
        return next((name for state, name in _OBSTACLES if state in states), "failed")

    @property
    def cost(self) -> dict[str, float]:
        """The cost of the architecture, as in `Trial.cost`."""
        return self.trials[0].cost

    @property
    def gmacs(self) -> float:
        """Giga multiply-accumulates of the final model."""
        return self.cost["gmacs"]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its usable trials."""
        return tuple(t.seed for t in self.trials if t.usable)

    def __hash__(self) -> int:
        return hash(self.architecture)

    def __repr__(self) -> str:
        score = self.state if self.mean is None else f"mean {self.trials[0].scored_by.words} {self.mean:.4f}"
        return f"<candidate {self.key}: {score}, {self.gmacs:.4f} GMACs, seeds {list(self.seeds)}>"


_OBSTACLES = (("complete", "flagged"), ("running", "running"))


def told(known: Trial | None, record: Mapping[str, Any], score: Score) -> Trial | None:
    """The trial after one more record with its number. A trial that exists is not started again or ended twice.

    Args:
        known: the trial before this record; None if the number is new.
        record: a record of kind `started`, `refused`, `finished` or `evidence`.
        score: the score by which the study is read.
    """
    if record["kind"] == "finished":
        if known is None or known.state != "running":
            return known
        data = record.get("evaluation")
        evaluation = Evaluation.from_dict(data) if data else None
        early = evaluation is not None and evaluation.stopped is not None
        state = "stopped" if early else record["state"]  # earlier releases read it as complete, with a flag
        return replace(known, state=state, evaluation=evaluation, reason=record.get("reason", ""))
    if known is None and record["kind"] == "evidence":
        ended = {"kind": "finished", "state": "complete", "evaluation": record["evaluation"]}
        return told(_begun(record, score), ended, score)
    return known if known is not None else _begun(record, score)


def _begun(record: Mapping[str, Any], score: Score) -> Trial:
    return Trial(
        number=record["number"],
        role=record["role"],
        architecture=parsed(record["architecture"]),
        seed=record["seed"],
        state="refused" if record["kind"] == "refused" else "running",
        cost=true_names(record["cost"]),
        reason=record.get("reason", ""),
        sampled=record.get("sampled") or {},
        violation=record.get("violation", 0.0),
        model=record.get("model"),
        origin=record.get("origin", ""),
        source=record.get("source", ""),
        group=record.get("group"),
        scored_by=score,
    )


def place(trials: Sequence[Trial], number: int) -> int:
    """The position of the trial with a number, or the position where it would be inserted.

    Args:
        trials: trials in the order of their numbers, which may have gaps.
        number: the number.
    """
    last = len(trials) - 1
    if 0 <= number <= last and trials[number].number == number:
        return number
    return bisect_left(trials, number, key=lambda t: t.number)


def numbered(trials: Sequence[Trial], number: int) -> Trial | None:
    """The trial with a number, or None; `trials` are in the order of their numbers."""
    at = place(trials, number)
    return trials[at] if at < len(trials) and trials[at].number == number else None


def next_number(trials: Sequence[Trial]) -> int:
    """The number for a new trial: one above the highest, so that it is new even if lines of the log were removed."""
    return trials[-1].number + 1 if trials else 0


def paired(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The trials, each with its difference to the base trial with the same seed."""
    trials = tuple(trials)
    base = {t.seed: t.score for t in trials if t.architecture.is_base and t.usable}
    return tuple(with_delta(t, base.get(t.seed)) for t in trials)


def with_delta(trial: Trial, reference: float | None) -> Trial:
    """The trial with its difference to the base.

    Args:
        trial: the trial.
        reference: score of the base with the same seed; None if there is none.
    """
    delta = None
    if trial.usable and not trial.architecture.is_base and reference is not None and trial.score is not None:
        delta = trial.score - reference
    return trial if trial.delta == delta else replace(trial, delta=delta)


def candidate_of(architecture: Architecture, trials: Sequence[Trial], reference: float | None) -> Candidate:
    """The candidate for an architecture.

    Args:
        architecture: the architecture.
        trials: all its trials, each with its `delta`.
        reference: mean score of the base over all its seeds; None if there is none.
    """
    values = [t.score for t in trials if t.usable and t.score is not None]
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


def barred(trial: Trial, max_gmacs: float | None, max_params: float | None) -> bool:
    """True for evidence of an earlier study over the limits: it tells something, but it cannot be picked.

    Args:
        trial: the trial.
        max_gmacs: limit in GMACs; None if there is none.
        max_params: limit in million parameters; None if there is none.
    """
    if not trial.origin or trial.architecture.is_base:
        return False
    limits = {"gmacs": max_gmacs, "params_m": max_params}
    return any(limit is not None and trial.cost[name] > limit for name, limit in limits.items())
