"""One supervisor hands out trials and writes down what comes back; which trials, its kinds decide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

from nas_attn.engine import Engine, Failure, Outcome, Task
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation
from nas_attn.space import Architecture
from nas_attn.study.base_run import ANEW
from nas_attn.study.folder import RunFolder
from nas_attn.study.records import wrong
from nas_attn.study.trial import Trial, next_number, numbered
from nas_attn.study.view import TRIAL_KINDS, Growing


class View(Growing, Protocol):
    """What a supervisor needs of a reader's view of its records."""

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial, in order of their numbers, which may have gaps."""
        ...


V = TypeVar("V", bound=View)
TIMES = 10  # longer than the base that no module takes, however slow: it hangs
LEAST_SECONDS = 600.0


class Supervisor(ABC, Generic[V]):
    """Keeps an engine busy with trials until there is none left to hand out.

    Args:
        folder: the run folder; its lease is held by the caller.
        engine: where trials run.
        trial_minutes: what a trial may take, where the user said it.
    """

    def __init__(self, folder: RunFolder, engine: Engine, trial_minutes: float | None = None) -> None:
        self.folder, self.engine, self._trial_minutes = folder, engine, trial_minutes
        records: list[dict[str, Any]] = list(folder.log.read())
        self._records: dict[int, list[dict[str, Any]]] = {}  # by the number of their trial
        for record in records:
            self._keep(record)
        self._view = self._read(records)
        self._running: set[int] = set()
        self._failed_before = {t.number for t in self._view.trials if t.state == "failed"}  # at an earlier start

    @property
    def view(self) -> V:
        """The study as of now."""
        return self._view

    # what a kind of supervisor decides

    @abstractmethod
    def _read(self, records: list[dict[str, Any]]) -> V:
        """The view that these records tell."""

    @abstractmethod
    def _next(self) -> Trial | None:
        """The trial to hand out now; None where there is none, or none before a running one has ended."""

    @abstractmethod
    def _task(self, trial: Trial) -> Task:
        """The call that trains a trial."""

    def _can_train(self, trial: Trial) -> bool:
        """True if this supervisor knows the trial's base model; a damaged log may name another."""
        return trial.model is None

    def _started(self, trial: Trial) -> None:
        """A trial was handed out."""

    def _ended(self, trial: Trial) -> None:
        """A trial ended, and its record is written."""

    # what they share

    def _work(self) -> None:
        while True:
            while self.engine.free and (trial := self._next()) is not None:
                self._running.add(trial.number)
                self.engine.submit(self._task(trial))
                self._started(trial)
            if not self._running:
                return
            if (outcome := self.engine.wait()) is not None:
                self._finish(outcome)

    def _limit(self, model: str | None = None) -> float | None:
        """Seconds that a trial may take: as said, or by the slowest base trial so far; None where there is none yet."""
        if self._trial_minutes is not None:
            return 60 * self._trial_minutes
        base = [t.evaluation for t in self._view.trials if t.role == "base" and t.model == model and t.evaluation]
        # what was continued from a checkpoint has its whole time in the parts
        took = [max(e.seconds, e.steps_seconds + e.val_seconds) for e in base]
        return max(LEAST_SECONDS, TIMES * max(took)) if took else None

    def _no_base(self, bases: Sequence[Trial], remedy: str = ANEW) -> EvaluationFailed:
        """The error that ends a study whose base trials all failed, with the reasons of this start if it has any."""
        told = [t for t in bases if t.number not in self._failed_before] or bases
        reasons = "; ".join(sorted({t.reason.rstrip(".") for t in told if t.reason})) or "no result"
        return EvaluationFailed(f"the base could not be trained: {reasons}. {remedy}")

    def _orphan(self) -> Trial | None:
        """A trial that an earlier process was stopped at."""
        stopped = (t for t in self._view.trials if t.state == "running" and t.number not in self._running)
        return next((t for t in stopped if self._can_train(t)), None)

    def _begin(self, role: str, architecture: Architecture, seed: int, cost: dict[str, float], **more: Any) -> Trial:
        """Record that a trial is handed out."""
        number = next_number(self._view.trials)
        self._append("started", number=number, role=role, architecture=str(architecture), seed=seed, cost=cost, **more)
        return self._trial(number)

    def _finish(self, outcome: Outcome) -> None:
        number, value = outcome.task.key, outcome.value
        self._running.discard(number)
        if isinstance(value, Failure):
            ended: dict[str, Any] = {"number": number, "state": "failed", "reason": value.reason}
        else:
            ended = {"number": number, "state": "complete", "evaluation": self._flagged(value).as_dict()}
            if (said := wrong({"kind": "finished", **ended})) is not None:  # no log may hold what no reader takes
                ended = {"number": number, "state": "failed", "reason": f"its result is none: {said}"}
        self._append("finished", **ended)
        self.folder.checkpoint(f"{number:04d}").unlink(missing_ok=True)
        self._ended(self._trial(number))

    def _flagged(self, evaluation: Evaluation) -> Evaluation:
        """Mark a run that another device or precision sets apart from the first of the study."""
        first = next((t.evaluation for t in self._view.trials if t.evaluation is not None), None)
        flags = evaluation.flags
        if first is not None and evaluation.device != first.device:
            flags += ("other device",)
        if first is not None and evaluation.precision != first.precision:
            flags += ("other precision",)
        return replace(evaluation, flags=flags)

    def _append(self, kind: str, **fields: Any) -> None:
        record = self.folder.log.append(kind, **fields)
        self._keep(record)
        self._view = self._view.grown(record)

    def _keep(self, record: dict[str, Any]) -> None:
        if record["kind"] in TRIAL_KINDS:
            self._records.setdefault(record["number"], []).append(record)

    def _trial(self, number: int) -> Trial:
        trial = numbered(self._view.trials, number)
        assert trial is not None  # it was recorded
        return trial
