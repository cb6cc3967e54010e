"""The folder of one full training, and its state: new, finished, interrupted, or written by another command.

Ultralytics fills and empties the folder itself, e.g. `best-seed0`. Therefore our two files lie next to it:
`best-seed0.asked.json` has everything that decides the result, and `best-seed0-start.pt` is the model that the training
starts from if weights are given.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from nas_attn.atomic_files import write_text_atomic
from nas_attn.errors import StudyLocked, UserError

State = Literal["new", "finished", "trained", "broken off", "other"]
OURS = ("result.json", "results.csv", "weights/last.pt", "weights/best.pt")  # a new training deletes these first


@dataclass(frozen=True)
class TrainingFolder:
    """The folder of one full training.

    Attributes:
        folder: the folder that Ultralytics fills.
        asked: everything except the seed that decides the result, JSON-ready.
    """

    folder: Path
    asked: Mapping[str, Any]

    @property
    def start(self) -> Path:
        """The checkpoint that the training starts from, if weights are given."""
        return self.folder.with_name(f"{self.folder.name}-start.pt")

    @property
    def last(self) -> Path:
        """The checkpoint of the last complete epoch."""
        return self.folder / "weights" / "last.pt"

    @property
    def best(self) -> Path:
        """The best checkpoint."""
        return self.folder / "weights" / "best.pt"

    @property
    def result(self) -> Path:
        """The file for the result, which may not exist yet."""
        return self.folder / "result.json"

    @property
    def _note(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.asked.json")

    def state(self) -> State:
        """The state of the folder: `new`, `finished`, `trained`, `broken off` or `other`.

        `trained`: only the final evaluation is missing. `broken off`: an epoch is missing. `other`: another command or
        another program wrote the folder.
        """
        noted = self.content()
        if not noted:
            empty = not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir()))
            return "new" if empty and not self.start.exists() else "other"
        if noted.get("asked") != self.asked:
            return "other"
        if self.result.exists():
            return "finished"
        epochs = epochs_of(self.last)
        if epochs is None:
            return "new"
        done, total = epochs
        return "broken off" if 0 < done < total else "trained"

    def check(self, *, force: bool) -> None:
        """Refuse to overwrite the files of another command.

        Args:
            force: True to allow it.

        Raises:
            UserError: another command wrote the folder, and `force` is not set.
        """
        if not force and self.state() == "other":
            raise UserError(
                "the folder of a run must be empty, or come from exactly the same command",
                got=f"'{self.folder}', which another command wrote",
                remedy="Give another --output, or overwrite the folder with --force.",
            )

    def content(self) -> dict[str, Any]:
        """The content of the result file if the training is finished, else the note that `begin` wrote."""
        return _read(self.result) or _read(self._note) or {}

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the folder, so that no other process trains in it.

        Raises:
            StudyLocked: another process holds it.
        """
        path = self.folder.with_name(f"{self.folder.name}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path, timeout=0):
                yield
                with contextlib.suppress(PermissionError):  # Windows deletes no locked file
                    path.unlink(missing_ok=True)
        except Timeout:
            raise StudyLocked(
                f"another process trains in '{self.folder}'; wait for it, or give another --output"
            ) from None

    def begin(self, said: Mapping[str, Any]) -> None:
        """Delete the files of an earlier run, and write the note with `asked`.

        Args:
            said: further entries for the note.
        """
        for name in OURS:
            (self.folder / name).unlink(missing_ok=True)
        self.start.unlink(missing_ok=True)
        write_text_atomic(self._note, json.dumps({**said, "asked": self.asked}, indent=1))

    def resume(self) -> int:
        """Delete the rows of results.csv after the last checkpoint's epoch; return the number of finished epochs."""
        epochs = epochs_of(self.last)
        assert epochs is not None
        done = epochs[0]
        path = self.folder / "results.csv"
        if path.exists():
            header, *rows = csv.reader(io.StringIO(path.read_text("utf-8")))
            kept = [row for row in rows if row and float(row[0]) <= done]
            write_text_atomic(path, "".join(",".join(row) + "\n" for row in (header, *kept)))
        return done

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, and delete the note."""
        write_text_atomic(self.result, json.dumps({"asked": self.asked, "result": result}, indent=1))
        self._note.unlink(missing_ok=True)
        for name in ("last.part", "best.part"):  # left by a crash during the writing of a checkpoint
            (self.last.parent / name).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def epochs_of(checkpoint: Path) -> tuple[int, int] | None:
    """(finished epochs, all epochs) of a checkpoint of Ultralytics; None if it cannot be read.

    If the training is over, Ultralytics has reset the number of finished epochs to 0.

    Raises:
        UserError: reading the checkpoint could run foreign code.
    """
    from nas_attn.detector.model.safe_checkpoint import UNREADABLE, load_checkpoint

    try:
        content = load_checkpoint(checkpoint)
    except UNREADABLE:
        return None
    if not isinstance(content, dict) or "epoch" not in content:
        return None
    return int(content["epoch"]) + 1, int((content.get("train_args") or {}).get("epochs", 0))
