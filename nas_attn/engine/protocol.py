"""The engine: it takes calls, runs each in a process that it chooses, and hands back outcomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nas_attn.evaluate import Evaluation


@dataclass(frozen=True)
class Call:
    """One call of a function, to be run by an engine.

    Attributes:
        key: the caller's name for it; a trial's number, or a word.
        function: a picklable callable that returns an `Evaluation`.
        arguments: its positional arguments, picklable.
        keywords: its keyword arguments, picklable.
        result: file that holds the result once there is one. A call whose file exists is not run again, so a result
            outlives the supervisor that asked for it.
        signature: names the trial that the result belongs to; a file of another signature is ignored and replaced.
        limit: says how many seconds the call may take, None for any number. It is asked again while the call runs, in
            the supervisor's process, so that trials that end meanwhile count.
    """

    key: Any
    function: Callable[..., Evaluation]
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    result: Path | None = None
    signature: str = ""
    limit: Callable[[], float | None] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Failure:
    """The reason why a call gave no evaluation.

    Attributes:
        reason: one line for the record.
        died: True if the worker process itself died (at the repetition as well).
    """

    reason: str
    died: bool = False


@dataclass(frozen=True)
class Outcome:
    """A call and its result: an evaluation, or the failure to give one."""

    call: Call
    value: Evaluation | Failure


class Engine(Protocol):
    """Runs calls; a context manager that leaves no process behind.

    Life cycle: `submit` while `free` is above 0; `wait` for the next outcome; leave the context to stop everything.
    A worker that dies, whatever it was doing, is replaced. A call that it had is repeated once, then it comes back as
    a `Failure`; so does, at once, one that takes longer than its limit.
    """

    @property
    def free(self) -> int:
        """The number of calls that may be submitted now."""
        ...

    def submit(self, call: Call) -> None:
        """Start a call."""
        ...

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """The next outcome; None when `timeout` seconds passed without one.

        Raises:
            NasAttnError: an error that concerns every call (wrong data, a missing part, a full disk).
        """
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, *exc: object) -> None: ...
