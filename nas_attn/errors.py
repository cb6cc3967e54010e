"""The errors of this package, as one tree.

NasAttnError
├── UserError            the input breaks a rule: exit code 2, nothing trained, nothing written
│   ├── UnknownName      a name that is in no list; it names the nearest known one
│   ├── GrammarError     an architecture string that cannot be read
│   ├── ConfigError      several problems of one study, reported together
│   ├── DataError        a data set that is missing, empty or inconsistent
│   ├── SlotRefused      a module or setting that cannot stand at a slot
│   ├── NotWritable      a folder that cannot be written to; `StorageFull` if a study meets a disk of that kind
│   ├── StudyChanged     a run folder that holds another search than the one asked for
│   ├── ExportChanged    an exported model YAML that is not the network that was exported
│   └── CheckFailed      an attention module that breaks a rule of all modules: exit code 1
├── StudyLocked          another supervisor works on the study: exit code 1
├── RecordLost           the record log cannot be written, or was damaged: exit code 1
├── StorageFull          a disk is full or cannot be written: exit code 1; the trial goes on when there is room
├── MissingPart          a library or device that this machine lacks: exit code 1
├── DownloadFailed       a data set that is known by name could not be fetched: exit code 1
└── EvaluationFailed     one trial could not be trained; the study goes on
"""

from __future__ import annotations

import contextlib
import difflib
import errno
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SHOWN = 600  # characters of a value that a message repeats


class NasAttnError(Exception):
    """Root of every error that this package raises on purpose.

    Attributes:
        exit_code: exit code of a command that ends with it.
    """

    exit_code = 1


class UserError(NasAttnError):
    """Input that breaks a rule.

    Args:
        rule: the broken rule, e.g. "`--trials` must be at least 1".
        got: the offending value, as the user would recognise it.
        where: the option, file or line it came from.
        remedy: the way to mend it.
    """

    exit_code = 2

    def __init__(self, rule: str, *, got: object = None, where: str = "", remedy: str = "") -> None:
        self.rule, self.got, self.where, self.remedy = rule, got, where, remedy
        super().__init__(rule, got, where, remedy)

    def __str__(self) -> str:
        text = self.rule if self.got is None else f"{self.rule}, but got {_cut(str(self.got))}"
        if self.where:
            text += f" (in {_cut(self.where)})"
        return f"{text}. {self.remedy}" if self.remedy else f"{text}."

    def __reduce__(self) -> tuple[Any, ...]:  # workers send these through a pipe; keyword-only arguments need help
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _cut(text: str) -> str:
    """A text of the user, cut so that it fits on a screen."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} ... {text[-SHOWN // 4 :]} ({len(text):,} characters)"


def _rebuild(cls: type[UserError], args: tuple[Any, ...], state: dict[str, Any]) -> UserError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class UnknownName(UserError):
    """A name that is in no list.

    Args:
        kind: kind of thing that is named ("module", "sampler", ...).
        name: the name that was given.
        known: the names that exist.
        where: the option or file it came from.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        known = sorted(known)
        folded = {k.lower(): k for k in known}
        close = [folded[k] for k in difflib.get_close_matches(str(name).lower(), folded, n=1, cutoff=0.6)]
        listing = f"Known: {', '.join(known)}" if known else "None are known"
        remedy = f"Did you mean '{close[0]}'? {listing}." if close else f"{listing}."
        super().__init__(f"the {kind} must be a known one", got=f"'{name}'", where=where, remedy=remedy)


class GrammarError(UserError):
    """An architecture string that cannot be read."""


class DataError(UserError):
    """A data set that is missing, empty or inconsistent."""


class SlotRefused(UserError):
    """A module or setting that cannot stand at a slot."""


class StudyChanged(UserError):
    """A run folder that holds another search than the one asked for."""


class NotWritable(UserError):
    """A folder that cannot be made or written to: a wrong name in a command, or perhaps a broken disk in a study."""


class ExportChanged(UserError):
    """An exported model YAML that is not the network that was exported.

    Args:
        model_yaml: its content.
        said: the file's own key about the exported network.
        details: `got`, `where` and `remedy` as of any `UserError`.
    """

    def __init__(self, model_yaml: Mapping[str, Any], said: Mapping[str, str], **details: Any) -> None:
        self.model_yaml, self.said = model_yaml, said
        super().__init__("an exported model must be the network that was exported", **details)


class CheckFailed(UserError):
    """An attention module that breaks a rule which all modules keep; raised by the checks of `conformance`."""

    exit_code = 1


class ConfigError(UserError):
    """Every problem of one configuration, reported together.

    Args:
        problems: the single errors, in the order in which they were found.
        where: the file or command they came from.
        readable: the part that could be read in spite of them, so that it can be checked too; never used to train.
    """

    def __init__(self, problems: Iterable[UserError], *, where: str = "", readable: Any = None) -> None:
        self.problems = tuple(problems)
        self.readable = readable
        super().__init__(f"{len(self.problems)} problems", where=where)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        head = f"{len(self.problems)} problems" + (f" in {self.where}" if self.where else "")
        return "\n".join([f"{head}:", *(f"  {i}. {p}" for i, p in enumerate(self.problems, 1))])


class StudyLocked(NasAttnError):
    """Another supervisor works on the study."""


class RecordLost(NasAttnError):
    """The record log cannot be written, or was damaged from outside."""


class StorageFull(NasAttnError):
    """A disk is full, a quota is spent, or a file system is read-only: no fault of the trial, which goes on later."""


EDQUOT = getattr(errno, "EDQUOT", errno.ENOSPC)  # Windows has no quota of this kind
_FULL = {errno.ENOSPC, errno.EROFS, EDQUOT}
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "database or disk is full", "readonly database")


def storage_full(error: BaseException) -> StorageFull | None:
    """The error with a remedy, if an error or its cause means that nothing more can be written; else None.

    Libraries hide the system's error: torch raises `unexpected pos` while it handles it, SQLite has another text.
    """
    seen: list[BaseException] = []
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is None or any(link is one for one in seen):
            continue
        seen.append(link)
        if isinstance(link, StorageFull):
            return link
        where = f"'{link.filename}': " if isinstance(link, OSError) and link.filename else ""
        what = link.strerror if isinstance(link, OSError) and link.errno in _FULL else _words(link)
        if what:
            first = "Make it writable" if "read" in what.lower() else "Make room"
            remedy = f"{first}, then give the same command again: it continues."
            return StorageFull(f"nothing more can be written ({where}{what}). {remedy}")
        links += [link.__cause__, link.__context__]
    return None


def _words(error: BaseException) -> str:
    try:
        return next((words for words in _FULL_WORDS if words in str(error)), "")
    except Exception:  # a foreign error, which may fail to print
        return ""


@contextlib.contextmanager
def room_wanted(study: bool = False) -> Iterator[None]:
    """Turn errors of the body which mean that nothing more can be written into `StorageFull`; others stay.

    Args:
        study: True if the body is a study; then a `NotWritable` may mean a full disk too, as its files never move.

    Raises:
        StorageFull: nothing more can be written.
    """
    try:
        yield
    except Exception as error:
        stays = isinstance(error, NasAttnError) and not (study and isinstance(error, NotWritable))
        if stays or (full := storage_full(error)) is None:
            raise
        raise full from error


class MissingPart(NasAttnError):
    """A library or device that this machine lacks; the message is one line with the remedy."""


class DownloadFailed(NasAttnError):
    """A data set that Ultralytics knows by name could not be fetched; the message has the reason and the remedy."""


class EvaluationFailed(NasAttnError):
    """One trial could not be trained; the message is the reason that its record keeps."""
