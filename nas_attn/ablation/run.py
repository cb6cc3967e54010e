"""Runs one ablation from the request to the tables: plan, lease, workers, trials."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from nas_attn import environment
from nas_attn.ablation.design import FULL, Arm
from nas_attn.ablation.plan.prepare import AblationPlan, prepare_ablation
from nas_attn.ablation.plan.settings import Request
from nas_attn.ablation.record import record_plan
from nas_attn.ablation.report.files import write_tables
from nas_attn.ablation.view import LIVENESS_SEEDS, AblationView
from nas_attn.engine import Engine, check_engine, check_outside
from nas_attn.errors import room_wanted
from nas_attn.evaluate import Evaluation, Evaluator, check_evaluator
from nas_attn.pulse import Reached
from nas_attn.space import Architecture
from nas_attn.stopping import stopping
from nas_attn.study.folder import RunFolder
from nas_attn.study.inputs import check_present
from nas_attn.study.slot_states import averaged
from nas_attn.study.supervisor import Supervisor, supervising
from nas_attn.study.view import Trial


class AblationObserver(Protocol):
    """The observer of an ablation: the ablation tells it about each event."""

    def preparing(self, what: str) -> None:
        """Called when a step of the preparation starts; nothing is trained yet."""

    def opened(self, view: AblationView) -> None:
        """Called when the ablation starts or continues."""

    def progress(self, view: AblationView, places: Mapping[int, Reached]) -> None:
        """Called once a second with the places of running trials: number -> place."""

    def finished(self, view: AblationView, trial: Trial) -> None:
        """Called after a trial ended; its state is `complete` or `failed`."""

    def slots(self, view: AblationView, model: str | None) -> None:
        """Called when the liveness of the slots of a base model is known; None is the ablation's own base model."""

    def note(self, text: str) -> None:
        """Called with a text that the user should read."""


class Ablation(Supervisor[AblationView]):
    """Trains the arms of one ablation, seed by seed, until each comparison is decided or has all its seeds.

    Args:
        plan: the plan; the log of the folder must already hold it.
        folder: the ablation's folder; the caller must hold its lease.
        engine: runs the trials.
        observer: is told about each event.
    """

    observer: AblationObserver

    def __init__(self, plan: AblationPlan, folder: RunFolder, engine: Engine, observer: AblationObserver) -> None:
        super().__init__(plan.study, folder, engine, observer)
        self.plan = plan
        self._begun = time.monotonic()
        ended = not self._view.measured(None) and self._view.bases_ended(None) and not self._bases_found(None)
        self._bases_before = self._failed_before if ended else set()

    def run(self) -> AblationView:
        """Train the trials that are left, and return the finished view.

        Raises:
            EvaluationFailed: the base cannot be trained.
        """
        self.observer.opened(self._view)
        if self.config.start == "base":
            slots = tuple(dict.fromkeys((*self.study.space.names, *self.plan.probed)))
            self._train_base(self.plan.request.seed, slots, measured=self._view.measured(None))
        self._work()
        return self._view

    def _read(self, records: list[dict[str, Any]]) -> AblationView:
        return AblationView.of(self.folder.path, records)

    def _next(self) -> Trial | None:
        if (trial := self._orphan()) is not None:
            return trial
        if self._out_of_time():
            return None
        if (trial := self._base_again()) is not None:
            return trial
        for model in self._view.design.models:
            if not self._view.measured(model) and self._view.bases_ended(model) and not self._view.base_failed(model):
                self._measure(model)
        left = [(self._view.design.arm(name), index) for name, index in self._view.left]
        ready = [(arm, index) for arm, index in left if self._view.trial(arm, index) is None]
        # the trials that measure liveness come first; until they end, idle workers may train only the full
        # architecture, because every result of the measurement needs it
        for may_start in (self._measures, self._may_start):
            for arm, index in ready:
                if may_start(arm, index):
                    cost = self.plan.costs[arm.name]
                    more = {"arm": arm.name} | ({"model": arm.model} if arm.model else {})
                    return self._begin(_role(arm), arm.architecture, self._view.seed(arm, index), cost, **more)
        return None

    def _base_again(self) -> Trial | None:
        """A base trial that is trained again, because all base trials failed in an earlier run of the command."""
        again = next((t for t in self._view.bases(None) if t.number in self._bases_before), None)
        if again is None:
            return None
        arm = self._view.design.base_of(None)
        return self._begin("base", arm.architecture, again.seed, self.plan.costs[arm.name], arm=arm.name)

    def _measures(self, arm: Arm, index: int) -> bool:
        """True if this trial measures the liveness of the slots."""
        base = self._view.design.base_of(arm.model)
        return arm == base and index < LIVENESS_SEEDS and not self._view.measured(arm.model)

    def _may_start(self, arm: Arm, index: int) -> bool:
        return self._view.measured(arm.model) or (arm.name == FULL and index < LIVENESS_SEEDS)

    def _out_of_time(self) -> bool:
        hours = self.plan.request.settings.hours
        return hours is not None and time.monotonic() - self._begun >= hours * 3600

    def _can_train(self, trial: Trial) -> bool:
        return trial.model in self.plan.scales and trial.model in self._view.design.models

    def _training(self, trial: Trial) -> tuple[Any, Architecture, bool]:
        evaluator = self.plan.scales[trial.model].evaluator
        base = self._view.design.base_of(trial.model)
        if trial.architecture != base.architecture or self._view.measured(trial.model):
            return evaluator, trial.architecture, False
        slots = (*base.architecture.slots, *self.plan.probed)
        # the same network, but its architecture names the slots to measure
        return evaluator, Architecture.none(dict.fromkeys(slots)), self.config.start != "base"

    def _ended(self, trial: Trial) -> None:
        self.observer.finished(self._view, trial)
        if self._view.base_failed(trial.model):
            self.observer.note(f"the base could not be trained on {trial.model}: {self._reasons(trial.model)}")

    # liveness

    def _measure(self, model: str | None) -> None:
        if not (found := self._bases_found(model)):
            raise self._no_base(self._view.bases(model))
        self._write_slots(found, model)

    def _bases_found(self, model: str | None) -> list[Evaluation]:
        return [t.evaluation for t in self._view.bases(model) if t.evaluation and t.evaluation.liveness]

    def _reasons(self, model: str | None) -> str:
        return "; ".join(sorted({t.reason for t in self._view.bases(model) if t.reason})) or "no result"

    def _write_slots(self, evaluations: Sequence[Evaluation], model: str | None = None) -> None:
        found = averaged(evaluations, self.config.live_threshold, score=self._view.score)
        filled = {s for a in self._view.design.arms if a.model == model for s in a.filled}
        keep = self._view.settings["dead_slots"] == "keep"
        self._append(
            "slots",
            **({"model": model} if model else {}),
            **found,
            searched=[s for s in found["drop"] if s in filled and (keep or s in found["live"])],
        )
        self.observer.slots(self._view, model)


def run_ablation(
    request: Request,
    *,
    observer: AblationObserver,
    evaluator: Evaluator | None = None,
    engine: Engine | None = None,
) -> AblationView:
    """Run an ablation, or continue it.

    Args:
        request: the request; see `load_request`.
        observer: is told of every event.
        evaluator: scores architectures; None means proxy runs.
        engine: runs the trials; None means worker processes on this machine.

    Raises:
        UserError: the input is wrong; nothing was trained.
    """
    check_outside()
    check_evaluator(evaluator)
    check_engine(engine)
    with room_wanted(study=True), stopping():
        environment.prepare()
        folder = RunFolder(request.folder)
        with supervising(folder, above=2):
            return _run(request, folder, observer, evaluator, engine)


def _run(
    request: Request,
    folder: RunFolder,
    observer: AblationObserver,
    evaluator: Evaluator | None,
    engine: Engine | None,
) -> AblationView:
    plan = prepare_ablation(request, observer.preparing, evaluator)
    for text in (*plan.notes, *record_plan(plan, folder)):
        observer.note(text)
    write_tables(AblationView.read(folder.path), folder.path)  # so that a stopped run leaves tables, marked as partial
    try:
        with engine or plan.study.engine(folder.workers) as used:
            return Ablation(plan, folder, used, observer).run()
    finally:
        write_tables(AblationView.read(folder.path), folder.path)


def planned(request: Request, folder: Path, tell: Callable[[str], None]) -> tuple[AblationPlan, AblationView]:
    """The plan that would run, and the view with the trials that have ended; nothing is trained.

    Only the cost cache and `folder` are written. The caller may delete `folder`.

    Raises:
        UserError: the input is wrong.
    """
    environment.prepare()
    check_present(request.config)
    plan = prepare_ablation(request, tell)
    run, own = RunFolder(folder), RunFolder(request.folder)
    if own.log.path.exists():
        shutil.copy(own.log.path, run.log.path)
        run.log.repair()
    plan = replace(plan, notes=(*plan.notes, *record_plan(plan, run)))
    view = AblationView.read(folder)
    if request.stored is None and request.study is not None and request.study.slots:
        # before the ablation has measured liveness, that of the search is the best estimate
        known = {k: v for k, v in request.study.slots.items() if k != "kind"}
        run.log.append("slots", **known)
        view = AblationView.read(folder)
    return plan, view


def _role(arm: Arm) -> str:
    if arm.architecture.is_base:
        return "base"
    return "conv" if "control" in arm.kinds else "arm"
