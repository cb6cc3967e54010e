"""The observer of a search: the search tells it about each event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from nas_attn.pulse import Reached
from nas_attn.study.view import StudyView, Trial


class Observer(Protocol):
    """The observer of a search. The search calls one of these methods at each event."""

    def preparing(self, what: str) -> None:
        """Called when a step of the preparation starts; nothing is trained yet."""

    def opened(self, view: StudyView, trials: int) -> None:
        """Called when the study starts or continues; it ends when it has `trials` trials."""

    def started(self, view: StudyView, trial: Trial) -> None:
        """Called after a trial started."""

    def progress(self, view: StudyView, places: Mapping[int, Reached]) -> None:
        """Called once a second with the places of running trials: number -> place."""

    def finished(self, view: StudyView, trial: Trial) -> None:
        """Called after a trial ended; its state is `complete` or `failed`."""

    def slots(self, view: StudyView) -> None:
        """Called when the liveness of the slots is known."""

    def note(self, text: str) -> None:
        """Called with a text that the user should read."""


class Silent:
    """An observer of a search or an ablation that does nothing; a base class for those that need few methods."""

    def preparing(self, what: str) -> None:
        """Do nothing."""

    def opened(self, view: Any, *arguments: Any) -> None:
        """Do nothing."""

    def started(self, view: Any, trial: Trial) -> None:
        """Do nothing."""

    def progress(self, view: Any, places: Mapping[int, Reached]) -> None:
        """Do nothing."""

    def finished(self, view: Any, trial: Trial) -> None:
        """Do nothing."""

    def slots(self, view: Any, *arguments: Any) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""
