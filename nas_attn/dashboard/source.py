"""The studies and ablations that a page shows. A growing study is followed: a log is read again if it changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from nas_attn.ablation.view import FOLDER, AblationView, load_ablations
from nas_attn.dashboard.ablation_card import AblationCard
from nas_attn.errors import UserError
from nas_attn.study.records import Position, RecordLog
from nas_attn.study.view import Candidate, StudyView

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """A study with its ablations, or ablations alone.

    Attributes:
        study: the study; if nothing was searched, the newest ablation read as one.
        ablations: the oldest first.
        searched: whether `study` is one.
    """

    study: StudyView
    ablations: tuple[AblationView, ...]
    searched: bool

    @classmethod
    def of(cls, study: StudyView) -> Shown:
        """A study that was read, with the ablations in its folder."""
        return cls(study, tuple(load_ablations(study.folder)), "ablation" not in study.header)

    @property
    def name(self) -> str:
        """The study's name, also if only its ablations were run."""
        return str(self.study.name if self.searched else self.study.header["config"]["name"])

    def frame(self) -> pandas.DataFrame:
        """One row a trial; without a search those of all ablations, with their `ablation` and base `model`."""
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
    """The folder that a name means: a path to a run folder or an ablation's own, or `runs/NAME`."""
    folder = Path(name)
    return folder if _logs(folder) else runs / name


def load_shown(folder: Path) -> Shown:
    """The study and the ablations in a run folder.

    Raises:
        UserError: neither a study nor an ablation.
    """
    ablations = tuple(load_ablations(folder))
    if is_searched(folder):
        return Shown(StudyView.read(folder), ablations, True)
    if not ablations:
        raise UserError(
            "a run folder must hold a study or an ablation",
            got=f"'{folder}'",
            remedy="Run `python -m nas_attn search` or `ablate` first, or name another study.",
        )
    newest = ablations[-1]
    return Shown(newest.views[None], ablations, False)


def is_searched(folder: Path) -> bool:
    """True if a folder's own record log is that of a search, not of an ablation."""
    first = next(RecordLog(folder).read(), None)
    return first is not None and "ablation" not in first


class Followed(Generic[T]):
    """The newest value read from a record log; shared by the server's threads, never writes.

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
        """A text that changes whenever the record log does."""
        return _stamp(self.folder)

    def value(self) -> T:
        """The value as of now."""
        with self._lock:
            stamp = self.stamp()
            if stamp not in ("", self._stamp):  # a folder that was taken away keeps its last state
                self._value = self._read(self.folder)
                self._stamp = stamp
            return self._value


class _Growing:
    """A reader of a study's view that reads only the records added since the last time."""

    def __init__(self) -> None:
        self._since = Position()
        self._view: StudyView | None = None

    def __call__(self, folder: Path) -> StudyView:
        """The study as of now."""
        log = RecordLog(folder)
        view, self._view = self._view, None  # after an error the log is read from its start the next time
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
        UserError: it holds no study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._log = Followed(self.folder, _Growing())

    def stamp(self) -> str:
        """A text that changes whenever the record log does."""
        return self._log.stamp()

    def view(self) -> StudyView:
        """The study as of now."""
        return self._log.value()

    def candidate(self, key: str | None) -> Candidate | None:
        """The candidate of that key, if the study has it."""
        return next((c for c in self.view().candidates() if c.key == key), None)


class LiveAblations:
    """The newest cards of a run folder's ablations; each is computed once per state of its log.

    Args:
        folder: the run folder, or the ablation's own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._own = _has_log(self.folder) and not is_searched(self.folder)
        self._lock = threading.Lock()
        self._logs: dict[Path, Followed[list[AblationCard]]] = {}

    def stamp(self) -> str:
        """A text that changes whenever an ablation's log does, or another ablation begins."""
        return " ".join(f"{log.folder.name}:{log.stamp()}" for log in self._followed())

    def cards(self) -> list[AblationCard]:
        """All ablations as of now, the oldest first."""
        found = [card for log in self._followed() for card in log.value()]
        return sorted(found, key=lambda c: (c.view.header.get("begun", ""), c.view.name))

    def card(self, key: str) -> AblationCard | None:
        """The ablation of that key."""
        return next((c for c in self.cards() if c.key == key), None)

    def _followed(self) -> list[Followed[list[AblationCard]]]:
        with self._lock:
            inner = [path.parent for path in (self.folder / FOLDER).glob("*/records.jsonl")]
            for folder in [*([self.folder] if self._own else []), *inner]:
                if folder not in self._logs:
                    self._logs[folder] = Followed(folder, _cards)
            return [self._logs[f] for f in sorted(self._logs)]


def _cards(folder: Path) -> list[AblationCard]:
    """The ablation in its own folder; none before its design is known."""
    stamp = _stamp(folder)  # taken before reading: records added meanwhile are then drawn again, not missed
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
