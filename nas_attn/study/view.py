"""A study as its readers see it: built from the record log, never written back. Needs neither torch nor optuna."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.cost.cost import true_names
from nas_attn.errors import UserError
from nas_attn.evaluate import Evaluation
from nas_attn.space import Architecture
from nas_attn.study.records import RecordLog

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Trial:
    """One training of one architecture with one seed, or one refusal.

    Attributes:
        number: position in the study, from 0; the same as the Optuna trial's.
        role: `base`, `conv` or `search`; `arm` for what else an ablation trains.
        state: `running`, `complete`, `failed` or `refused`.
        cost: `gmacs`, `gmacs_fvcore_default`, `gflops_torch`, `params_m` at the final training's image size.
        evaluation: what it found; None unless complete.
        reason: why it failed or was refused.
        sampled: the sampler's `params` and `attributes` for it; empty for a control.
        violation: by what share a refused architecture exceeds its limit.
        delta: its mAP50-95 minus that of the base trial of the same seed; None where there is none.
        model: the base model, where an ablation trained on another one than its study's.
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
        """Giga multiply-accumulates of the final model; NaN where a refusal came before any cost was known."""
        return self.cost.get("gmacs", math.nan)

    @property
    def usable(self) -> bool:
        """Whether it may be compared: complete and without flags."""
        return self.state == "complete" and self.evaluation is not None and self.evaluation.comparable


@dataclass(frozen=True)
class Candidate:
    """One architecture with all its trials.

    Attributes:
        mean: mean mAP50-95 of its usable trials; None without any.
        sd: sample standard deviation; None below two usable trials.
        delta: mean difference to the base trials of the same seeds; None where no seed is shared.
        delta_sd: sample standard deviation of these differences; None below two.
        score: what candidates are compared by: the base's mean over all its seeds, plus `delta`. A mean over other
            seeds than the base's would compare seeds, not architectures. None where no seed is shared.
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
        """What names it everywhere: the architecture as text."""
        return str(self.architecture)

    @property
    def state(self) -> str:
        """`usable`, or what stands in the way: `flagged` (results, none comparable), `running` or `failed`."""
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


@dataclass(frozen=True)
class StudyView:
    """Everything a reader may know of a study.

    Attributes:
        folder: the run folder.
        header: the `study` record: `name`, `config`, `base`, `slots`, `base_cost`, `fingerprints`, `version`.
        slots: the `slots` record: `intact`, `zeroed` (slot -> mAP50-95), `drop` (slot -> mAP50-95 lost), `live`,
            `searched`, `trials` (base trials measured); empty before the base is trained.
        trials: in order of their numbers.
    """

    folder: Path
    header: dict[str, Any]
    slots: dict[str, Any]
    trials: tuple[Trial, ...]

    @classmethod
    def read(cls, folder: Path) -> StudyView:
        """The study in a run folder as of now; safe while a search is writing.

        Raises:
            UserError: the folder holds no study.
        """
        log = RecordLog(folder)
        records = list(log.read())
        if not records or records[0]["kind"] != "study":
            raise UserError(
                "a run folder must hold a study",
                got=f"'{folder}'",
                remedy="Run `python -m nas_attn search` first, or name another study.",
            )
        return cls.of(folder, records)

    @classmethod
    def of(cls, folder: Path, records: Iterable[dict[str, Any]], model: str | None = None) -> StudyView:
        """The study that these records tell.

        Args:
            folder: the run folder.
            records: the record log.
            model: another base model of an ablation, whose trials are meant in place of those of the study's own.
        """
        header: dict[str, Any] = {}
        slots: dict[str, Any] = {}
        found: dict[int, dict[str, Any]] = {}
        for record in records:
            kind = record["kind"]
            if kind == "study":
                header = record
            elif kind == "target":
                header = {**header, "target": record["trials"]}
            elif kind == "model" and record["model"] == model:
                header = {**header, **record["header"]}
            elif kind == "slots" and record.get("model") == model:
                slots = record
            elif kind in ("started", "refused"):
                found[record["number"]] = {**record, "state": "running" if kind == "started" else "refused"}
            elif kind == "finished":
                found[record["number"]].update(record)
        trials = [t for n in sorted(found) if (t := _trial(found[n])).model == model]
        base = {t.seed: t.map50_95 for t in trials if t.architecture.is_base and t.usable}
        return cls(folder, header, slots, tuple(_with_delta(t, base) for t in trials))

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.header["name"]

    @property
    def target(self) -> int:
        """Number of trials that ends the study, as last asked for."""
        return self.header.get("target", self.header["config"]["trials"])

    @property
    def counted(self) -> int:
        """Trials that count toward `--trials`: all but refusals."""
        return sum(t.state != "refused" for t in self.trials)

    def trial(self, number: int) -> Trial:
        """The trial of that number.

        Raises:
            UserError: there is none.
        """
        for t in self.trials:
            if t.number == number:
                return t
        raise UserError("a trial must exist", got=f"trial:{number}", where=str(self.folder))

    def frame(self) -> pandas.DataFrame:
        """One row a trial, units in column names."""
        from nas_attn.study.frame import frame

        return frame(self)

    def candidates(self) -> list[Candidate]:
        """Architectures with at least one trained trial, in order of their first."""
        groups: dict[Architecture, list[Trial]] = {}
        for t in self.trials:
            if t.state != "refused":
                groups.setdefault(t.architecture, []).append(t)
        reference = self.reference  # it goes through all trials
        return [_candidate(a, ts, reference) for a, ts in groups.items()]

    @property
    def reference(self) -> float | None:
        """Mean mAP50-95 of the base over all its usable seeds; None before the first."""
        values = [t.map50_95 for t in self.trials if t.architecture.is_base and t.usable and t.map50_95 is not None]
        return math.fsum(values) / len(values) if values else None


_OBSTACLES = (("complete", "flagged"), ("running", "running"))


def _trial(record: dict[str, Any]) -> Trial:
    data = record.get("evaluation")
    return Trial(
        number=record["number"],
        role=record["role"],
        architecture=Architecture.parse(record["architecture"]),
        seed=record["seed"],
        state=record["state"],
        cost=true_names(record["cost"]),
        evaluation=Evaluation.from_dict(data) if data else None,
        reason=record.get("reason", ""),
        sampled=record.get("sampled") or {},
        violation=record.get("violation", 0.0),
        model=record.get("model"),
    )


def _with_delta(trial: Trial, base: dict[int, float | None]) -> Trial:
    reference = base.get(trial.seed)
    if not trial.usable or trial.architecture.is_base or reference is None or trial.map50_95 is None:
        return trial
    return replace(trial, delta=trial.map50_95 - reference)


def _candidate(architecture: Architecture, trials: list[Trial], reference: float | None) -> Candidate:
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


def moments(values: list[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation, as far as there are enough values."""
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
