"""Worker processes on this machine: one single-worker pool for each device slot."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from nas_attn.engine import worker
from nas_attn.engine.protocol import Failure, Outcome, Task
from nas_attn.errors import EvaluationFailed, MissingPart, UserError
from nas_attn.evaluate import Evaluation


@dataclass
class _Slot:
    pool: ProcessPool
    device: str
    busy: bool = False


class LocalEngine:
    """Long-lived worker processes, each pinned to one device and replaced when it dies.

    Args:
        devices: one entry a worker: `cpu`, or a GPU index; the same GPU may stand more than once.
        threads: CPU threads of each worker.
        logs: folder for what the workers print; None to let them print.
    """

    def __init__(self, devices: Sequence[str], *, threads: int = 1, logs: Path | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._slots = []
        for i, device in enumerate(devices):
            log = str(logs / f"worker-{i}.log") if logs is not None else None
            pool = ProcessPool(
                max_workers=1, context=context, initializer=worker.start, initargs=(device, threads, log, os.getpid())
            )
            self._slots.append(_Slot(pool, device))
        self._outcomes: queue.Queue[Any] = queue.Queue()

    @property
    def free(self) -> int:
        return sum(not s.busy for s in self._slots)

    def submit(self, task: Task) -> None:
        slot = next(s for s in self._slots if not s.busy)
        slot.busy = True
        self._schedule(slot, task, repeated=False)

    def _schedule(self, slot: _Slot, task: Task, *, repeated: bool) -> None:
        future = slot.pool.schedule(worker.run, args=(task,))
        future.add_done_callback(lambda f: self._outcomes.put((slot, task, repeated, f)))

    def wait(self, timeout: float | None = None) -> Outcome | None:
        while True:
            try:
                slot, task, repeated, future = self._outcomes.get(timeout=timeout)
            except queue.Empty:
                return None
            value = _value(future)
            if isinstance(value, Failure) and value.died and not repeated:
                self._schedule(slot, task, repeated=True)
                continue
            slot.busy = False
            return Outcome(task, value)

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        for s in self._slots:
            s.pool.stop()
        for s in self._slots:
            s.pool.join()


def _value(future: Any) -> Evaluation | Failure:
    """The future's result; errors that concern one trial become its failure, the others are raised."""
    try:
        return future.result()
    except ProcessExpired as error:
        code = error.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return Failure(f"the worker process died ({how})", died=True)
    except EvaluationFailed as error:
        return Failure(str(error))
    except (UserError, MissingPart):
        raise
    except Exception as error:  # a trial may fail in any way; the study must go on and say which
        text = str(error).strip()
        return Failure(f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}")
