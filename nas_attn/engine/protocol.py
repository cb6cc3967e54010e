"""The engine: it takes calls, runs them, and returns their outcomes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nas_attn import pulse
from nas_attn.errors import UserError
from nas_attn.evaluate import Evaluation
from nas_attn.pulse import Reached

PULSE = 1.0  # seconds between two looks at the places of running calls


@dataclass(frozen=True)
class Call:
    """One call of a function, to be run by an engine.

    Attributes:
        key: the caller's name for the call: the number of a trial, or a word.
        function: a picklable callable that returns an `Evaluation`, or a list: for each of several architectures an
            `Evaluation`, or the `EvaluationFailed` that says why it has none.
        arguments: its positional arguments, picklable.
        keywords: its keyword arguments, picklable.
        result: file in which the worker stores the result. If the file exists, the call is not run again, so a result
            is not lost if the supervisor is killed.
        signature: identifies the trial. A result file with another signature is ignored and replaced.
        limit: returns the time limit of the call in seconds, or None for no limit. The engine calls it repeatedly
            while the call runs, in the supervisor's process, because the limit may change when other trials end.
        progress: file in which the worker writes how far the call is, see `nas_attn.pulse`; None for no file.
    """

    key: Any
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)
    result: Path | None = None
    signature: str = ""
    limit: Callable[[], float | None] | None = field(default=None, compare=False)
    progress: Path | None = None


@dataclass(frozen=True)
class Failure:
    """A call that gave no evaluation.

    Attributes:
        reason: the reason, in one line.
        died: True if the worker process died, and died again when the call was repeated.
    """

    reason: str
    died: bool = False


Value = Evaluation | Failure | list[Evaluation | Failure]


@dataclass(frozen=True)
class Outcome:
    """A call that has ended.

    Attributes:
        call: the call.
        value: its evaluation, or its failure; a list of both if the call is for several architectures.
    """

    call: Call
    value: Value


class Engine(Protocol):
    """Runs calls. A context manager: at its exit, all processes of the engine are stopped.

    Use it like this: `submit` calls while `free` is above 0, then `wait` for the next outcome. If a worker dies, the
    engine replaces it and repeats its call once; if it dies again, the outcome is a `Failure`. If a call exceeds its
    time limit, it is stopped, and the outcome is a `Failure` at once.
    """

    @property
    def free(self) -> int:
        """The number of calls that can be submitted now."""
        ...

    def submit(self, call: Call) -> None:
        """Start a call. `free` must be above 0."""
        ...

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Wait for the next outcome.

        Args:
            timeout: longest time to wait, in seconds; None means no limit.

        Returns:
            The outcome; None if no call ended in this time.

        Raises:
            NasAttnError: every call would fail for the same reason: wrong data, a missing library or device, a full
                disk.
        """
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, *exc: object) -> None: ...


def awaited(engine: Engine, calls: Collection[Call], tell: Callable[[dict[Any, Reached]], None]) -> Outcome:
    """The next outcome of an engine.

    Args:
        engine: the engine; it runs the calls.
        calls: the calls that it runs.
        tell: takes the places of the calls that have told them, key -> place, once a second until then.
    """
    while (outcome := engine.wait(PULSE)) is None:
        places = ((c.key, pulse.read(c.progress)) for c in calls if c.progress is not None)
        tell({key: place for key, place in places if place is not None})
    return outcome


def check_engine(engine: object) -> None:
    """Refuse something that is no engine, before a study begins; None is the engine of this machine.

    Raises:
        UserError: it is none.
    """
    if engine is not None and (isinstance(engine, type) or not hasattr(engine, "submit")):
        raise UserError("`engine` must be an engine", got=repr(engine), remedy="For example: engine=na.InlineEngine().")
