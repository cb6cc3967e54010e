"""Calls for worker processes: a spawned process must be able to import them."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nas_attn.errors import DataError
from nas_attn.evaluate import Evaluation
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.pulse import beat


def pinned() -> Evaluation:
    """An evaluation whose `versions` hold the pinning of the process, and whose `seed` is the process id."""
    versions = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
    versions["torch"] = "yes" if "torch" in sys.modules else "no"
    return Evaluation(0.0, 0.0, (), 0.0, seed=os.getpid(), epochs=1, imgsz=32, versions=versions)


def raise_data_error() -> Evaluation:
    """Raise the error for a user's mistake."""
    raise DataError("a folder must hold images", got="'none'", where="data.yaml")


class Unpicklable(Exception):
    """An error that holds an object that cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("first line\nsecond line")
        self.held = lambda: None


class NotRebuilt(Exception):
    """An error whose constructor fails in unpickling, which passes the message only."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


class Unprintable(Exception):
    """An error that raises another error when it is printed."""

    def __str__(self) -> str:
        raise ValueError("no text")


class OwnUserError(DataError):
    """A `UserError` that cannot be sent to another process."""

    def __reduce__(self):
        raise TypeError("not to be pickled")


def misbehave(how: str) -> Evaluation | None:
    """Fail in the ways in which untested modules fail."""
    errors = {
        "exit": SystemExit(4),
        "exit without a word": SystemExit(),
        "interrupt": KeyboardInterrupt(),
        "base": BaseException("of the root"),
        "generator": GeneratorExit("closed"),
        "unpicklable": Unpicklable(),
        "not rebuilt": NotRebuilt(3, "three"),
        "unprintable": Unprintable(),
        "memory": MemoryError(),
        "user's": OwnUserError("a folder must hold images", got="'none'"),
    }
    if how in errors:
        raise errors[how]
    if how == "leave":
        os._exit(0)
    if how == "nothing":
        return None
    if how == "result":
        return Evaluation(0.0, 0.0, (), 0.0, seed=0, epochs=1, imgsz=32, recipe={"gate": lambda x: x})
    if how == "no pipe":
        os.closerange(3, 100)
    if how == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1e6)
    return pinned()


def out_of_room(code: str, how: str) -> Evaluation:
    """Raise the error of a full disk, as the system or a library words it."""
    error = OSError(getattr(errno, code), os.strerror(getattr(errno, code)), "checkpoint.pt")
    if how == "hidden":
        try:
            raise error
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598") from None
    raise error


def save_until(folder: str, enough: str) -> Evaluation:
    """Count to 3 in a checkpoint of 100 kB, then leave a result."""
    import torch

    from nas_attn.detector.proxy.checkpoint import load, save

    path = Path(folder) / "checkpoint.pt"
    found = load(path, "k")
    for i in range(found["i"] + 1 if found else 1, 4):
        save(path, "k", {"i": i, "weights": torch.zeros(25_000)})
        if i == 1 and not Path(enough).exists():
            (Path(folder) / "others").write_bytes(bytes(360_000))  # another program uses the rest of the disk
    return Evaluation(0.5, 0.5, (), 0.0, seed=found["i"] if found else 0, epochs=3, imgsz=32)


@dataclass(frozen=True)
class Hanging(SyntheticEvaluator):
    """The synthetic evaluator, except that some architectures (given as text) never end."""

    hang_on: tuple[str, ...] = ()

    def __call__(self, architecture, *arguments, **keywords) -> Evaluation:
        if str(architecture) in self.hang_on:
            misbehave("hang")
        return super().__call__(architecture, *arguments, **keywords)


def knows(module: str) -> Evaluation:
    """An evaluation whose `versions` hold the Python module of an attention module's class."""
    from nas_attn.attention import get

    return Evaluation(0.0, 0.0, (), 0.0, seed=0, epochs=1, imgsz=32, versions={module: get(module).cls.__module__})


def say(text: str) -> Evaluation:
    """Print, as modules do."""
    print(text)
    return pinned()


def beat_until(gone: Path) -> Evaluation:
    """Tell a place again and again until a file is gone; the place says that it is in epoch 3 of 4."""
    while gone.exists():
        beat(3, 4, 0.6)
        time.sleep(0.02)
    return Evaluation(0.5, 0.5, (), 0.0, seed=0, epochs=4, imgsz=32)
