"""The record log: one append-only file a run folder, the only truth about a study.

Each line is one JSON object with a `kind`:

    study      once, first: version, configuration, base model, slots, space, costs, fingerprints
    target     each time another number of trials is asked for
    slots      once, after the base is trained: liveness of each slot and the slots that are searched
    started    a trial was handed out: number, role, architecture, seed, cost, the sampler's parameters
    finished   that trial ended: number, state (complete, failed), evaluation or reason
    refused    an architecture over a limit, never trained: number, role, architecture, cost, reason

An ablation's log also has `model` (another base model) and `design` (arms, comparisons, looks). The fields of every
kind and their types stand in `record_kinds.py`.

A line is written with its newline in one call and fsynced. A crash can cut short only the last one; it is dropped.
A record of an unknown kind and an unknown field are passed over: a later version wrote them in the same format. A
number is given once: the first trial that starts with it keeps it, and an ended one stays as it is.
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
from nas_attn.study.record_kinds import KINDS

LOG_NAME = "records.jsonl"
FORMAT = 1
RESTORE = "Restore the file from a copy, or start the study anew under another name."
COPY = "Keep a copy of the file, then remove"
NESTED = ("config", "fingerprints", "ablation", "settings")  # fields that readers look into
NAMED = 10  # damaged lines that a message lists


class Record(dict[str, Any]):
    """One record as it was written. A field that it lacks is one `RecordLost`, not a `KeyError`.

    Args:
        fields: its fields.
        where: the line that it stands in; for messages.
    """

    def __init__(self, fields: Mapping[str, Any], where: str) -> None:
        super().__init__(fields)
        self.where = where

    def __missing__(self, key: str) -> Any:
        remedy = f"{COPY} that line to go on without its record." if self.get("kind", "study") != "study" else RESTORE
        raise RecordLost(f"{self.where} has no `{key}`, which is needed here. {remedy}")

    def changed(self, more: Mapping[str, Any]) -> Record:
        """The record with further or other fields."""
        inner = {k: Record(v, old.where) for k, v in more.items() if isinstance(old := self.get(k), Record)}
        return Record({**self, **more, **inner}, self.where)


@dataclass
class Position:
    """The place up to which a log was read.

    Attributes:
        line: lines read.
        offset: bytes read.
        last: the last of these lines.
        numbers: the trials that they start.
        first: the kind of the first whole record among them.
    """

    line: int = 0
    offset: int = 0
    last: bytes = b""
    numbers: set[int] = field(default_factory=set)
    first: str = ""


class RecordLog:
    """The append-only record log of one run folder.

    Args:
        folder: the run folder; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG_NAME

    def exists(self) -> bool:
        """True if anything was ever recorded here."""
        return is_file(self.path) and self.path.stat().st_size > 0

    def append(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Write one record; on disk when this returns."""
        record = {"kind": kind, **fields}
        try:
            line = json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n"
        except ValueError:  # a loss that is no number any more
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
                "command again: what was recorded before is whole."
            ) from error
        return record

    def read(self, since: Position | None = None) -> Iterator[Record]:
        """All whole records, in order; those after a position, which moves on with them.

        Raises:
            RecordLost: lines are damaged; the message names all of them, and comes after the records before them. Or
                the first whole record is no `study`; it comes before any record.
            UserError: a later version of this package wrote the log in a format of its own.
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
            raise RecordLost(f"'{self.path}' has lost its first record, which says what the study is. {RESTORE}")
        if damaged:
            raise RecordLost(_advice(self.path, damaged, told=now.first == "study"))

    def _lines(self, now: Position) -> Iterator[bytes]:
        """Every whole line after a position that is not empty."""
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
        """True if the log only grew since a position was read: its last line there is still the same."""
        try:
            with self.path.open("rb") as file:
                file.seek(position.offset - len(position.last))
                return file.read(len(position.last)) == position.last
        except OSError:
            return False

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


def wrong(fields: Mapping[str, Any]) -> str | None:
    """The first thing that is wrong with the fields of a record; None if it can be read back."""
    try:
        if fields["kind"] in KINDS:
            KINDS[fields["kind"]].model_validate(fields)
    except ValidationError as error:
        return _said(error)
    return None


def _plain(value: Any) -> Any:
    """The same with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Damaged(Exception):
    """A line that holds no record; the message says why."""


def _read_line(line: bytes, where: str) -> Record:
    """The record that a line holds, its fields of the right types.

    Raises:
        _Damaged: it holds none.
        UserError: its format is a later one.
    """
    try:
        text = line.decode("utf-8-sig")
        fields = json.loads(text)
        if "\\u" in text:  # half a surrogate pair is text that no page can show
            json.dumps(fields, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise _Damaged("it is no JSON") from None
    if not isinstance(fields, dict):
        raise _Damaged("it is no record, which is an object with a `kind`")
    kind = fields.get("kind")
    if not isinstance(kind, str):
        raise _Damaged("it has no `kind`" if kind is None else "its `kind` is no text")
    if kind == "study":
        _check_format(fields, where)
    if (said := wrong(fields)) is not None:
        raise _Damaged(said)
    nested = {k: Record(v, f"`{k}` in {where}") for k in NESTED if isinstance(v := fields.get(k), dict)}
    return Record({**fields, **nested}, where)


def _said(error: ValidationError) -> str:
    """The first thing that is wrong with a record's fields."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(map(str, first["loc"]))
    got = "" if first["type"] == "missing" else f", got {reprlib.repr(first['input'])}"
    return f"`{name}`: {first['msg']}{got}" if name else first["msg"]


def _check_format(fields: Mapping[str, Any], where: str) -> None:
    """Refuse a log that a later version wrote in another format.

    Raises:
        UserError: it did.
        _Damaged: the format is no number.
    """
    found = fields.get("format", FORMAT)
    if type(found) is not int or found < 1:
        raise _Damaged("its `format` is no number of a format")
    if found > FORMAT:
        raise UserError(
            "a run folder must be in a format that this version reads",
            got=f"format {found}, written by nas_attn {fields.get('version', '?')}; this is {__version__}",
            where=where,
            remedy="Update nas_attn to that version or a later one.",
        )


def _check_number(record: Record, numbers: set[int]) -> None:
    """Keep the numbers that trials started with, and see that one that ends is among them."""
    if record["kind"] in ("started", "refused"):
        numbers.add(record["number"])
    elif record["kind"] == "finished" and record["number"] not in numbers:
        raise _Damaged(f"no line before it says that trial {record['number']} started")


def _advice(path: Path, wrong: Mapping[int, str], told: bool) -> str:
    """The message about damaged lines and the remedy; after it, the rest of the log can be used.

    Args:
        path: the log.
        wrong: number of a line -> what is wrong with it.
        told: the first whole record says what the study is.
    """
    lines, many = list(wrong), len(wrong) > 1
    shown = ", ".join(map(str, lines[:NAMED])) + (f" and {len(lines) - NAMED} more" if len(lines) > NAMED else "")
    head = f"line{'s' if many else ''} {shown} of '{path}' {'are' if many else 'is'} damaged"
    reason = f"line {lines[0]}: {wrong[lines[0]]}" if many else wrong[lines[0]]
    if not told:
        return f"{head} ({reason}), and no first record says what the study is. {RESTORE}"
    them = "these lines to go on without their records" if many else "that line to go on without its record"
    return f"{head} ({reason}). {COPY} {them}; what stands in the others is whole."
