"""A study that may be growing, read again only when its record log changed."""

from __future__ import annotations

import threading
from pathlib import Path

from nas_attn.study.records import RecordLog
from nas_attn.study.view import Candidate, StudyView


class LiveStudy:
    """The newest view of a run folder; shared by the server's threads, never writes.

    Args:
        folder: the run folder.

    Raises:
        UserError: it holds no study.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._lock = threading.Lock()
        self._stamp = self.stamp()
        self._view = StudyView.read(self.folder)

    def stamp(self) -> str:
        """A text that changes whenever the record log does."""
        path = RecordLog(self.folder).path
        if not path.exists():
            return ""
        state = path.stat()
        return f"{state.st_mtime_ns}-{state.st_size}"

    def view(self) -> StudyView:
        """The study as of now."""
        with self._lock:
            stamp = self.stamp()
            if stamp not in ("", self._stamp):  # a folder that was taken away keeps its last view
                self._view = StudyView.read(self.folder)
                self._stamp = stamp
            return self._view

    def candidate(self, key: str | None) -> Candidate | None:
        """The candidate of that key, if the study has it."""
        return next((c for c in self.view().candidates() if c.key == key), None)
