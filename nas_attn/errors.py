"""The errors of this package, as one tree.

NasAttnError
├── UserError            the input breaks a rule: exit code 2, nothing trained, nothing written
│   ├── UnknownName      a name that does not exist; the message suggests the nearest known name
│   ├── GrammarError     an architecture string that cannot be read
│   ├── ConfigError      several problems of one study, reported together
│   ├── DataError        a data set that is missing, empty or inconsistent
│   ├── SlotRefused      a module or setting that cannot be used at a slot
│   ├── NotWritable      a folder that cannot be written to; a study raises `StorageFull` if its disk is read-only
│   ├── StudyChanged     a run folder that holds a different search from the requested one
│   ├── ExportChanged    an exported model YAML that was edited into another network
│   └── CheckFailed      an attention module that breaks a rule for all modules: exit code 1
├── StudyLocked          another supervisor works on the study: exit code 1
├── RecordLost           the record log cannot be written, or was damaged: exit code 1
├── StorageFull          a disk is full or cannot be written: exit code 1; the same command continues the study
├── MissingPart          a library or device that this machine lacks: exit code 1
├── DownloadFailed       a data set that Ultralytics knows by name could not be downloaded: exit code 1
└── EvaluationFailed     one trial could not be trained; the study continues
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
        exit_code: exit code of a command that ends with this error.
    """

    exit_code = 1


class UserError(NasAttnError):
    """Input that breaks a rule.

    Args:
        rule: the broken rule, e.g. "`--trials` must be at least 1".
        got: the wrong value, in a form that the user recognises.
        where: the option, file or line that the value came from.
        remedy: a sentence that says how to correct it.
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

    def __reduce__(self) -> tuple[Any, ...]:  # workers pickle these; pickle alone cannot pass keyword-only arguments
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _cut(text: str) -> str:
    """The text, shortened so that it fits on a screen."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} ... {text[-SHOWN // 4 :]} ({len(text):,} characters)"


def _rebuild(cls: type[UserError], args: tuple[Any, ...], state: dict[str, Any]) -> UserError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class UnknownName(UserError):
    """A name that does not exist; the message suggests the nearest known name.

    Args:
        kind: the kind of thing that is named ("module", "sampler", ...).
        name: the name that was given.
        known: the names that exist.
        where: the option or file that the name came from.
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
    """A module or setting that cannot be used at a slot."""


class StudyChanged(UserError):
    """A run folder that holds a different search from the requested one."""


class NotWritable(UserError):
    """A folder that cannot be created or written to.

    In a command, the name is wrong. In a study, the disk may have failed."""


class ExportChanged(UserError):
    """An exported model YAML that was edited into another network.

    Args:
        model_yaml: the content of the file.
        said: the content of its key `nas_attn`, which describes the exported network.
        details: `got`, `where` and `remedy`, as `UserError` takes them.
    """

    def __init__(self, model_yaml: Mapping[str, Any], said: Mapping[str, str], **details: Any) -> None:
        self.model_yaml, self.said = model_yaml, said
        super().__init__("an exported model must be the network that was exported", **details)


class CheckFailed(UserError):
    """An attention module that breaks a rule for all modules; the checks of `conformance` raise it."""

    exit_code = 1


class ConfigError(UserError):
    """Every problem of one configuration, reported together.

    Args:
        problems: the single errors, in the order in which they were found.
        where: the file or command that they came from.
        readable: the part of the configuration that could be read, so that it can be checked too. It is never used
            for a training.
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
    """Another supervisor works on the study; only one may write to it."""


class RecordLost(NasAttnError):
    """The record log cannot be written, or was damaged from outside."""


class StorageFull(NasAttnError):
    """A disk is full, a quota is used up, or a file system is read-only. The trial can continue later."""


EDQUOT = getattr(errno, "EDQUOT", errno.ENOSPC)  # Windows has no quota of this kind
_FULL = {errno.ENOSPC, errno.EROFS, EDQUOT}
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "database or disk is full", "readonly database")


def storage_full(error: BaseException) -> StorageFull | None:
    """The `StorageFull` error, with a remedy, for an error that a full or read-only disk caused; None for any other.

    The causes of the error are searched too, because libraries hide the system's error: torch raises `unexpected pos`
    while it handles that error, and SQLite has another text.

    Args:
        error: any error, with its `__cause__` and `__context__`.
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
    except Exception:  # an error class of another library may fail in `str`
        return ""


@contextlib.contextmanager
def room_wanted(study: bool = False) -> Iterator[None]:
    """A context that turns an error about a full or read-only disk into `StorageFull`; other errors stay.

    Args:
        study: True if the body is a study. The folder of a study does not change, so then a `NotWritable` can also
            mean that its disk became full or read-only.

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
    """A data set that Ultralytics knows by name could not be downloaded; the message has the reason and the remedy."""


class EvaluationFailed(NasAttnError):
    """One trial could not be trained; the message is the reason, which the trial's record keeps."""
