"""The observer of a search, which hears of everything that happens."""

from __future__ import annotations

from typing import Any, Protocol

from nas_attn.study.view import StudyView, Trial


class Observer(Protocol):
    """The calls that a search makes to its observer."""

    def preparing(self, what: str) -> None:
        """A step of the preparation begins; nothing is trained yet."""

    def opened(self, view: StudyView, trials: int) -> None:
        """The study begins, or goes on, until it has that many trials."""

    def started(self, view: StudyView, trial: Trial) -> None:
        """A trial was handed out."""

    def finished(self, view: StudyView, trial: Trial) -> None:
        """A trial ended, complete or failed."""

    def slots(self, view: StudyView) -> None:
        """The slots' liveness is known."""

    def note(self, text: str) -> None:
        """Something that a person should read."""


class Silent:
    """An observer, of a search or an ablation, that tells nobody; a base for those that hear of some things only."""

    def preparing(self, what: str) -> None:
        """Nothing."""

    def opened(self, view: Any, *arguments: Any) -> None:
        """Nothing."""

    def started(self, view: Any, trial: Trial) -> None:
        """Nothing."""

    def finished(self, view: Any, trial: Trial) -> None:
        """Nothing."""

    def slots(self, view: Any, *arguments: Any) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
