"""One supervisor hands out trials and records their results; its kinds, search and ablation, decide which trials."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from nas_attn.engine import Call, Engine, Failure, Outcome
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation
from nas_attn.space import Architecture
from nas_attn.study.folder import Lease, RunFolder
from nas_attn.study.plan import Plan
from nas_attn.study.records import wrong
from nas_attn.study.trial import Trial, next_number, numbered
from nas_attn.study.view import TRIAL_KINDS, Growing


class View(Growing, Protocol):
    """The part of a reader's view of the records that a supervisor needs."""

    @property
    def header(self) -> dict[str, Any]:
        """The `study` record."""
        ...

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial, in order of their numbers, which may have gaps."""
        ...


class Told(Protocol):
    """The part of an observer that every supervisor needs."""

    def note(self, text: str) -> None:
        """Something that a person should read."""


V = TypeVar("V", bound=View)
ANEW = "Mend what stopped it, then give the same command again: the base is tried anew."
TIMES = 10  # longer than the base that no module takes, however slow: it hangs
LEAST_SECONDS = 600.0


@contextlib.contextmanager
def supervising(folder: RunFolder, above: int = 0) -> Iterator[None]:
    """Within, this process alone writes to a run folder, which it makes. Wrong input leaves nothing behind.

    Args:
        folder: the run folder; removed again if it was made here and nothing was recorded.
        above: number of folders above it that are removed with it, if they were made here too.

    Raises:
        UserError: the folder cannot be made or written to.
        StudyLocked: another process works there.
    """
    import torch

    made = [p for p in (folder.path, *folder.path.parents[:above]) if not p.exists()]
    threads = torch.get_num_threads()
    folder.create()
    try:
        with Lease(folder):
            folder.log.repair()
            torch.set_num_threads(1)  # the cores are the workers'; threads that wait for one another take them away
            yield
    finally:
        torch.set_num_threads(threads)
        if made and not folder.log.exists():
            for file in (folder.path / "lease", folder.database):
                file.unlink(missing_ok=True)
            for path in made:
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()


class Supervisor(ABC, Generic[V]):
    """Keeps an engine busy with trials until there is none left to hand out.

    Args:
        study: configuration, space, evaluator and fidelity.
        folder: the run folder; its lease is held by the caller.
        engine: runs the trials.
        observer: hears what happens.
    """

    def __init__(self, study: Plan, folder: RunFolder, engine: Engine, observer: Told) -> None:
        self.study, self.config = study, study.config
        self.folder, self.engine, self.observer = folder, engine, observer
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

    # decided by each kind of supervisor

    @abstractmethod
    def _read(self, records: list[dict[str, Any]]) -> V:
        """The view that these records tell."""

    @abstractmethod
    def _next(self) -> Trial | None:
        """The trial to hand out now; None if there is none, or none before a running one has ended."""

    @abstractmethod
    def _training(self, trial: Trial) -> tuple[Any, Architecture, bool]:
        """The evaluator of a trial, the architecture that it gets, and True if it measures the slots' liveness."""

    @abstractmethod
    def _write_slots(self, evaluations: Sequence[Evaluation]) -> None:
        """Record the liveness that trained bases show."""

    def _can_train(self, trial: Trial) -> bool:
        """True if this supervisor knows the trial's base model; a damaged log may name another."""
        return trial.model is None

    def _started(self, trial: Trial) -> None:
        """A trial was handed out."""

    def _ended(self, trial: Trial) -> None:
        """A trial ended, and its record is written."""

    # shared by them

    def _work(self) -> None:
        while True:
            while self.engine.free and (trial := self._next()) is not None:
                self._running.add(trial.number)
                self.engine.submit(self._call(trial))
                self._started(trial)
            if not self._running:
                return
            if (outcome := self.engine.wait()) is not None:
                self._finish(outcome)

    @property
    def _study_id(self) -> str:
        return str(self._view.header.get("id", ""))

    def _call(self, trial: Trial) -> Call:
        evaluator, architecture, liveness = self._training(trial)
        name = f"{trial.number:04d}"
        return Call(
            key=trial.number,
            function=evaluator,
            arguments=(architecture, self.study.fidelity, trial.seed),
            keywords={"checkpoint": self.folder.checkpoint(name), "liveness": liveness},
            result=self.folder.result(name),
            signature=f"{self._study_id}:{trial.number}:{trial.architecture}:{trial.seed}",
            limit=partial(self._limit, trial.model),
        )

    def _train_base(self, seed: int, slots: tuple[str, ...], measured: bool) -> None:
        """Train the base that every trial of `start: base` continues from; done once, and not counted as a trial.

        Args:
            seed: its seed.
            slots: the slots whose liveness is measured.
            measured: True if that was recorded already.

        Raises:
            EvaluationFailed: it could not be trained.
        """
        weights = self.folder.base_weights
        if measured and weights.exists():
            return
        if not weights.exists():
            self.folder.result("base").unlink(missing_ok=True)  # the weights are what trials need
        call = Call(
            key="base",
            function=self.study.evaluator.train_base,
            arguments=(self.study.fidelity, seed, weights),
            keywords={"checkpoint": self.folder.checkpoint("base"), "slots": slots},
            result=self.folder.result("base"),
            signature=f"{self._study_id}:base",
            limit=self._limit,
        )
        self.observer.note("Training the base once; every trial continues from it.")
        self.engine.submit(call)
        outcome = self.engine.wait()
        assert outcome is not None
        if isinstance(outcome.value, Failure):
            raise EvaluationFailed(f"the base could not be trained: {outcome.value.reason.rstrip('.')}. {ANEW}")
        if not measured:
            self._write_slots([outcome.value])

    def _limit(self, model: str | None = None) -> float | None:
        """Seconds that a trial may take: as said, or by the slowest base trial so far; None before there is one."""
        if self.config.trial_minutes is not None:
            return 60 * self.config.trial_minutes
        base = [t.evaluation for t in self._view.trials if t.role == "base" and t.model == model and t.evaluation]
        # a trial that was continued from a checkpoint has its whole time in the parts
        took = [max(e.seconds, e.steps_seconds + e.val_seconds) for e in base]
        return max(LEAST_SECONDS, TIMES * max(took)) if took else None

    def _no_base(self, bases: Sequence[Trial], remedy: str = ANEW) -> EvaluationFailed:
        """The error that ends a study whose base trials all failed, with the reasons of this start if it has any."""
        told = [t for t in bases if t.number not in self._failed_before] or bases
        reasons = "; ".join(sorted({t.reason.rstrip(".") for t in told if t.reason})) or "no result"
        return EvaluationFailed(f"the base could not be trained: {reasons}. {remedy}")

    def _orphan(self) -> Trial | None:
        """A trial that a process left running when it was stopped; None if there is none."""
        stopped = (t for t in self._view.trials if t.state == "running" and t.number not in self._running)
        return next((t for t in stopped if self._can_train(t)), None)

    def _begin(self, role: str, architecture: Architecture, seed: int, cost: dict[str, float], **more: Any) -> Trial:
        """Record that a trial is handed out."""
        number = next_number(self._view.trials)
        self._append("started", number=number, role=role, architecture=str(architecture), seed=seed, cost=cost, **more)
        return self._trial(number)

    def _finish(self, outcome: Outcome) -> None:
        number, value = outcome.call.key, outcome.value
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
