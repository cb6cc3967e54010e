"""The record log: one append-only file a run folder, the only truth about a study.

Each line is one JSON object with a `kind`:

    study      once, first: version, configuration, base model, slots, space, costs, fingerprints
    target     each time another number of trials is asked for
    slots      once, after the base is trained: liveness of each slot and the slots that are searched
    started    a trial was handed out: number, role, architecture, seed, cost, the sampler's parameters
    finished   that trial ended: number, state (complete, failed), evaluation or reason
    refused    an architecture over a limit, never trained: number, role, architecture, cost, reason

A line is written with its newline in one call and fsynced. A crash can cut short only the last one; it is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas_attn.errors import RecordLost

LOG_NAME = "records.jsonl"
FORMAT = 1


class RecordLog:
    """The append-only record log of one run folder.

    Args:
        folder: the run folder; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG_NAME

    def exists(self) -> bool:
        """Whether anything was ever recorded here."""
        return self.path.exists() and self.path.stat().st_size > 0

    def append(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Write one record; on disk when this returns."""
        record = {"kind": kind, **fields}
        line = json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n"
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                rest = line.encode()
                while rest:
                    rest = rest[os.write(handle, rest) :]
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise RecordLost(
                f"a record could not be written to '{self.path}' ({error.strerror}). Make room, then give the same "
                "command again: what was recorded before is whole."
            ) from error
        return record

    def read(self) -> Iterator[dict[str, Any]]:
        """All whole records, in order."""
        if self.path.exists():
            for number, line in enumerate(self.path.read_bytes().splitlines(keepends=True), 1):
                if line.endswith(b"\n"):
                    try:
                        yield json.loads(line)
                    except ValueError as error:
                        raise RecordLost(
                            f"line {number} of '{self.path}' is damaged. Remove that line to go on without its record."
                        ) from error

    def repair(self) -> None:
        """Drop a last line that a crash cut short, so that appending starts on a fresh line."""
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)
                file.flush()
                os.fsync(file.fileno())
