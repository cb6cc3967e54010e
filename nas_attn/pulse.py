"""The place in a running training: the training tells it, a worker writes it to a file, the supervisor reads it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path

LEAST_SECONDS = 1.0  # between two writings


@dataclass(frozen=True)
class Reached:
    """The place in a training.

    Attributes:
        epoch: the present epoch, from 1 on.
        epochs: number of epochs.
        share: the share of all steps that are done, in [0, 1].
    """

    epoch: int
    epochs: int
    share: float

    def __str__(self) -> str:
        return f"epoch {self.epoch} of {self.epochs}"


_heard: ContextVar[Callable[[Reached], None] | None] = ContextVar("heard", default=None)


def beat(epoch: int, epochs: int, share: float) -> None:
    """Tell the place in this training to whoever listens. For the arguments see `Reached`."""
    if (listener := _heard.get()) is not None:
        listener(Reached(epoch, epochs, share))


@contextlib.contextmanager
def heard(listener: Callable[[Reached], None]) -> Iterator[None]:
    """A context in which a listener hears each `beat`."""
    token = _heard.set(listener)
    try:
        yield
    finally:
        _heard.reset(token)


@contextlib.contextmanager
def written(path: Path | None) -> Iterator[None]:
    """A context in which each `beat` is written to a file, at most once a second; without a path nothing is written.

    The file is removed at the end. A file that cannot be written stops no training.
    """
    if path is None:
        yield
        return
    last = float("-inf")

    def write(reached: Reached) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= LEAST_SECONDS:
            last = now
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(asdict(reached)), encoding="utf-8")

    try:
        with heard(write):
            yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def read(path: Path) -> Reached | None:
    """The place that was written last; None if there is none, or if it is being written just now."""
    try:
        found = Reached(**json.loads(path.read_text(encoding="utf-8")))
        return found if 0 <= found.share <= 1 else None
    except (OSError, ValueError, TypeError):
        return None
