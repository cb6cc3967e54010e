"""The thread that brings the trials of a search to one tracker, so that the search never waits for it.

It has no queue. It knows the newest view of the study and the runs that the tracker has, and writes what is missing.
So nothing is lost if a tracker is slow or gone for a while, its memory does not grow, and a study that is continued
needs no other code.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from nas_attn.study.storage_url import masked
from nas_attn.study.view import StudyView
from nas_attn.tracking.runs import Run, Verdicts, ended, study_key, trial_id, trial_run, verdicts
from nas_attn.tracking.tracker import Tracker

PAUSE = 30.0  # seconds after an error until the tracker is tried again
SHOWN = 200  # characters of an error
_ONE_AT_A_TIME = threading.Lock()  # trackers ask for the same verdicts, which are kept after the first time


class Writer(threading.Thread):
    """Writes the runs of a study to a tracker until it is told to end.

    Args:
        tracker: the tracker; only this thread uses it.

    Attributes:
        said: sentences for the user, which another thread takes out.
        written: number of runs that were written.
    """

    def __init__(self, tracker: Tracker) -> None:
        super().__init__(name=f"nas_attn {tracker.title}", daemon=True)
        self.tracker = tracker
        self.said: deque[str] = deque()
        self.written = 0
        self._wake = threading.Condition()
        self._view: StudyView | None = None
        self._study: Callable[[], Run] | None = None
        self._fresh = self._ending = self._hurry = False
        self._known: set[str] | None = None  # keys of the runs that the tracker has; None as long as it is not open
        self._not_before = 0.0
        self._complained = self._welcomed = False

    def tell(self, view: StudyView) -> None:
        """Give the newest view of the study. It returns at once."""
        with self._wake:
            self._view, self._fresh = view, True
            self._wake.notify()

    def finish(self, study: Callable[[], Run] | None) -> None:
        """Let the thread end after the runs that are missing.

        Args:
            study: makes the run of the study; None if the search was interrupted: then the thread stops as soon as
                it can, and a continued search writes the rest.
        """
        with self._wake:
            self._study, self._ending, self._hurry, self._fresh = study, True, study is None, True
            self._wake.notify()

    def missing(self) -> int:
        """The number of ended trials that the tracker does not have."""
        view, known = self._view, self._known or set()
        return 0 if view is None else sum(trial_id(t) not in known for t in ended(view))

    def run(self) -> None:
        """Write until the end; called by `start`."""
        ending = False
        while not ending:
            with self._wake:
                self._wake.wait_for(lambda: self._fresh)
                view, study, ending, self._fresh = self._view, self._study, self._ending, False
            if view is not None and not self._hurry and (ending or time.monotonic() >= self._not_before):
                self._try(view, study)
        try:
            self.tracker.close()
        except (Exception, SystemExit) as error:
            self._complain(error)

    def _try(self, view: StudyView, study: Callable[[], Run] | None) -> None:
        try:
            if self._known is None:
                self._known = self.tracker.connect(view)
                if not self._welcomed:
                    self.said.append(f"{self.tracker.title}: {self.tracker.place()}.")
                self._welcomed = True
            self._write(view, study, self._known)
        except (Exception, SystemExit) as error:  # whatever a tracker does, the search goes on
            self._known, self._not_before = None, time.monotonic() + PAUSE
            self._complain(error)

    def _write(self, view: StudyView, study: Callable[[], Run] | None, known: set[str]) -> None:
        said: Verdicts | None = None
        for trial in ended(view):
            if self._hurry:
                return
            if trial_id(trial) in known:
                continue
            said = self._verdicts(view) if said is None else said
            run = trial_run(view, trial, said)
            self.tracker.write(run)
            known.add(run.id)
            self.written += 1
        if study is not None and study_key(view) not in known:
            now = self._verdicts(view)
            self.tracker.label({trial_id(t): {"verdict": v} for t in ended(view) if (v := now.get(t.architecture))})
            self.tracker.write(study())
            known.add(study_key(view))
            self.written += 1

    def _verdicts(self, view: StudyView) -> Verdicts:
        with _ONE_AT_A_TIME:
            return verdicts(view)

    def _complain(self, error: BaseException) -> None:
        """Say once that something failed."""
        if self._complained:
            return
        self._complained = True
        self.said.append(
            f"The search goes on without {self.tracker.title} for now ({reason(error)}); the trials that are missing "
            "there are added as soon as it works, or when the study is continued."
        )


def reason(error: BaseException) -> str:
    """The first line of an error, without secrets, short enough for a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    words = " ".join(masked(word) if "://" in word else word for word in lines[0].split()).rstrip(".")
    return words if len(words) <= SHOWN else f"{words[:SHOWN]} ..."
