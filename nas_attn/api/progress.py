"""Progress of a running search: a line per trial, and a bar with ETA and best candidate, on stderr in a terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from nas_attn.analysis.foresight import foresight
from nas_attn.analysis.front import trained
from nas_attn.analysis.tables import inserted
from nas_attn.api.notebook_bar import NotebookBar
from nas_attn.evaluate.score import MAP, Score
from nas_attn.lines import many
from nas_attn.pulse import Reached
from nas_attn.statistics.pareto import best_of, front_of
from nas_attn.study.slot_states import UNDERTRAINED, UNKNOWN, slot_state
from nas_attn.study.trial_settings import trained_with
from nas_attn.study.view import StudyView, Trial

H = TypeVar("H")
WIDE = 100  # columns of a terminal that has room for a long bar
MINUTE = 60.0  # seconds between two lines where there is no bar


@contextlib.contextmanager
def shown(observer: H | None, make: Callable[[], H]) -> Iterator[H]:
    """A context with the given observer; without one, with a new observer, which is entered if it shows a bar."""
    if observer is not None:
        yield observer
        return
    made = make()
    with made if isinstance(made, Bar) else contextlib.nullcontext():
        yield made


class TerminalBar:
    """The bar of a terminal, below the lines. It shows nothing if stderr is no terminal."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24 if console.width >= WIDE else 8),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[eta]}"),
            TextColumn("{task.fields[best]}"),
            console=console,
            transient=True,
            disable=not console.is_interactive,  # an invisible bar would leave an empty line at its end
        )
        self._task = self._bar.add_task("preparing", total=None, eta="", best="")
        self.start, self.stop = self._bar.start, self._bar.stop

    def update(self, **fields: Any) -> None:
        """Change `description`, `total`, `completed`, `eta` or `best`."""
        self._bar.update(self._task, **fields)


class Bar:
    """Lines and a bar with an ETA: on stderr in a terminal, below the cell in a notebook. A context manager.

    If stderr is neither, a line a minute says what is trained.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._bar: TerminalBar | NotebookBar = NotebookBar() if self.console.is_jupyter else TerminalBar(self.console)
        self.live = self.console.is_interactive or self.console.is_jupyter
        self._pace = Pace()
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def preparing(self, what: str) -> None:
        """Show the present step of the preparation beside the bar."""
        self._bar.update(description=what)
        self._say_in_a_minute(what)

    def note(self, text: str) -> None:
        """Print a sentence."""
        self._say(f"  {text}")

    def _say(self, text: str) -> None:
        if self.console.is_interactive:  # break lines between words, and keep the indent
            indent = len(text) - len(text.lstrip())
            self.console.print(Padding(Text(text[indent:]), (0, 0, 0, indent)))
        else:  # one line for each event
            self.console.print(text, soft_wrap=True, markup=False)
        self._said = time.monotonic()

    def _say_in_a_minute(self, text: str) -> None:
        if not self.live and time.monotonic() - self._said >= MINUTE:
            self._say(f"  {text}")

    def _begin(self, before: int) -> None:
        """Start the clock of the ETA. Trials that ended before do not count for it."""
        self._pace = Pace(before)

    def _move(self, done: int, total: int, best: str, description: str) -> None:
        """Move the bar after a trial."""
        eta = self._pace.eta(done, total)
        self._bar.update(description=description, total=total, completed=done, eta=eta, best=best)

    def _tick(self, done: int, total: int, places: Mapping[int, Reached]) -> None:
        """Show the places of the running trials."""
        if not places:
            return
        eta = self._pace.eta(done, total, places)
        first = min(places)
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        self._bar.update(description=f"trial {first}: {places[first]}{more}", total=total, completed=done, eta=eta)
        self._say_in_a_minute(f"trial {first}: {places[first]}{more}; {done} of {total} trials ended; {eta}")


class Pace:
    """The speed of the trials, which foretells the end from the first steps on.

    Args:
        before: number of trials that had ended before this start.
    """

    def __init__(self, before: int = 0) -> None:
        self.before, self._begun = before, time.monotonic()
        self._first: dict[int, tuple[float, float]] = {}  # trial -> time and share at its first place

    def eta(self, done: int, total: int, places: Mapping[int, Reached] | None = None) -> str:
        """The time that is left, as `ETA 1:23:45`; empty if nothing is known yet.

        Args:
            done: number of trials that ended.
            total: number of trials at the end.
            places: the places of running trials.
        """
        now, places = time.monotonic(), places or {}
        for number, place in places.items():
            self._first.setdefault(number, (now, place.share))
        shares = sum(place.share - self._first[n][1] for n, place in places.items())
        begun, new = self._begun, done - self.before + shares
        if done <= self.before:  # the libraries are loaded and the images read only once
            begun = min((self._first[n][0] for n in places), default=now)
        if new <= 0 or now <= begun:
            return ""
        left = (now - begun) / new * max(0.0, total - done - sum(p.share for p in places.values()))
        return f"ETA {int(left // 3600)}:{int(left % 3600 // 60):02d}:{int(left % 60):02d}"


class Reporter(Bar):
    """The default observer of `run_search`: it prints each event."""

    def opened(self, view: StudyView, trials: int) -> None:
        """Print a line about the study, and start the clock of the ETA."""
        self._begin(_ended(view))
        config = view.header["config"]
        if config["demo"]:
            self._say("This is the demo on generated data. It says nothing about your data: give that with --data.")
        trained = f"{many(config['epochs'], 'epoch')} at {config['imgsz']} px from {config['start']}"
        self._say(
            f"study {view.name}: {view.header['base']}, {view.header['space_size']:,} architectures, "
            f"{trained_with(trained, config)}; files in {view.folder}"
        )
        if words := view.header["data"].get("words"):
            self._say(f"  data: {words}")
        if view.header.get("task", "detect") != "detect" or view.score != MAP:
            self._say(f"  the objective is the {view.header['objective']}")
        for text in view.header.get("notes", ()):
            self.note(text)
        for slot, aliases in view.header["aliases"].items():
            if aliases:
                self._say(
                    f"  {slot}: {len(aliases)} settings equal a cheaper one at this image size; the report lists them"
                )
        if self._pace.before < trials:
            self._say(f"  {foresight(config, trials, view).words()}")
        if self._pace.before >= trials:
            self._say(f"  all {self._pace.before} trials have ended")
        elif self._pace.before:
            self._say(f"  continuing after {self._pace.before} of {trials} trials")
        self._move(self._pace.before, trials, "", "searching")

    def started(self, view: StudyView, trial: Trial) -> None:
        """Print nothing: the line of a trial appears when it ends."""

    def progress(self, view: StudyView, places: Mapping[int, Reached]) -> None:
        """Show what is trained, and when all will have ended."""
        self._tick(_ended(view), view.target, places)

    def finished(self, view: StudyView, trial: Trial) -> None:
        """Print the trial's line and move the bar."""
        carried = trial.evaluation.transferred if trial.evaluation else None
        if carried is not None and trial.number == min(t.number for t in view.trials if t.evaluation and not t.origin):
            self._say(f"  {carried:.1%} of the base's tensors were loaded; the others do not fit")
        self._say(line(trial))
        best = _best(view, self.console.width) if self.live else ""
        self._move(_ended(view), view.target, best, "searching")

    def slots(self, view: StudyView) -> None:
        """Print the liveness of each slot."""
        for name, drop in view.slots["drop"].items():
            self._say(f"  {name}: {worth(drop, view.slots, view.score)}, {_searched(name, view)}")


def line(trial: Trial) -> str:
    """One trial as one line."""
    head = f"{trial.number:4d}  {trial.role:6s} seed {trial.seed}  "
    where = " ".join(inserted(str(trial.architecture)))
    if trial.state == "failed":
        return f"{head}failed: {trial.reason}  {where}"
    evaluation = trial.evaluation
    assert evaluation is not None
    cost = f"{trial.gmacs:.4f} GMACs  {evaluation.seconds:5.1f} s"
    if evaluation.together is not None:
        others = evaluation.together["size"] - 1
        return f"{head}trained together with {many(others, 'other')}  {cost}  {where}"
    if trial.stopped is not None:
        return f"{head}stopped after epoch {trial.stopped} of {evaluation.epochs}  {cost}  {where}"
    flags = f"  [{', '.join(evaluation.flags)}]" if evaluation.flags else ""
    score = f"{trial.scored_by.words} {trial.score:.4f}" if trial.score is not None else "no score"
    return f"{head}{score}  {cost}  {where}{flags}"


def worth(drop: float, record: Mapping[str, Any], score: Score = MAP) -> str:
    """The state of a slot in words, with the score that zeroing the slot costs.

    Args:
        drop: score that the base loses if the slot's output is zeroed.
        record: the `slots` record.
        score: the score of the study.
    """
    state, words = slot_state(drop, record), score.of_a_slot.words
    if state == UNKNOWN:
        return "unknown (the base scores too little to tell)"
    if state == UNDERTRAINED:
        return f"undertrained (zeroing it raises {words} by {-drop:.4f})"
    return f"{state} (zeroing it costs {drop:.4f} {words})"


def _searched(name: str, view: StudyView) -> str:
    return "searched" if name in view.slots["searched"] else "not searched (--dead-slots keep searches it)"


def _ended(view: StudyView) -> int:
    return sum(t.state in ("complete", "stopped", "failed") and not t.origin for t in view.trials)


def _best(view: StudyView, width: int) -> str:
    found = trained(view)
    if not found.candidates:
        return ""
    best, size = best_of(found.estimates, found.gmacs), len(front_of(found.estimates, found.gmacs))
    if width < WIDE:
        return f"best {found.estimates[best]:.4f}"
    return f"best {found.estimates[best]:.4f} at {found.gmacs[best]:.3f} GMACs, front of {size}"
