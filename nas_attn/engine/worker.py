"""What runs inside a worker process. Imports nothing heavy: the device is pinned before torch is loaded."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from nas_attn.engine.protocol import Task
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation
from nas_attn.files import write_text_atomic


def start(device: str, threads: int, log: str | None, parent: int) -> None:
    """Prepare a fresh worker process.

    Args:
        device: `cpu`, or the index of the one GPU that this worker may see.
        threads: CPU threads for its arithmetic.
        log: file for everything it prints.
        parent: process whose end ends this one.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    if log is not None:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.close(handle)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: int) -> None:
    """End with the supervisor: an orphan would train on, and write where a resumed study writes."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def run(task: Task) -> Evaluation:
    """Make the task's call, or return the result that an earlier process left."""
    if task.result is not None and task.result.exists():
        found = json.loads(task.result.read_text())
        if found["signature"] == task.signature:
            return Evaluation.from_dict(found["evaluation"])
    try:
        value = task.call(*task.arguments, **task.keywords)
    except MemoryError as error:
        raise EvaluationFailed("out of memory") from error
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    if task.result is not None:
        write_text_atomic(task.result, json.dumps({"signature": task.signature, "evaluation": value.as_dict()}))
    return value
