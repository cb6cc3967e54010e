"""The rules that each tracker keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from nas_attn.study.view import StudyView
from nas_attn.tracking.runs import Run


class NotReady(Exception):
    """A tracker that cannot be used as it is set up; the message says what is missing."""


class Tracker(ABC):
    """A tracker of one study. All its methods are called in one thread, and may raise any error.

    Args:
        folder: the run folder of the study.

    Attributes:
        title: the name that is shown.
    """

    title: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def connect(self, view: StudyView) -> set[str]:
        """Connect, and return the keys of the runs that are there and whole. It is called again after an error.

        Runs that an interrupted process left unfinished are removed, so that they are written again.

        Raises:
            NotReady: something is not set up.
        """

    @abstractmethod
    def place(self) -> str:
        """The place where the runs are, as words for the user; called after `connect`."""

    @abstractmethod
    def write(self, run: Run) -> None:
        """Write a run that is not there yet, or the run of the study again."""

    def label(self, labels: Mapping[str, Mapping[str, str]]) -> None:  # noqa: B027 (few trackers can do it)
        """Change labels of runs that were written before, if the tracker can; run id -> labels."""

    def close(self) -> None:  # noqa: B027
        """Let go of everything; called once."""
