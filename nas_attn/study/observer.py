"""The observer of a search: the search tells it about each event."""

from __future__ import annotations

from typing import Protocol

from nas_attn.study.view import StudyView, Trial


class Observer(Protocol):
    """The methods that a search calls."""

    def opened(self, view: StudyView, trials: int) -> None:
        """Called when the study starts or continues; it ends when it has `trials` trials."""

    def started(self, view: StudyView, trial: Trial) -> None:
        """Called after a trial started."""

    def finished(self, view: StudyView, trial: Trial) -> None:
        """Called after a trial ended; its state is `complete` or `failed`."""

    def slots(self, view: StudyView) -> None:
        """Called when the liveness of the slots is known."""

    def note(self, text: str) -> None:
        """Called with a text that the user should read."""


class Silent:
    """An observer that tells nobody."""

    def opened(self, view: StudyView, trials: int) -> None:
        """Nothing."""

    def started(self, view: StudyView, trial: Trial) -> None:
        """Nothing."""

    def finished(self, view: StudyView, trial: Trial) -> None:
        """Nothing."""

    def slots(self, view: StudyView) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
