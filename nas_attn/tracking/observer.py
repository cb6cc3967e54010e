"""The observer of a search with trackers: it passes each event on, and tells the writers of the trackers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from nas_attn.pulse import Reached
from nas_attn.study.config import StudyConfig
from nas_attn.study.observer import Observer
from nas_attn.study.view import StudyView, Trial
from nas_attn.tracking.runs import Run, study_run
from nas_attn.tracking.table import trackers
from nas_attn.tracking.writer import Writer

PATIENCE = 60.0  # seconds without progress after which the end of a search no longer waits for a tracker
BRIEF = 3.0  # the same after an interruption, in all
TICK = 0.5


def tracked(config: StudyConfig, folder: Path, observer: Observer) -> contextlib.AbstractContextManager[Observer]:
    """A context in which the trials of a search are brought to the trackers that its configuration names.

    At its end it waits for them, but not for ever. If the body ends with an error, it hardly waits.

    Args:
        config: the configuration of the search.
        folder: its run folder.
        observer: is told about each event, too, and gets the sentences about trackers as notes.

    Raises:
        MissingPart: a tracker is not installed.
    """
    made = [Writer(tracker) for tracker in trackers(config.track, folder)]
    return _tracked(Tracked(observer, made)) if made else contextlib.nullcontext(observer)


@contextlib.contextmanager
def _tracked(heard: Tracked) -> Iterator[Observer]:
    whole = False
    try:
        yield heard
        whole = True
    finally:
        heard.close(whole)


class Tracked:
    """Passes the events of a search on to an observer, and the newest view to the writers.

    Writers never call the observer, because it may not be made for several threads: their sentences are taken out here.

    Args:
        observer: the observer.
        writers: one for each tracker; they are started and ended here.
    """

    def __init__(self, observer: Observer, writers: Sequence[Writer]) -> None:
        self.observer, self.writers = observer, writers
        self._view: StudyView | None = None

    def preparing(self, what: str) -> None:
        """Pass the event on."""
        self._say()
        self.observer.preparing(what)

    def opened(self, view: StudyView, trials: int) -> None:
        """Pass the event on, and start the writers."""
        self.observer.opened(view, trials)
        for writer in self.writers:
            writer.start()
        self._tell(view)

    def started(self, view: StudyView, trial: Trial) -> None:
        """Pass the event on."""
        self._say()
        self.observer.started(view, trial)

    def progress(self, view: StudyView, places: Mapping[int, Reached]) -> None:
        """Pass the event on."""
        self._say()
        if hasattr(self.observer, "progress"):  # observers for the first release have no such method
            self.observer.progress(view, places)

    def finished(self, view: StudyView, trial: Trial) -> None:
        """Pass the event on, and give the new view to the writers."""
        self.observer.finished(view, trial)
        self._tell(view)

    def slots(self, view: StudyView) -> None:
        """Pass the event on."""
        self.observer.slots(view)

    def note(self, text: str) -> None:
        """Pass the text on."""
        self.observer.note(text)

    def close(self, whole: bool) -> None:
        """End the writers.

        Args:
            whole: True if the search ended by itself. Then the runs that are missing, and the run of the study, are
                written first.
        """
        if self._view is None:
            return  # nothing was opened
        study = _once(partial(study_run, self._view)) if whole else None
        for writer in self.writers:
            writer.finish(study)
        if whole:
            self.observer.preparing(f"writing to {', '.join(w.tracker.title for w in self.writers)}")
        end = time.monotonic() + (PATIENCE if whole else BRIEF)
        before = -1
        while (alive := [w for w in self.writers if w.is_alive()]) and time.monotonic() < end:
            if whole and (now := sum(w.written for w in self.writers)) != before:
                before, end = now, time.monotonic() + PATIENCE
            alive[0].join(TICK)
            self._say()
        self._say()
        for writer in alive if whole else ():
            self.observer.note(
                f"{writer.tracker.title} does not answer, so the search ends without it; {writer.missing()} trials are "
                "missing there, and are added when the study is continued."
            )

    def _tell(self, view: StudyView) -> None:
        self._view = view
        for writer in self.writers:
            writer.tell(view)
        self._say()

    def _say(self) -> None:
        for writer in self.writers:
            while writer.said:
                self.observer.note(writer.said.popleft())


def _once(make: Callable[[], Run]) -> Callable[[], Run]:
    """A function that several threads may call; only the first call does the work."""
    lock, made = threading.Lock(), list[Run]()

    def given() -> Run:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return given
