"""A process that has loaded the libraries of the workers, and forks workers from itself.

A forked worker is ready at once and shares the memory of the libraries. The server computes nothing, so a fork loses
no thread of a library. It is for Linux and the CPU: a GPU cannot be used after a fork by both sides.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from nas_attn.engine import worker

POSSIBLE = sys.platform == "linux"  # the system libraries of macOS do not survive a fork
NUMBER = struct.Struct("<q")  # a process id or an exit code
PIPES = 3  # of a worker: its calls, its answers, and its fate
_LOCK = threading.Lock()
_current: list[ForkServer] = []


def forked(load: Callable[[], None], threads: int, command: Callable[[str], list[str]]) -> Forked:
    """Start a worker from this process's server, which is started if there is none for these arguments.

    Args:
        load: loads the libraries; called once in the server.
        threads: CPU threads of the worker.
        command: of a new Python process, given its program.
    """
    key = (load, threads, Path.cwd(), tuple(sys.path), dict(os.environ))
    with _LOCK:
        if not (_current and _current[0].key == key and _current[0].alive):
            _close()
            _current.append(ForkServer(key, load, threads, command))
        return _current[0].fork()


def _close() -> None:
    while _current:
        _current.pop().close()


atexit.register(_close)


class ForkServer:
    """The server, seen from the supervisor. `key` is what its workers take over from it."""

    def __init__(self, key: Any, load: Callable[[], None], threads: int, command: Callable[[str], list[str]]) -> None:
        self.key = key
        self._socket, theirs = socket.socketpair()
        with theirs:
            program = f"serve({theirs.fileno()}, {pickle.dumps(load)!r})"
            self._process = subprocess.Popen(
                command(f"from nas_attn.engine.fork_server import serve; {program}"),
                env={**os.environ, **worker.variables("cpu", threads)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def fork(self) -> Forked:
        """A new worker. If the server has died, the worker seems to have died too."""
        (calls, ours), (theirs, answers), (fate, told) = [os.pipe() for _ in range(PIPES)]
        with contextlib.suppress(OSError):
            socket.send_fds(self._socket, [b"f"], [calls, answers, told])
        for pipe in (calls, answers, told):
            os.close(pipe)
        return Forked(ours, theirs, fate, self.close)

    def close(self) -> None:
        """End the server. Its workers go on."""
        self._process.kill()
        self._socket.close()
        self._process.wait()


class Forked:
    """A forked worker, with the methods and pipes of `subprocess.Popen`.

    Args:
        calls, answers, fate: file descriptors of our ends of its pipes.
        give_up: ends the server. Called if this worker must end while the server is still loading.
    """

    def __init__(self, calls: int, answers: int, fate: int, give_up: Callable[[], None]) -> None:
        self.stdin, self.stdout = os.fdopen(calls, "wb"), os.fdopen(answers, "rb")
        self.pid: int | None = None
        self._code, self._give_up = 0, give_up
        self._lock, self._ended = threading.Lock(), threading.Event()
        threading.Thread(target=self._watch, args=(os.fdopen(fate, "rb"),), daemon=True).start()

    def _watch(self, fate: BinaryIO) -> None:
        """Read the process id, and at the end of the worker its exit code."""
        with fate:
            pid = _read(fate)
            with self._lock:
                self.pid = pid
            code = _read(fate)
            with self._lock:
                self.pid, self._code = None, -signal.SIGKILL if code is None else code
                self._ended.set()

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("worker", timeout or 0.0)
        return self._code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self.pid is not None:
                os.kill(self.pid, number)
            elif not self._ended.is_set():
                self._give_up()


def _read(pipe: BinaryIO) -> int | None:
    content = pipe.read(NUMBER.size)
    return NUMBER.unpack(content)[0] if len(content) == NUMBER.size else None


def serve(number: int, load: bytes) -> None:
    """Run as the server: fork a worker at each request, until the supervisor ends.

    Args:
        number: of the file descriptor of the socket to the supervisor.
        load: the pickled function that loads the libraries.
    """
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):  # the supervisor decides, and nobody waits for forks
        signal.signal(name, signal.SIG_IGN)
    connection = socket.socket(fileno=number)
    worker.loaded(pickle.loads(load))
    while True:
        message, pipes, *_ = socket.recv_fds(connection, 1, PIPES)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            connection.close()
            _attend(*pipes)
        for pipe in pipes:
            os.close(pipe)


def _attend(calls: int, answers: int, fate: int) -> None:
    """Fork again: the worker, and this process, which only waits for the worker and tells its fate."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        os.close(calls)
        os.close(answers)
        os.write(fate, NUMBER.pack(pid))
        os.write(fate, NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
        os._exit(0)
    os.close(fate)
    for given, usual in ((calls, 0), (answers, 1)):
        os.dup2(given, usual)
        os.close(given)
    worker.main()
