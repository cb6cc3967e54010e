"""The studies and ablations that a page shows. The page follows a running study: it reads a log again if it changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from nas_attn.ablation.view import FOLDER, AblationView, load_ablations
from nas_attn.dashboard.ablation_card import AblationCard
from nas_attn.errors import UnknownName, UserError
from nas_attn.study.records import LOG_NAME, Position, RecordLog
from nas_attn.study.view import Candidate, StudyView

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """A study with its ablations, or ablations alone.

    Attributes:
        study: the study; if nothing was searched, the newest ablation in the form of a study.
        ablations: its ablations, the oldest first.
        searched: True if `study` was searched.
    """

    study: StudyView
    ablations: tuple[AblationView, ...]
    searched: bool

    @classmethod
    def of(cls, study: StudyView) -> Shown:
        """The study together with the ablations in its folder."""
        return cls(study, tuple(load_ablations(study.folder)), "ablation" not in study.header)

    @property
    def name(self) -> str:
        """The name of the study, also if only its ablations were run."""
        return str(self.study.name if self.searched else self.study.header["config"]["name"])

    def frame(self) -> pandas.DataFrame:
        """A frame with one row per trial; without a search, of all ablations, with columns `ablation` and `model`."""
        if self.searched:
            return self.study.frame()
        import pandas as pd

        frames = []
        for ablation in self.ablations:
            for view in ablation.views.values():
                rows = view.frame()
                rows.insert(0, "ablation", ablation.name)
                rows.insert(1, "model", str(view.header["base"]))
                frames.append(rows)
        return pd.concat(frames, ignore_index=True)


def shown_folder(name: str, runs: Path) -> Path:
    """The folder of a name: the name itself if it is a folder with records, otherwise `runs/NAME`."""
    folder = Path(name)
    return folder if _logs(folder) else runs / name


def load_shown(folder: Path, score: str | None = None) -> Shown:
    """The study and the ablations in a run folder.

    Args:
        folder: the run folder.
        score: the score by which the study is read; None for its own. An ablation tests one score, so it keeps its own.

    Raises:
        UserError: the folder holds no study and no ablation, or the runs of the study did not record the score.
    """
    ablations = tuple(load_ablations(folder))
    if is_searched(folder):
        return Shown(StudyView.read(folder).read_by(score), ablations, True)
    if not ablations:
        there = {log.parent.name for log in folder.parent.glob(f"*/{LOG_NAME}")} - {folder.name}
        remedy = "Run `python -m nas_attn search` or `python -m nas_attn ablate` first, or name another study."
        raise UserError(
            "a run folder must hold a study or an ablation",
            got=f"'{folder}'",
            remedy=UnknownName("study", folder.name, there).remedy if there and not folder.is_dir() else remedy,
        )
    if score is not None:
        rule = "an ablation must be read by its own score, because its tests were planned for that"
        raise UserError(rule, got=score, where="--score", remedy="Leave --score out, or run another ablation with it.")
    newest = ablations[-1]
    return Shown(newest.views[None], ablations, False)


def is_searched(folder: Path) -> bool:
    """True if the record log in a folder is of a search, not of an ablation."""
    first = next(RecordLog(folder).read(), None)
    return first is not None and "ablation" not in first


class Followed(Generic[T]):
    """The newest value of a record log, shared by the threads of the server. It never writes.

    Args:
        folder: the log's folder.
        read: folder -> value.
    """

    def __init__(self, folder: Path, read: Callable[[Path], T]) -> None:
        self.folder, self._read = Path(folder), read
        self._lock = threading.Lock()
        self._stamp = self.stamp()
        self._value = read(self.folder)

    def stamp(self) -> str:
        """A text that changes with the record log."""
        return _stamp(self.folder)

    def value(self) -> T:
        """The current value."""
        with self._lock:
            stamp = self.stamp()
            if stamp not in ("", self._stamp):  # if the folder was removed, the last value stays
                self._value = self._read(self.folder)
                self._stamp = stamp
            return self._value


class _Growing:
    """A reader of a study that reads only the records that are new since the last call."""

    def __init__(self) -> None:
        self._since = Position()
        self._view: StudyView | None = None

    def __call__(self, folder: Path) -> StudyView:
        """The current view of the study."""
        log = RecordLog(folder)
        view, self._view = self._view, None  # after an error, the next call reads the log from its start
        if view is None or not log.holds(self._since):
            self._since = Position()
            view = StudyView.whole(folder, log.read(self._since))
        else:
            for record in log.read(self._since):
                view = view.grown(record)
        self._view = view
        return view


class LiveStudy:
    """The newest view of a study.

    Args:
        folder: the run folder.

    Raises:
        UserError: the folder holds no study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._log = Followed(self.folder, _Growing())

    def stamp(self) -> str:
        """A text that changes with the record log."""
        return self._log.stamp()

    def view(self) -> StudyView:
        """The current view of the study."""
        return self._log.value()

    def candidate(self, key: str | None) -> Candidate | None:
        """The candidate with this key; None if the study does not have it."""
        return next((c for c in self.view().candidates() if c.key == key), None)


class LiveAblations:
    """The newest cards of the ablations in a run folder; each is computed once per state of its log.

    Args:
        folder: the run folder, or the folder of one ablation.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._own = _has_log(self.folder) and not is_searched(self.folder)
        self._lock = threading.Lock()
        self._logs: dict[Path, Followed[list[AblationCard]]] = {}

    def stamp(self) -> str:
        """A text that changes if the log of an ablation changes or another ablation begins."""
        return " ".join(f"{log.folder.name}:{log.stamp()}" for log in self._followed())

    def cards(self) -> list[AblationCard]:
        """The current cards of all ablations, the oldest first."""
        found = [card for log in self._followed() for card in log.value()]
        return sorted(found, key=lambda c: (c.view.header.get("begun", ""), c.view.name))

    def card(self, key: str) -> AblationCard | None:
        """The card with this key; None if there is none."""
        return next((c for c in self.cards() if c.key == key), None)

    def _followed(self) -> list[Followed[list[AblationCard]]]:
        with self._lock:
            inner = [path.parent for path in (self.folder / FOLDER).glob("*/records.jsonl")]
            for folder in [*([self.folder] if self._own else []), *inner]:
                if folder not in self._logs:
                    self._logs[folder] = Followed(folder, _cards)
            return [self._logs[f] for f in sorted(self._logs)]


def _cards(folder: Path) -> list[AblationCard]:
    """The card of the ablation in a folder; none before its design is known."""
    stamp = _stamp(folder)  # taken before reading, so that records added meanwhile are not missed
    return [AblationCard(view, stamp) for view in load_ablations(folder)]


def _stamp(folder: Path) -> str:
    path = RecordLog(folder).path
    if not path.exists():
        return ""
    state = path.stat()
    return f"{state.st_mtime_ns}-{state.st_size}"


def _has_log(folder: Path) -> bool:
    return (folder / "records.jsonl").exists()


def _logs(folder: Path) -> bool:
    return _has_log(folder) or any((folder / FOLDER).glob("*/records.jsonl"))
