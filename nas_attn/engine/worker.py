"""The program of a worker process. It imports nothing heavy, because it must choose the device before torch loads."""

from __future__ import annotations

import gc
import importlib
import json
import multiprocessing.spawn
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from nas_attn import pulse
from nas_attn.atomic_files import write_text_atomic
from nas_attn.engine.protocol import Call, Failure, Value
from nas_attn.errors import EvaluationFailed, MissingPart, NasAttnError, UserError, storage_full
from nas_attn.evaluate import Evaluation

_INSIDE: list[int] = []  # the id of this process, if it is a worker


def main() -> None:
    """Run as a worker: read calls from standard input until it ends, and write each answer to standard output."""
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # the pipes carry calls and answers: modules must not read or print there
    os.dup2(2, 1)
    os.close(nothing)
    if hasattr(os, "register_at_fork"):  # data loader processes must not keep the pipes open if this process ends
        for pipe in (calls, answers):  # closed by number: a thread reads one of them, which locks the object
            os.register_at_fork(after_in_child=partial(os.close, pipe.fileno()))
    for name in ("SIGINT", "SIGHUP", "SIGBREAK"):  # only the supervisor reacts to them; it stops its workers itself
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _INSIDE.append(os.getpid())
    received: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(calls, received), daemon=True).start()
    told, surroundings, needs, load = received.get()
    problem: Any = None
    try:
        start(**told)
        join(surroundings, needs)
        if load is not None:
            loaded(load)
    except BaseException as error:
        problem = judged(error)
    while True:
        call = received.get()
        pickle.dump(_packed(problem if problem is not None else answer(call)), answers)
        answers.flush()


def _receive(calls: BinaryIO, received: queue.SimpleQueue[Any]) -> None:
    """Receive calls until the supervisor ends; then end this process, which could disturb a resumed study."""
    try:
        while True:
            received.put(pickle.load(calls))
    finally:
        os._exit(0)  # in the middle of a call, and in spite of threads that a module left


def check_outside() -> None:
    """Refuse to start a search inside a worker.

    A worker imports the user's script for the modules in it. If the script has no `__main__` guard, it would start
    its search again in the worker.

    Raises:
        UserError: this process is a worker.
    """
    if os.getpid() in _INSIDE:
        raise UserError(
            "a script that defines modules to search must start the search under `if __name__ == '__main__':`",
            got="a search that starts whenever the script is imported",
            remedy="Or move the modules to another file, and name it in `module_files`.",
        )


def start(device: str, threads: int, log: str | None) -> None:
    """Prepare a new worker process.

    Args:
        device: `cpu`, or the index of the only GPU that this worker may see.
        threads: CPU threads for computation.
        log: file for everything that the worker prints; None means stderr.
    """
    os.environ.update(variables(device, threads))
    if log is not None:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        with Path(log).open("ab") as file:
            for number, stream in ((1, sys.stdout), (2, sys.stderr)):
                os.dup2(file.fileno(), number)
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]


def variables(device: str, threads: int) -> dict[str, str]:
    """The environment variables of a worker, which the libraries read while they are loaded."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return {"CUDA_VISIBLE_DEVICES": "" if device == "cpu" else device, **limits}


def join(surroundings: dict[str, Any], needs: tuple[str, ...]) -> None:
    """Take over the supervisor's paths and folder, and import the Python modules that registered attention modules.

    Args:
        surroundings: the paths, arguments and folder of the supervisor.
        needs: names of the Python modules to import.

    Raises:
        NasAttnError: the user's script starts a search when it is imported.
    """
    multiprocessing.spawn.prepare(surroundings)  # the user's script too, if `needs` names it
    for name in needs:
        try:
            importlib.import_module(name)
        except NasAttnError:
            raise
        except Exception:  # not fatal: a call that needs these modules will name them as missing
            traceback.print_exc()


def loaded(load: Callable[[], None]) -> None:
    """Load libraries without garbage collection, whose cost grows with all that they define."""
    gc.disable()
    try:
        load()
    except Exception:  # a worker that needs the library fails with its own message
        traceback.print_exc()
    gc.freeze()
    gc.enable()


def run(call: Call) -> Any:
    """The result of a call: run now, or read from the result file of an earlier run.

    Raises:
        EvaluationFailed: memory ran out, or the function itself raised it.
    """
    if call.result is not None and call.result.exists():
        found = json.loads(call.result.read_text("utf-8"))
        if found["signature"] == call.signature:
            return _read(found)
    try:
        with pulse.written(call.progress):
            value = call.function(*call.arguments, **call.keywords)
    except MemoryError as error:
        raise EvaluationFailed("out of memory") from error
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    if call.result is not None:
        write_text_atomic(call.result, json.dumps({"signature": call.signature, **_written(value)}))
    return value


def _written(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"evaluations": [v.as_dict() if isinstance(v, Evaluation) else {"failed": str(v)} for v in value]}
    return {"evaluation": value.as_dict()}


def _read(found: dict[str, Any]) -> Evaluation | list[Evaluation | EvaluationFailed]:
    if "evaluation" in found:
        return Evaluation.from_dict(found["evaluation"])
    return [EvaluationFailed(v["failed"]) if "failed" in v else Evaluation.from_dict(v) for v in found["evaluations"]]


def answer(call: bytes) -> Value | NasAttnError:
    """The answer to a pickled call. No error of a module ends the worker, not even `SystemExit`."""
    try:
        value = run(pickle.loads(call))
    except BaseException as error:
        return judged(error)
    return checked(value)


def checked(value: object) -> Value:
    """The result of a call; a failure if the result is not an evaluation, or a list for several architectures."""
    if isinstance(value, list):
        return [_one(v) for v in value]
    return _one(value)


def _one(value: object) -> Evaluation | Failure:
    if isinstance(value, EvaluationFailed):
        return Failure(str(value))
    if isinstance(value, Evaluation):
        return value
    return Failure(f"the result is not an evaluation: {type(value).__name__}")


def judged(error: BaseException) -> Failure | NasAttnError:
    """The error itself if it would stop every call; else the failure of this one call."""
    if (full := storage_full(error)) is not None:
        return full
    text = _first_line(error)
    if isinstance(error, EvaluationFailed):
        return Failure(text or "no reason given")
    if isinstance(error, (UserError, MissingPart)):
        return error
    return Failure(f"{type(error).__name__}: {text or 'no message'}")


def _first_line(error: BaseException) -> str:
    try:
        return str(error).strip().partition("\n")[0].strip()
    except BaseException:  # its own `__str__` raises
        return ""


def _packed(value: Value | NasAttnError) -> bytes:
    """The pickled answer; if it cannot be pickled, a pickled description of it."""
    try:
        content = pickle.dumps(value)
        pickle.loads(content)
        return content
    except BaseException as error:
        if isinstance(value, NasAttnError):
            return pickle.dumps(UserError(_first_line(value).removesuffix(".") or type(value).__name__))
        return pickle.dumps(Failure(f"the result cannot be sent: {type(error).__name__}: {_first_line(error)}"))
