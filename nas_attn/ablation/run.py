"""One ablation from request to tables: plan, lease, workers, supervisor."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from nas_attn import environment
from nas_attn.ablation.design import FULL, Arm
from nas_attn.ablation.plan.prepare import AblationPlan, prepare_ablation
from nas_attn.ablation.plan.settings import Request
from nas_attn.ablation.record import record_plan
from nas_attn.ablation.report.files import write_tables
from nas_attn.ablation.view import LIVENESS_SEEDS, AblationView
from nas_attn.data import download
from nas_attn.engine import Engine, LocalEngine, Task, check_outside
from nas_attn.errors import UserError, room_wanted
from nas_attn.space import Architecture
from nas_attn.stopping import stopping
from nas_attn.study.base_run import train_base
from nas_attn.study.folder import Lease, RunFolder
from nas_attn.study.liveness import averaged
from nas_attn.study.prepare import named_data
from nas_attn.study.supervisor import Supervisor
from nas_attn.study.view import Trial


class AblationObserver(Protocol):
    """Whom an ablation tells what happens."""

    def opened(self, view: AblationView) -> None:
        """It begins, or goes on."""

    def finished(self, view: AblationView, trial: Trial) -> None:
        """A trial ended, complete or failed."""

    def slots(self, view: AblationView, model: str | None) -> None:
        """The slots of a base model were checked for life."""

    def note(self, text: str) -> None:
        """Something that a person should read."""


class Ablation(Supervisor[AblationView]):
    """Trains the arms of one ablation, seed by seed, until every comparison is decided or out of seeds.

    Args:
        plan: what is to be done; its records are in the folder's log already.
        folder: the ablation's folder; its lease is held by the caller.
        engine: where trials run.
        observer: whom to tell.
    """

    def __init__(self, plan: AblationPlan, folder: RunFolder, engine: Engine, observer: AblationObserver) -> None:
        self.plan, self.observer = plan, observer
        super().__init__(folder, engine, plan.request.config.trial_minutes)
        self._begun = time.monotonic()
        ended = not self._view.measured(None) and self._view.bases_ended(None) and not self._bases_found(None)
        self._bases_before = self._failed_before if ended else set()

    def run(self) -> AblationView:
        """Train what is left.

        Raises:
            EvaluationFailed: the base cannot be trained.
        """
        self.observer.opened(self._view)
        if self.plan.request.config.start == "base":
            self._train_base()
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
        # what the slots are measured on comes first: until then only the full architecture fills idle workers, which is
        # wanted whatever they say
        for may_start in (self._measures, self._may_start):
            for arm, index in ready:
                if may_start(arm, index):
                    cost = self.plan.costs[arm.name]
                    more = {"arm": arm.name} | ({"model": arm.model} if arm.model else {})
                    return self._begin(_role(arm), arm.architecture, self._view.seed(arm, index), cost, **more)
        return None

    def _base_again(self) -> Trial | None:
        """A base trial tried anew: at an earlier start all failed, so that the ablation could not go on."""
        again = next((t for t in self._view.bases(None) if t.number in self._bases_before), None)
        if again is None:
            return None
        arm = self._view.design.base_of(None)
        return self._begin("base", arm.architecture, again.seed, self.plan.costs[arm.name], arm=arm.name)

    def _measures(self, arm: Arm, index: int) -> bool:
        """Whether slots are measured on a trial."""
        base = self._view.design.base_of(arm.model)
        return arm == base and index < LIVENESS_SEEDS and not self._view.measured(arm.model)

    def _may_start(self, arm: Arm, index: int) -> bool:
        return self._view.measured(arm.model) or (arm.name == FULL and index < LIVENESS_SEEDS)

    def _out_of_time(self) -> bool:
        hours = self.plan.request.settings.hours
        return hours is not None and time.monotonic() - self._begun >= hours * 3600

    def _can_train(self, trial: Trial) -> bool:
        return trial.model in self.plan.scales and trial.model in self._view.design.models

    def _task(self, trial: Trial) -> Task:
        name = f"{trial.number:04d}"
        architecture, liveness = trial.architecture, False
        base = self._view.design.base_of(trial.model)
        if trial.architecture == base.architecture and not self._view.measured(trial.model):
            liveness = self.plan.request.config.start != "base"
            slots = (*base.architecture.slots, *self.plan.probed)
            architecture = Architecture.none(dict.fromkeys(slots))  # the same network; it names what is measured
        return Task(
            key=trial.number,
            call=self.plan.scales[trial.model].evaluator,
            arguments=(architecture, self.plan.study.fidelity, trial.seed),
            keywords={"checkpoint": self.folder.checkpoint(name), "liveness": liveness},
            result=self.folder.result(name),
            signature=f"{self._view.header.get('id', '')}:{trial.number}:{trial.architecture}:{trial.seed}",
            limit=partial(self._limit, trial.model),
        )

    def _ended(self, trial: Trial) -> None:
        self.observer.finished(self._view, trial)
        if self._view.base_failed(trial.model):
            self.observer.note(f"the base could not be trained on {trial.model}: {self._reasons(trial.model)}")

    # liveness

    def _train_base(self) -> None:
        evaluation = train_base(
            self.engine,
            self.folder,
            self.plan.study.evaluator,
            self.plan.study.fidelity,
            self.plan.request.seed,
            slots=tuple(dict.fromkeys((*self.plan.study.space.names, *self.plan.probed))),
            study_id=self._view.header.get("id", ""),
            measured=self._view.measured(None),
            note=self.observer.note,
            limit=self._limit,
        )
        if evaluation is not None:
            self._write_slots(None, [evaluation])

    def _measure(self, model: str | None) -> None:
        if not (found := self._bases_found(model)):
            raise self._no_base(self._view.bases(model))
        self._write_slots(model, found)

    def _bases_found(self, model: str | None) -> list[Any]:
        return [t.evaluation for t in self._view.bases(model) if t.evaluation and t.evaluation.liveness]

    def _reasons(self, model: str | None) -> str:
        return "; ".join(sorted({t.reason for t in self._view.bases(model) if t.reason})) or "no result"

    def _write_slots(self, model: str | None, evaluations: list[Any]) -> None:
        found = averaged(evaluations, self.plan.request.config.live_threshold)
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
    request: Request, *, observer: AblationObserver, progress: Callable[[str], None] | None = None
) -> AblationView:
    """Run an ablation, or continue it.

    Args:
        request: what is wanted; see `load_request`.
        observer: whom to tell.
        progress: told what is being prepared.

    Raises:
        UserError: something in the input breaks a rule; nothing was trained.
    """
    check_outside()
    with room_wanted(study=True), stopping():
        return _run_here(request, observer, progress or (lambda text: None))


def _run_here(request: Request, observer: AblationObserver, tell: Callable[[str], None]) -> AblationView:
    environment.prepare()
    folder = RunFolder(request.folder)
    above = [p for p in (folder.path, folder.path.parent, folder.path.parent.parent) if not p.exists()]
    folder.create()
    try:
        with Lease(folder):
            return _run(request, folder, observer, tell)
    finally:
        if not folder.log.exists():
            _remove(folder, above)  # wrong input leaves nothing behind


def _run(request: Request, folder: RunFolder, observer: AblationObserver, tell: Callable[[str], None]) -> AblationView:
    import torch

    folder.log.repair()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the cores are the workers'
    try:
        plan = prepare_ablation(request, tell)
        for text in (*plan.notes, *record_plan(plan, folder)):
            observer.note(text)
        write_tables(AblationView.read(folder.path), folder.path)  # marked as partial, whatever happens from here on
        try:
            with LocalEngine(plan.study.devices, threads=plan.study.threads, logs=folder.workers) as engine:
                return Ablation(plan, folder, engine, observer).run()
        finally:
            write_tables(AblationView.read(folder.path), folder.path)
    finally:
        torch.set_num_threads(threads)


def planned(request: Request, folder: Path, tell: Callable[[str], None]) -> tuple[AblationPlan, AblationView]:
    """What would run, and what has: nothing is written but the cost cache, and `folder`, which may be deleted.

    Raises:
        UserError: something in the input breaks a rule.
    """
    environment.prepare()
    if (name := named_data(request.config.data)) is not None and download.absent(name):
        raise UserError(
            "a plan must have its data: it downloads nothing",
            got=f"'{Path(name).name}', of which nothing is here yet",
            remedy="Leave --plan out, or download it with Ultralytics first.",
        )
    plan = prepare_ablation(request, tell)
    run, own = RunFolder(folder), RunFolder(request.folder)
    if own.log.path.exists():
        shutil.copy(own.log.path, run.log.path)
        run.log.repair()
    plan = replace(plan, notes=(*plan.notes, *record_plan(plan, run)))
    view = AblationView.read(folder)
    if request.stored is None and request.study is not None and request.study.slots:
        # what the search found alive is the best guess until the ablation has measured it itself
        known = {k: v for k, v in request.study.slots.items() if k != "kind"}
        run.log.append("slots", **known)
        view = AblationView.read(folder)
    return plan, view


def _role(arm: Arm) -> str:
    if arm.architecture.is_base:
        return "base"
    return "conv" if "control" in arm.kinds else "arm"


def _remove(folder: RunFolder, made: list[Any]) -> None:
    (folder.path / "lease").unlink(missing_ok=True)
    for path in made:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
