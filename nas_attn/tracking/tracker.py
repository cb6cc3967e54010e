"""The rules that each tracker keeps, and the table of trackers."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from nas_attn.errors import MissingPart
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
    def open(self, view: StudyView) -> set[str]:
        """Connect, and return the keys of the runs that are there and whole. It is called again after an error.

        Runs that an interrupted process left unfinished are removed, so that they are written again.

        Raises:
            NotReady: something is not set up.
        """

    @abstractmethod
    def place(self) -> str:
        """The place where the runs are, as words for the user; called after `open`."""

    @abstractmethod
    def write(self, run: Run) -> None:
        """Write a run that is not there yet, or the run of the study again."""

    def label(self, labels: Mapping[str, Mapping[str, str]]) -> None:  # noqa: B027 (few trackers can do it)
        """Change labels of runs that were written before, if the tracker can; run id -> labels."""

    def close(self) -> None:  # noqa: B027
        """Let go of everything; called once."""


def _mlflow(folder: Path) -> Tracker:
    from nas_attn.tracking.to_mlflow import ToMlflow

    return ToMlflow(folder)


def _tensorboard(folder: Path) -> Tracker:
    from nas_attn.tracking.to_tensorboard import ToTensorBoard

    return ToTensorBoard(folder)


def _wandb(folder: Path) -> Tracker:
    from nas_attn.tracking.to_wandb import ToWandb

    return ToWandb(folder)


TABLE: dict[str, Callable[[Path], Tracker]] = {"mlflow": _mlflow, "tensorboard": _tensorboard, "wandb": _wandb}


def trackers(names: Collection[str], folder: Path) -> list[Tracker]:
    """The trackers with these names, not connected yet.

    Args:
        names: keys of `TABLE`; each is also the name of the library.
        folder: the run folder of the study.

    Raises:
        MissingPart: a library is not installed.
    """
    if lacking := [name for name in names if not _installed(name)]:
        verb = "is" if len(lacking) == 1 else "are"
        remedy = f"run `pip install 'nas_attn[{','.join(lacking)}]'`, or leave out --track"
        raise MissingPart(f"{' and '.join(lacking)} {verb} not installed: {remedy}")
    return [TABLE[name](folder) for name in names]


def _installed(library: str) -> bool:
    """True for an installed library; a folder `wandb` or `mlflow` in the working directory is none."""
    found = importlib.util.find_spec(library)
    return found is not None and found.origin is not None
