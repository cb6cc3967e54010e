"""The record log: one append-only file per run folder, the single source of truth about a study.

Each line is one JSON object with a `kind`:

    study      once, as the first line: version, configuration, base model, slots, space, costs, fingerprints
    target     each time the number of trials changes
    slots      once, after the base is trained: the liveness of each slot, and the slots to search
    started    a trial was started: number, role, architecture, seed, cost, the sampler's parameters
    finished   a trial ended: number, state (complete, failed), evaluation or reason
    evidence   a trial of an earlier study was copied: the fields of `started`, its origin, its evaluation
    refused    an architecture was refused, e.g. for a limit, and not trained: number, role, architecture, cost, reason

The log of an ablation also has `model` (another base model) and `design` (arms, comparisons, looks). The fields of
each kind and their types are in `record_kinds.py`.

Each line is written together with its newline in one call, then fsynced. So a crash can cut off only the last line; the
reader drops it. The reader ignores records of an unknown kind and unknown fields: a later version may have written
them. Each number belongs to one trial: the first one that starts with it. A trial that has ended never changes.
"""

from __future__ import annotations

import errno
import json
import math
import os
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nas_attn._version import __version__
from nas_attn.atomic_files import is_file
from nas_attn.errors import EDQUOT, RecordLost, UserError
from nas_attn.study.broken_rules import broken_rule
from nas_attn.study.record_kinds import KINDS

LOG_NAME = "records.jsonl"
FORMAT = 1
RESTORE = "Restore the file from a copy, or start a new study under another name."
COPY = "Keep a copy of the file, then remove"
NESTED = ("config", "fingerprints", "ablation", "settings")  # objects whose fields readers use
NAMED = 10  # number of damaged lines that a message lists


class Record(dict[str, Any]):
    """One record as it was written: a dict in which a missing field raises `RecordLost`, not `KeyError`.

    Args:
        fields: the fields of the record.
        where: the line that holds it; error messages name it.
    """

    def __init__(self, fields: Mapping[str, Any], where: str) -> None:
        super().__init__(fields)
        self.where = where

    def __missing__(self, key: str) -> Any:
        remedy = (
            f"{COPY} that line to continue without its record." if self.get("kind", "study") != "study" else RESTORE
        )
        raise RecordLost(f"{self.where} has no `{key}`, which is needed. {remedy}")

    def changed(self, more: Mapping[str, Any]) -> Record:
        """A copy of the record in which the fields in `more` are added or replaced."""
        inner = {k: Record(v, old.where) for k, v in more.items() if isinstance(old := self.get(k), Record)}
        return Record({**self, **more, **inner}, self.where)


@dataclass
class Position:
    """The position up to which a log was read.

    Attributes:
        line: number of lines read.
        offset: number of bytes read.
        last: the last line read.
        numbers: numbers of the trials that started in these lines.
        first: kind of the first undamaged record in these lines.
    """

    line: int = 0
    offset: int = 0
    last: bytes = b""
    numbers: set[int] = field(default_factory=set)
    first: str = ""


class RecordLog:
    """The append-only record log of one run folder.

    Args:
        folder: the run folder, which exists.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG_NAME

    def exists(self) -> bool:
        """True if the log has at least one byte."""
        return is_file(self.path) and self.path.stat().st_size > 0

    def append(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Write one record. It is on the disk when this function returns.

        Args:
            kind: kind of the record.
            fields: its other fields, JSON-ready.

        Returns:
            The record.

        Raises:
            RecordLost: the record cannot be written.
        """
        record = {"kind": kind, **fields}
        try:
            line = json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n"
        except ValueError:  # JSON has no NaN and no infinity, e.g. for a loss
            line = json.dumps(_plain(record), separators=(",", ":")) + "\n"
        try:
            with self.path.open("ab", buffering=0) as file:
                rest = line.encode()
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
        except OSError as error:
            first = "Make room" if error.errno in (errno.ENOSPC, EDQUOT) else "Make it writable"
            raise RecordLost(
                f"a record could not be written to '{self.path}' ({error.strerror}). {first}, then give the same "
                "command again: all earlier records are intact."
            ) from error
        return record

    def read(self, since: Position | None = None) -> Iterator[Record]:
        """Yield all complete records in order.

        Args:
            since: yield only the records after this position; the position moves forward with them.

        Raises:
            RecordLost: lines are damaged. The error names all of them; it is raised after the records before the
                first damaged line. It is also raised, before any record, if the first record is not of kind `study`.
            UserError: a later version of this package wrote the log in a newer format.
        """
        damaged: dict[int, str] = {}
        now = Position() if since is None else since
        for line in self._lines(now):
            try:
                record = _read_line(line, f"line {now.line} of '{self.path}'")
                _check_number(record, now.numbers)
            except _Damaged as damage:
                damaged[now.line] = str(damage)
                continue
            now.first = now.first or record["kind"]
            if not damaged and now.first == "study":
                yield record
        if now.first not in ("", "study") and not damaged:
            raise RecordLost(f"'{self.path}' has lost its first record, which describes the study. {RESTORE}")
        if damaged:
            raise RecordLost(_advice(self.path, damaged, told=now.first == "study"))

    def _lines(self, now: Position) -> Iterator[bytes]:
        """Every complete line after a position, without empty lines."""
        try:
            if is_file(self.path):
                with self.path.open("rb") as file:
                    file.seek(now.offset)
                    for line in file:
                        if not line.endswith(b"\n"):
                            return
                        now.line, now.offset, now.last = now.line + 1, now.offset + len(line), line
                        if line.strip():
                            yield line
        except OSError as error:
            raise RecordLost(f"the record log '{self.path}' cannot be read ({error.strerror}).") from error

    def holds(self, position: Position) -> bool:
        """True if the log has only grown since `position` was read: the last line before it is still the same."""
        try:
            with self.path.open("rb") as file:
                file.seek(position.offset - len(position.last))
                return file.read(len(position.last)) == position.last
        except OSError:
            return False

    def repair(self) -> None:
        """Remove the last line if a crash cut it off, so that the next record starts on a new line."""
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)
                file.flush()
                os.fsync(file.fileno())


def wrong(fields: Mapping[str, Any]) -> str | None:
    """The first fault in the fields of a record, as text; None if readers accept the record."""
    try:
        if fields["kind"] in KINDS:
            KINDS[fields["kind"]].model_validate(fields)
    except ValidationError as error:
        return _said(error)
    return None


def _plain(value: Any) -> Any:
    """The value with None in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Damaged(Exception):
    """A line is not a record; the message says why."""


def _read_line(line: bytes, where: str) -> Record:
    """The record in a line, with checked fields.

    Raises:
        _Damaged: the line is not a record.
        UserError: a later version wrote the log in a newer format.
    """
    try:
        text = line.decode("utf-8-sig")
        fields = json.loads(text)
        if "\\u" in text:  # half of a surrogate pair cannot be encoded, so no page could show it
            json.dumps(fields, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise _Damaged("it is not JSON") from None
    if not isinstance(fields, dict):
        raise _Damaged("it is not a record: a record is an object with a `kind`")
    kind = fields.get("kind")
    if not isinstance(kind, str):
        raise _Damaged("it has no `kind`" if kind is None else "its `kind` is not text")
    if kind == "study":
        _check_format(fields, where)
    if (said := wrong(fields)) is not None:
        raise _Damaged(said)
    nested = {k: Record(v, f"`{k}` in {where}") for k in NESTED if isinstance(v := fields.get(k), dict)}
    return Record({**fields, **nested}, where)


def _said(error: ValidationError) -> str:
    """The first of pydantic's errors, in plain words."""
    first = error.errors(include_url=False)[0]
    got = "" if first["type"] in ("missing", "value_error") else f", got {reprlib.repr(first['input'])}"
    return broken_rule(first) + got


def _check_format(fields: Mapping[str, Any], where: str) -> None:
    """Refuse a log of a newer format.

    Raises:
        UserError: a later version wrote the log in a newer format.
        _Damaged: `format` is not the number of a format.
    """
    found = fields.get("format", FORMAT)
    if type(found) is not int or found < 1:
        raise _Damaged("its `format` is not the number of a format")
    if found > FORMAT:
        raise UserError(
            "the records must be in a format that this version can read",
            got=f"format {found}, written by nas_attn {fields.get('version', '?')}; this is {__version__}",
            where=where,
            remedy="Update nas_attn to that version or a newer one.",
        )


def _check_number(record: Record, numbers: set[int]) -> None:
    """Add the number of a started trial to `numbers`; check that a trial that ends was started.

    Raises:
        _Damaged: the trial ends but never started.
    """
    if record["kind"] in ("started", "refused", "evidence"):
        numbers.add(record["number"])
    elif record["kind"] == "finished" and record["number"] not in numbers:
        raise _Damaged(f"no earlier line says that trial {record['number']} started")


def _advice(path: Path, wrong: Mapping[int, str], told: bool) -> str:
    """The message about damaged lines. If the user follows its advice, the rest of the log can be read.

    Args:
        path: the log.
        wrong: line number -> the fault of that line.
        told: True if the first undamaged record is of kind `study`.
    """
    lines, many = list(wrong), len(wrong) > 1
    shown = ", ".join(map(str, lines[:NAMED])) + (f" and {len(lines) - NAMED} more" if len(lines) > NAMED else "")
    head = f"line{'s' if many else ''} {shown} of '{path}' {'are' if many else 'is'} damaged"
    reason = f"line {lines[0]}: {wrong[lines[0]]}" if many else wrong[lines[0]]
    if not told:
        return f"{head} ({reason}), and the first record, which describes the study, is missing. {RESTORE}"
    them = "these lines to continue without their records" if many else "that line to continue without its record"
    return f"{head} ({reason}). {COPY} {them}; all other lines are intact."
