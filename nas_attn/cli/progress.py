"""The lines and the bar of a running search: one line per trial, ETA and best so far, all on stderr."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from nas_attn.analysis.front import front
from nas_attn.analysis.tables import genes
from nas_attn.study.slot_states import LIVE, UNDERTRAINED, UNKNOWN, slot_state
from nas_attn.study.view import StudyView, Trial


class Bar:
    """Lines and a bar with ETA, all on stderr; a context manager."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[eta]}"),
            TextColumn("{task.fields[best]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_interactive,  # an invisible bar would leave an empty line at its end
        )
        self._task = self._bar.add_task("preparing", total=None, eta="", best="")
        self._begun: float | None = None
        self._before = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def preparing(self, what: str) -> None:
        """Show what is being prepared, beside the bar."""
        self._bar.update(self._task, description=what)

    def note(self, text: str) -> None:
        """Print a sentence."""
        self._say(f"  {text}")

    def _say(self, text: str) -> None:
        self._bar.console.print(text, soft_wrap=True, markup=False)

    def _eta(self, done: int) -> str:
        total = self._bar.tasks[0].total
        new = done - self._before
        if not total or new <= 0 or self._begun is None:
            return ""
        left = (time.monotonic() - self._begun) / new * max(0, total - done)
        return f"ETA {int(left // 3600)}:{int(left % 3600 // 60):02d}:{int(left % 60):02d}"


class Reporter(Bar):
    """The observer of `search`: prints what happens."""

    def opened(self, view: StudyView, trials: int) -> None:
        """Print a line about the study; the clock of the ETA starts."""
        self._begun, self._before = time.monotonic(), _ended(view)
        config = view.header["config"]
        self._say(
            f"study {view.name}: {view.header['base']}, {view.header['space_size']:,} architectures, "
            f"{config['epochs']} epochs at {config['imgsz']} px from {config['start']}; files in {view.folder}"
        )
        if view.header.get("task", "detect") != "detect":
            self._say(f"  the objective is the {view.header['objective']}")
        for text in view.header.get("notes", ()):
            self.note(text)
        for slot, aliases in view.header["aliases"].items():
            if aliases:
                self._say(
                    f"  {slot}: {len(aliases)} settings coincide with cheaper ones at this size (the report names them)"
                )
        if self._before:
            self._say(f"  continuing after {self._before} of {trials} trials")
        self._bar.update(self._task, description="searching", total=trials, completed=self._before)

    def started(self, view: StudyView, trial: Trial) -> None:
        """Print nothing: a trial has its line when it ends."""

    def finished(self, view: StudyView, trial: Trial) -> None:
        """Print the trial's line and move the bar."""
        carried = trial.evaluation.transferred if trial.evaluation else None
        if carried is not None and trial.number == min(t.number for t in view.trials if t.evaluation):
            self._say(f"  {carried:.1%} of the start's tensors were carried over; the rest is new or of another shape")
        self._say(line(trial))
        done = _ended(view)
        self._bar.update(self._task, completed=done, eta=self._eta(done), best=_best(view))

    def slots(self, view: StudyView) -> None:
        """Print each slot's liveness."""
        for name, drop in view.slots["drop"].items():
            self._say(f"  {name}: {liveness(drop, view.slots)}, {_searched(name, view)}")


def line(trial: Trial) -> str:
    """One trial as one line."""
    head = f"{trial.number:4d}  {trial.role:6s} seed {trial.seed}  "
    where = " ".join(genes(str(trial.architecture)))
    if trial.state == "failed":
        return f"{head}failed: {trial.reason}  {where}"
    evaluation = trial.evaluation
    assert evaluation is not None
    delta = f"{trial.delta:+.4f}" if trial.delta is not None else "       "
    flags = f"  [{', '.join(evaluation.flags)}]" if evaluation.flags else ""
    return (
        f"{head}mAP50-95 {evaluation.map50_95:.4f} {delta}  {trial.gmacs:.4f} GMACs  "
        f"{evaluation.seconds:5.1f} s  {where}{flags}"
    )


def liveness(drop: float, record: Mapping[str, Any]) -> str:
    """The state of a slot in words, from the mAP50-95 that zeroing it costs and the liveness record."""
    state = slot_state(drop, record)
    if state == UNKNOWN:
        return "not known (the base scores too little to tell)"
    if state == UNDERTRAINED:
        return f"undertrained (zeroing it raises mAP50-95 by {-drop:.4f})"
    return f"{'alive' if state == LIVE else state} (zeroing it costs {drop:.4f} mAP50-95)"


def _searched(name: str, view: StudyView) -> str:
    return "searched" if name in view.slots["searched"] else "not searched (--dead-slots keep would)"


def _ended(view: StudyView) -> int:
    return sum(t.state in ("complete", "failed") for t in view.trials)


def _best(view: StudyView) -> str:
    found = front(view)
    if not found:
        return ""
    best = max(found, key=lambda c: c.score if c.score is not None else -math.inf)
    return f"best {best.score:.4f} at {best.gmacs:.3f} GMACs, front of {len(found)}"
