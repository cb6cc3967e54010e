"""A worker process, seen from the supervisor: it starts the process, sends it one call at a time, and stops it.

The process is started without `multiprocessing`. That module would run the user's script again in every worker, which
fails if the script has no `__main__` guard.
"""

from __future__ import annotations

import contextlib
import multiprocessing.spawn
import multiprocessing.util
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cloudpickle

from nas_attn.engine import fork_server
from nas_attn.engine.protocol import Call, Failure

PATIENCE = 3.0  # seconds to wait until a process ends by itself


@dataclass(frozen=True)
class Died:
    """The process ended, or no longer communicates.

    Attributes:
        how: the way in which it ended, e.g. `exit code 1`.
        idle: True if it died between two calls, so that no call is lost.
    """

    how: str
    idle: bool = False


class WorkerProcess:
    """A worker process and the thread that communicates with it.

    Args:
        start: keyword arguments of `worker.start`.
        needs: names of the Python modules that the worker must import, because they registered attention modules.
        load: loads the libraries of the worker, or None; it can be pickled.
        answer: called with this object and the answer to each call, from another thread.
    """

    def __init__(
        self,
        start: dict[str, Any],
        needs: tuple[str, ...],
        load: Callable[[], None] | None,
        answer: Callable[[WorkerProcess, Any], None],
    ) -> None:
        self._opening = pickle.dumps((start, _surroundings(needs), needs, load))
        self._answer = answer
        self._calls: queue.Queue[bytes | None] = queue.Queue()
        self._process: subprocess.Popen[bytes] | fork_server.Forked
        if load is not None and fork_server.POSSIBLE and start["device"] == "cpu":
            self._process = fork_server.forked(load, start["threads"], _command)
        else:
            command = _command("from nas_attn.engine.worker import main; main()")
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def give(self, call: bytes) -> None:
        """Send the worker a pickled call."""
        self._calls.put(call)

    def end(self) -> None:
        """Ask the worker to end at once; `join` waits for it."""
        with contextlib.suppress(OSError):
            self._process.terminate()
        self._calls.put(None)

    def join(self) -> None:
        """Wait until the worker has ended; if it does not end by itself, it is killed."""
        self._reap()
        self._thread.join()

    def _talk(self) -> None:
        """Send calls and receive answers until the process ends. Writing may block, so this runs in a thread."""
        process, answered = self._process, False
        assert process.stdin is not None and process.stdout is not None
        try:
            while (call := self._calls.get()) is not None:
                sent = False
                try:
                    if not answered:
                        process.stdin.write(self._opening)
                    process.stdin.write(pickle.dumps(call))
                    process.stdin.flush()
                    sent = True
                    answer = pickle.load(process.stdout)
                except Exception:  # the process ended, closed its pipe, or wrote something else into it
                    self._answer(self, Died(self._reap(), idle=answered and not sent))
                    return
                answered = True
                self._answer(self, _read(answer))
        finally:
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()

    def _reap(self) -> str:
        """Wait until the process ends, kill it if it does not, and return the way in which it ended."""
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def packed(call: Call) -> bytes | Failure:
    """The pickled call, without `key` and `limit`, which stay here; a failure if it cannot be pickled."""
    try:
        return bytes(cloudpickle.dumps(replace(call, key=None, limit=None)))  # what a notebook defines travels by value
    except Exception as error:  # pickling may raise anything
        return Failure(f"the call cannot be sent to a worker: {type(error).__name__}")


def _read(answer: bytes) -> Any:
    try:
        return pickle.loads(answer)
    except Exception as error:  # unpickling may raise anything
        return Failure(f"the worker's answer cannot be read: {type(error).__name__}")


def _command(program: str) -> list[str]:
    """The command of a new Python process that runs a program with this process's paths and interpreter flags."""
    flags = multiprocessing.util._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [multiprocessing.spawn.get_executable(), *flags, "-c", f"import sys; sys.path[:] = {sys.path!r}; {program}"]


def _surroundings(needs: tuple[str, ...]) -> dict[str, Any]:
    """The paths, arguments and folder of this process, which a worker takes over, and the main script if needed."""
    told = multiprocessing.spawn.get_preparation_data("nas_attn worker")
    told.pop("authkey")  # only needed for communication over sockets
    if "__main__" not in needs:
        told = {k: v for k, v in told.items() if not k.startswith("init_main")}
    return told
