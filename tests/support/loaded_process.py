"""A process that has loaded torch, Ultralytics and this package, and forks for each command of a test.

For a test, it behaves like `python -m nas_attn`: each command is a separate process with its own folder, environment,
output and exit code. Loading takes seconds, but happens only once. Commands run one after another. If the system does
not fork, each command loads the libraries again.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

FORKS = hasattr(os, "fork") and sys.platform != "darwin"  # whose own libraries do not survive it
LIBRARIES = (
    "pandas", "plotly.graph_objects", "scipy.stats", "statsmodels.api", "optuna", "ultralytics.models.yolo"
)  # fmt: skip


@dataclass
class Finished:
    """The result of a command."""

    code: int
    out: str
    err: str


def run_anew(arguments: list[str], folder: Path, environment: Mapping[str, str], timeout: float) -> Finished:
    """One command in a new interpreter.

    Raises:
        TimeoutError: it took longer than `timeout` seconds, and was killed.
    """
    command = [sys.executable, "-m", "nas_attn", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise TimeoutError(f"{arguments} took longer than {timeout:g} s; it said: {late.stderr}") from None
    return Finished(done.returncode, done.stdout, done.stderr)


class LoadedProcess:
    """Runs `python -m nas_attn` with arguments, without loading the libraries again."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, arguments: list[str], folder: Path, environment: Mapping[str, str], timeout: float) -> Finished:
        """Run one command.

        Raises:
            TimeoutError: the command took longer than `timeout` seconds and was killed.
        """
        if not FORKS:
            return run_anew(arguments, folder, environment, timeout)
        if self._process is None:
            command = [sys.executable, __file__]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None and self._process.stdout is not None
        with tempfile.TemporaryDirectory(prefix="nas_attn-shell-") as name:
            out, err = Path(name) / "out", Path(name) / "err"
            asked = {
                "arguments": arguments,
                "folder": str(folder),
                "environment": dict(environment),
                "files": [os.devnull, str(out), str(err)],
                "timeout": timeout,
            }
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            if not answer:
                raise RuntimeError("the loaded process ended")
            if (code := json.loads(answer)) is None:
                raise TimeoutError(f"{arguments} took longer than {timeout:g} s; it said: {err.read_text()[-2000:]}")
            return Finished(code, out.read_text(), err.read_text())

    def __enter__(self) -> LoadedProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None


def _load() -> None:
    """Import everything that a command may need; no import starts a thread or reads the current folder."""
    import nas_attn

    for module in pkgutil.walk_packages(nas_attn.__path__, "nas_attn."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LIBRARIES:
        importlib.import_module(name)


def _wait(process: int, timeout: float) -> int | None:
    """The exit code in the form of `subprocess`; None if the process had to be killed."""
    end = time.monotonic() + timeout
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return None
        time.sleep(0.01)


def _become(asked: Mapping[str, Any]) -> None:
    """Make this forked process look like one that a shell started."""
    os.setpgid(0, 0)
    for number, name in enumerate(asked["files"]):
        file = os.open(name, os.O_RDWR | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.path[0] = asked["folder"]
    sys.argv[1:] = asked["arguments"]


def _run() -> NoReturn:
    """Run `python -m nas_attn`, then exit without tearing down the loaded libraries."""
    code: object = 1
    try:
        runpy.run_module("nas_attn", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def main() -> None:
    """Fork for each line of the standard input, and write the exit code to the standard output."""
    own = sys.stdin, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # so that prints of libraries are not read as answers
    _load()
    gc.freeze()  # a garbage collection in a forked process would copy all memory
    for line in own[0]:
        asked = json.loads(line)
        if not (process := os.fork()):
            own[1].close()
            _become(asked)
            _run()
        own[1].write(json.dumps(_wait(process, asked["timeout"])) + "\n")
        own[1].flush()


if __name__ == "__main__":
    main()
