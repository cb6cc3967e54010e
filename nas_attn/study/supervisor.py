"""The supervisor: it hands trials to an engine and records their results. Searches and ablations choose the trials."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from nas_attn.engine import Call, Engine, Failure, Outcome, awaited
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation
from nas_attn.pulse import Reached
from nas_attn.space import Architecture
from nas_attn.study.folder import Lease, RunFolder
from nas_attn.study.plan import Plan
from nas_attn.study.records import wrong
from nas_attn.study.trial import TOGETHER, Trial, next_number, numbered
from nas_attn.study.view import TRIAL_KINDS, Growing


class View(Growing, Protocol):
    """The part of a view of the records that a supervisor needs."""

    @property
    def header(self) -> dict[str, Any]:
        """The `study` record."""
        ...

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials in the order of their numbers; the numbers may have gaps."""
        ...


class Told(Protocol):
    """The part of an observer that every supervisor needs."""

    def preparing(self, what: str) -> None:
        """Called when a step begins that is no trial, and while it goes on."""

    def progress(self, view: Any, places: Mapping[int, Reached]) -> None:
        """Called once a second with the places of running trials: number -> place."""

    def note(self, text: str) -> None:
        """Called with a text that the user should read."""


V = TypeVar("V", bound=View)
ANEW = "Fix the cause, then give the same command again: it trains the base again."
TIMES = 10  # times the base's time; even the slowest module needs less, so such a trial hangs
LEAST_SECONDS = 600.0


@contextlib.contextmanager
def supervising(folder: RunFolder, above: int = 0) -> Iterator[None]:
    """A context in which only this process may write to a run folder. The folder is made if it is missing.

    A new folder is removed at the end if nothing was recorded, so that wrong input leaves nothing behind.

    Args:
        folder: the run folder.
        above: number of parent folders that are removed, too, if they were also made here.

    Raises:
        UserError: the folder cannot be made or written to.
        StudyLocked: another process works in the folder.
    """
    import torch

    made = [p for p in (folder.path, *folder.path.parents[:above]) if not p.exists()]
    threads = torch.get_num_threads()
    folder.create()
    try:
        with Lease(folder):
            folder.log.repair()
            torch.set_num_threads(1)  # the workers need the cores; waiting threads would occupy them
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
    """Keeps an engine busy with trials until no trial is left.

    Args:
        study: the plan: configuration, space, evaluator and fidelity.
        folder: the run folder; the caller holds its lease.
        engine: runs the trials.
        observer: receives notes for the user.
    """

    def __init__(self, study: Plan, folder: RunFolder, engine: Engine, observer: Told) -> None:
        self.study, self.config = study, study.config
        self.folder, self.engine, self.observer = folder, engine, observer
        records: list[dict[str, Any]] = list(folder.log.read())
        self._records: dict[int, list[dict[str, Any]]] = {}  # trial number -> its records
        for record in records:
            self._keep(record)
        self._view = self._read(records)
        self._running: set[int] = set()
        self._calls: list[Call] = []
        self._failed_before = {t.number for t in self._view.trials if t.state == "failed"}  # at an earlier start

    @property
    def view(self) -> V:
        """The study as of now."""
        return self._view

    # implemented by subclasses

    @abstractmethod
    def _read(self, records: list[dict[str, Any]]) -> V:
        """The view of these records."""

    @abstractmethod
    def _next(self) -> Trial | None:
        """The next trial to start; None if there is none, or if a running trial must end first."""

    @abstractmethod
    def _training(self, trial: Trial) -> tuple[Any, Architecture, bool]:
        """The evaluator of a trial, its architecture, and True if the trial measures the liveness of the slots."""

    @abstractmethod
    def _write_slots(self, evaluations: Sequence[Evaluation]) -> None:
        """Record the liveness of the slots, from evaluations of trained bases."""

    def _can_train(self, trial: Trial) -> bool:
        """True if this supervisor knows the base model of the trial; a damaged log may name another one."""
        return trial.model is None

    def _asked(self, trial: Trial) -> dict[str, Any]:
        """Further keywords for the evaluator of a trial."""
        return {}

    def _started(self, trial: Trial) -> None:
        """Called after a trial was started."""

    def _ended(self, trial: Trial) -> None:
        """Called after a trial ended and its record was written."""

    # common to all supervisors

    def _work(self) -> None:
        while True:
            while self.engine.free and (trial := self._next()) is not None:
                group = self._group(trial)
                self._running.update(t.number for t in group)
                self._calls.append(self._call(trial))
                self.engine.submit(self._calls[-1])
                for t in group:
                    self._started(t)
            if not self._running:
                return
            outcome = awaited(self.engine, self._calls, self._tell)
            self._calls.remove(outcome.call)
            self._finish(outcome)

    def _tell(self, places: dict[Any, Reached]) -> None:
        """Tell the observer the place of each running trial. Those of a group have one place."""
        found = {t.number: place for key, place in places.items() for t in self._group(self._trial(key))}
        if hasattr(self.observer, "progress"):  # observers for the first release have no such method
            self.observer.progress(self._view, found)

    @property
    def _study_id(self) -> str:
        return str(self._view.header.get("id", ""))

    def _group(self, trial: Trial) -> list[Trial]:
        """The trials that run together with a trial, those that have ended left out; the trial alone if none do."""
        return [t for t in self._members(trial) if t.state == "running"]

    def _members(self, trial: Trial) -> list[Trial]:
        if trial.group is None:
            return [trial]
        return [t for t in self._view.trials if t.group == trial.group]

    def _call(self, trial: Trial) -> Call:
        if trial.group is not None:
            return self._group_call(trial.group, self._members(trial))
        evaluator, architecture, liveness = self._training(trial)
        name = f"{trial.number:04d}"
        return Call(
            key=trial.number,
            function=evaluator,
            arguments=(architecture, self.study.fidelity, trial.seed),
            keywords={"checkpoint": self.folder.checkpoint(name), "liveness": liveness, **self._asked(trial)},
            result=self.folder.result(name),
            # a result without liveness does not answer a call that asks for it
            signature=f"{self._study_id}:{trial.number}:{trial.architecture}:{trial.seed}{':liveness' * liveness}",
            limit=partial(self._limit, trial.model),
            progress=self.folder.progress(name),
        )

    def _group_call(self, group: int, members: Sequence[Trial]) -> Call:
        """The call that trains several architectures in one run: all members, so that it continues as it began."""
        name, architectures = f"{group:04d}", [t.architecture for t in members]
        written = "; ".join(map(str, architectures))
        return Call(
            key=group,
            function=self.study.evaluator.together,
            arguments=(architectures, self.study.fidelity, members[0].seed),
            keywords={"checkpoint": self.folder.checkpoint(name)},
            result=self.folder.result(name),
            signature=f"{self._study_id}:{group}:together:{written}:{members[0].seed}",
            limit=partial(self._limit, times=len(members)),
            progress=self.folder.progress(name),
        )

    def _train_base(self, seed: int, slots: tuple[str, ...], measured: bool) -> None:
        """Train the base from which every trial of `start: base` continues. It is trained once; it is not a trial.

        Args:
            seed: seed of the training.
            slots: names of the slots whose liveness is measured.
            measured: True if the liveness is recorded already.

        Raises:
            EvaluationFailed: the base could not be trained.
        """
        weights = self.folder.base_weights
        if measured and weights.exists():
            return
        if not weights.exists():
            self.folder.result("base").unlink(missing_ok=True)  # train again: trials need the weights, not the result
        call = Call(
            key="base",
            function=self.study.evaluator.train_base,
            arguments=(self.study.fidelity, seed, weights),
            keywords={"checkpoint": self.folder.checkpoint("base"), "slots": slots},
            result=self.folder.result("base"),
            signature=f"{self._study_id}:base",
            limit=self._limit,
            progress=self.folder.progress("base"),
        )
        self.observer.note("The base is trained once; every trial continues from it.")
        self.engine.submit(call)

        def tell(places: Mapping[Any, Reached]) -> None:
            self.observer.preparing(", ".join(["training the base", *map(str, places.values())]))

        tell({})
        outcome = awaited(self.engine, [call], tell)
        if isinstance(outcome.value, Failure):
            raise EvaluationFailed(f"the base could not be trained: {outcome.value.reason.rstrip('.')}. {ANEW}")
        if not measured:
            assert isinstance(outcome.value, Evaluation)
            self._write_slots([outcome.value])

    def _limit(self, model: str | None = None, times: int = 1) -> float | None:
        """The time limit of a trial in seconds: `trial_minutes`, or `TIMES` times the slowest base trial so far.

        None means no limit: no base trial has ended yet.

        Args:
            model: the base model of the trial, if it is not the study's own.
            times: number of trials that run together.
        """
        if self.config.trial_minutes is not None:
            return 60 * self.config.trial_minutes * times
        base = [t.evaluation for t in self._view.trials if t.role == "base" and t.model == model and t.evaluation]
        # if a trial was continued from a checkpoint, `seconds` lacks the time before; the two parts have it
        took = [max(e.seconds, e.steps_seconds + e.val_seconds) for e in base]
        return times * max(LEAST_SECONDS, TIMES * max(took)) if took else None

    def _no_base(self, bases: Sequence[Trial], remedy: str = ANEW) -> EvaluationFailed:
        """The error for a study whose base trials all failed.

        Args:
            bases: the base trials; if some failed since this start, only their reasons are given.
            remedy: advice to the user.
        """
        told = [t for t in bases if t.number not in self._failed_before] or bases
        reasons = "; ".join(sorted({t.reason.rstrip(".") for t in told if t.reason})) or "no result"
        return EvaluationFailed(f"the base could not be trained: {reasons}. {remedy}")

    def _orphan(self) -> Trial | None:
        """A trial that was running when an earlier process stopped, so that it must be started again; else None."""
        stopped = (t for t in self._view.trials if t.state == "running" and t.number not in self._running)
        return next((t for t in stopped if self._can_train(t)), None)

    def _begin(self, role: str, architecture: Architecture, seed: int, cost: dict[str, float], **more: Any) -> Trial:
        """Record the start of a trial, and return the trial."""
        number = next_number(self._view.trials)
        self._append("started", number=number, role=role, architecture=str(architecture), seed=seed, cost=cost, **more)
        return self._trial(number)

    def _finish(self, outcome: Outcome) -> None:
        first = self._trial(outcome.call.key)
        members, value = self._members(first), outcome.value
        values = value if isinstance(value, list) and len(value) == len(members) else [value] * len(members)
        for trial, one in zip(members, values, strict=True):
            if trial.state == "running":  # a member of a group may have been recorded before a stop
                self._end(trial.number, one)
        self.folder.checkpoint(f"{first.number:04d}").unlink(missing_ok=True)

    def _end(self, number: int, value: Any) -> None:
        self._running.discard(number)
        if not isinstance(value, Evaluation | Failure):
            value = Failure(f"the result is not an evaluation: {type(value).__name__}")
        if isinstance(value, Evaluation) and value.stopped is None and (by := self._view.score).of(value) is None:
            value = Failure(f"its evaluation has no {by.words}, the score of the study")
        if isinstance(value, Failure):
            ended: dict[str, Any] = {"number": number, "state": "failed", "reason": value.reason}
        else:
            ended = {"number": number, "state": "complete", "evaluation": self._flagged(value).as_dict()}
            if (said := wrong({"kind": "finished", **ended})) is not None:  # readers would call the log damaged
                ended = {"number": number, "state": "failed", "reason": f"its result is not valid: {said}"}
        self._append("finished", **ended)
        self._ended(self._trial(number))

    def _flagged(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation, with a flag if its device or precision differs from the first evaluation of the study."""
        first = next((t.evaluation for t in self._view.trials if t.evaluation is not None and not t.origin), None)
        flags = evaluation.flags
        if first is not None and evaluation.device != first.device:
            flags += ("other device",)
        if first is not None and evaluation.precision != first.precision:
            flags += ("other precision",)
        if evaluation.together is not None:
            flags += (TOGETHER,)
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
