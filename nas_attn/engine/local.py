"""The engine that runs calls in worker processes on this machine."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_attn.attention import user
from nas_attn.engine import worker
from nas_attn.engine.process import Died, WorkerProcess, packed
from nas_attn.engine.protocol import Call, Failure, Outcome
from nas_attn.errors import NasAttnError

TICK = 1.0  # seconds between two checks of time limits


@dataclass
class _Slot:
    start: dict[str, Any]
    process: WorkerProcess | None = None
    call: Call | None = None
    repeated: bool = False
    spent: float = 0.0
    seen: float = 0.0


class LocalEngine:
    """Runs calls in long-lived worker processes. Each uses one device; a process that dies is replaced. See `Engine`.

    Args:
        devices: one entry per worker: `cpu`, or a GPU index; a GPU may occur more than once.
        threads: CPU threads of each worker.
        logs: folder for the output of the workers; None means that they print to stderr.
        load: a function of a module that loads the libraries which the calls need. On Linux the workers of the CPU
            are forked from one process that has loaded them.

    Raises:
        UserError: this process is itself a worker.
    """

    def __init__(
        self,
        devices: Sequence[str],
        *,
        threads: int = 1,
        logs: Path | None = None,
        load: Callable[[], None] | None = None,
    ) -> None:
        worker.check_outside()
        self._load = load
        self._slots = []
        for i, device in enumerate(devices):
            log = str(logs / f"worker-{i}.log") if logs is not None else None
            self._slots.append(_Slot({"device": device, "threads": threads, "log": log}))
        self._answers: queue.Queue[tuple[WorkerProcess | None, _Slot, Any]] = queue.Queue()
        self._looked = time.monotonic()

    @property
    def free(self) -> int:
        return sum(s.call is None for s in self._slots)

    def submit(self, call: Call) -> None:
        slot = next(s for s in self._slots if s.call is None)
        slot.call, slot.repeated = call, False
        self._hand_over(slot)

    def _hand_over(self, slot: _Slot) -> None:
        """Give the call of a slot to the slot's process. The process is started if there is none."""
        assert slot.call is not None
        slot.spent, slot.seen = 0.0, time.monotonic()
        content = packed(slot.call)
        if isinstance(content, Failure):
            self._answers.put((slot.process, slot, content))
            return
        if slot.process is None:
            slot.process = WorkerProcess(
                slot.start, user.imported(), self._load, lambda p, a: self._answers.put((p, slot, a))
            )
        slot.process.give(content)

    def wait(self, timeout: float | None = None) -> Outcome | None:
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            if (late := self._overdue()) is not None:
                return late
            try:
                process, slot, answer = self._answers.get(timeout=min(TICK, max(0.0, end - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= end:
                    return None
                continue
            if process is not slot.process or slot.call is None:
                continue  # the answer of a process that was replaced
            if isinstance(answer, NasAttnError):
                slot.call = None
                raise answer
            if isinstance(answer, Died):
                slot.process = None
                if answer.idle or not slot.repeated:
                    slot.repeated = not answer.idle
                    self._hand_over(slot)
                    continue
                answer = Failure(f"the worker process died ({answer.how})", died=True)
            return _end(slot, answer)

    def _overdue(self) -> Outcome | None:
        """Stop the first call that exceeds its time limit, and return its failure; None if there is no such call.

        Time during which this process did not run does not count, so no trial fails if the machine was suspended or
        the terminal was stopped.
        """
        now = time.monotonic()
        if now - self._looked < TICK:
            return None
        self._looked = now
        for slot in self._slots:
            slot.spent, slot.seen = slot.spent + min(now - slot.seen, 5 * TICK), now
        for slot in self._slots:
            limit = slot.call.limit() if slot.call is not None and slot.call.limit is not None else None
            if limit is not None and slot.spent > limit:
                if slot.process is not None:
                    slot.process.end()
                    slot.process.join()
                    slot.process = None
                reason = f"stopped after {limit / 60:.3g} minutes, the limit of a trial (--trial-minutes)"
                return _end(slot, Failure(reason))
        return None

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        processes = [s.process for s in self._slots if s.process is not None]
        for process in processes:
            process.end()
        for process in processes:
            process.join()


def _end(slot: _Slot, value: Any) -> Outcome:
    assert slot.call is not None
    call, slot.call = slot.call, None
    return Outcome(call, value)
