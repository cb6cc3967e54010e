"""One worker process, as its supervisor sees it: started, given calls one at a time, stopped.

The process is no child of `multiprocessing`: that would run the user's script again in every worker, and so end in an
error wherever the script has no `__main__` guard.
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
from dataclasses import dataclass
from typing import Any

from nas_attn.engine.protocol import Call, Failure

PATIENCE = 3.0  # seconds that a process is given to end by itself
_PROGRAM = "import sys; sys.path[:] = {path!r}; from nas_attn.engine.worker import main; main()"


@dataclass(frozen=True)
class Died:
    """The process ended, or can no longer be talked to.

    Attributes:
        how: in words.
        idle: it had worked before and did not take the call any more, so that no call ended with it.
    """

    how: str
    idle: bool = False


class WorkerProcess:
    """A worker process and the thread that talks to it.

    Args:
        start: keyword arguments of `worker.start`.
        needs: Python modules that it must import to know what this process knows.
        answer: called with the process and its answer to each call; in a thread.
    """

    def __init__(
        self, start: dict[str, Any], needs: tuple[str, ...], answer: Callable[[WorkerProcess, Any], None]
    ) -> None:
        self._opening = pickle.dumps((start, _surroundings(needs), needs))
        self._answer = answer
        self._calls: queue.Queue[bytes | None] = queue.Queue()
        command = [
            multiprocessing.spawn.get_executable(),
            *multiprocessing.util._args_from_interpreter_flags(),  # type: ignore[attr-defined]
            "-c",
            _PROGRAM.format(path=sys.path),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def give(self, call: bytes) -> None:
        """Hand it a pickled call."""
        self._calls.put(call)

    def end(self) -> None:
        """Ask it to end at once; `join` sees to it."""
        with contextlib.suppress(OSError):
            self._process.terminate()
        self._calls.put(None)

    def join(self) -> None:
        """Wait until it has ended, which it cannot refuse."""
        self._reap()
        self._thread.join()

    def _talk(self) -> None:
        """Send calls and pass on answers until the process ends; writing may block, so the supervisor does not."""
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
                except Exception:  # it is gone, or closed its pipe, or wrote something else into it
                    self._answer(self, Died(self._reap(), idle=answered and not sent))
                    return
                answered = True
                self._answer(self, _read(answer))
        finally:
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()

    def _reap(self) -> str:
        """Wait for its end, force it if it does not come, and say how it ended."""
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def packed(call: Call) -> bytes | Failure:
    """A call as it travels; a failure if it cannot."""
    plain = Call(None, call.function, call.arguments, call.keywords, call.result, call.signature)
    try:
        return pickle.dumps(plain)
    except Exception as error:  # pickling may raise anything
        return Failure(f"the task cannot be sent to a worker: {type(error).__name__}")


def _read(answer: bytes) -> Any:
    try:
        return pickle.loads(answer)
    except Exception as error:  # unpickling may raise anything
        return Failure(f"the worker's answer cannot be read: {type(error).__name__}")


def _surroundings(needs: tuple[str, ...]) -> dict[str, Any]:
    """The surroundings that `multiprocessing` tells a process: paths, arguments, folder; the main script if needed."""
    told = multiprocessing.spawn.get_preparation_data("nas_attn worker")
    told.pop("authkey")  # for processes that talk over sockets
    if "__main__" not in needs:
        told = {k: v for k, v in told.items() if not k.startswith("init_main")}
    return told
