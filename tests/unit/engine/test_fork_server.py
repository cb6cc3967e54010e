"""Workers that are forked from one process, which has loaded their libraries."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas_attn.engine import Call, Failure, LocalEngine, fork_server
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation
from nas_attn.evaluate.proxy import ProxyEvaluator

pytestmark = pytest.mark.skipif(not fork_server.POSSIBLE, reason="workers are forked on Linux only")


def nothing() -> None:
    """A load that needs no library."""


def slow() -> None:
    time.sleep(60)


def broken() -> None:
    raise RuntimeError("no such library")


def evaluation(**facts: str) -> Evaluation:
    return Evaluation(0.5, 0.6, (), 1.0, 0, 1, 64, versions=facts)


def about() -> Evaluation:
    return evaluation(
        pid=str(os.getpid()),
        loaded=str("torch" in sys.modules),
        variables=os.environ["OMP_NUM_THREADS"] + os.environ["CUDA_VISIBLE_DEVICES"],
        folder=str(Path.cwd()),
        default=str(signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL),
        open=str(len(list(Path("/proc/self/fd").iterdir()))),
    )


def child() -> Evaluation:
    return evaluation(code=str(subprocess.run([sys.executable, "-c", "raise SystemExit(3)"]).returncode))


def die() -> Evaluation:
    os.kill(os.getpid(), signal.SIGKILL)
    return evaluation()


def wait() -> Evaluation:
    time.sleep(60)
    return evaluation()


def results(engine: LocalEngine, *calls: Call) -> dict:
    for call in calls:
        engine.submit(call)
    found = {}
    for _ in calls:
        outcome = engine.wait(timeout=60)
        assert outcome is not None, "no outcome within a minute"
        found[outcome.call.key] = outcome.value
    return found


def facts(engine: LocalEngine, *calls: Call) -> dict:
    return {k: v.versions if isinstance(v, Evaluation) else v for k, v in results(engine, *calls).items()}


def test_workers_have_the_libraries_and_nothing_of_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with LocalEngine(["cpu", "cpu"], threads=1, logs=tmp_path, load=ProxyEvaluator.load) as engine:
        found = facts(engine, Call(0, about), Call(1, about))
        again = facts(engine, Call(0, about))
        server = fork_server._current[0]._process.pid
        assert len(list(Path(f"/proc/{server}/task").iterdir())) == 1  # a thread of a library would be lost in a fork
    assert found[0]["pid"] != found[1]["pid"] and again[0]["pid"] in {found[0]["pid"], found[1]["pid"]}
    for one in found.values():
        assert (one["loaded"], one["variables"], one["default"]) == ("True", "1", "True")
        assert one["folder"] == str(tmp_path)
    assert found[0]["open"] == found[1]["open"]  # a later worker inherits no pipe of an earlier one


def test_a_worker_can_run_processes_of_its_own(tmp_path):
    with LocalEngine(["cpu"], logs=tmp_path, load=nothing) as engine:
        assert facts(engine, Call(0, child))[0] == {"code": "3"}


def test_a_worker_that_dies_is_replaced_and_its_end_is_told(tmp_path):
    with LocalEngine(["cpu"], logs=tmp_path, load=nothing) as engine:
        assert facts(engine, Call(0, die))[0] == Failure("the worker process died (signal 9)", died=True)
        assert facts(engine, Call(1, about))[1]["loaded"] == "False"


def test_a_server_that_dies_is_replaced(tmp_path):
    with LocalEngine(["cpu", "cpu"], logs=tmp_path, load=nothing) as engine:
        before = facts(engine, Call(0, about))[0]["pid"]
        fork_server._current[0]._process.kill()
        fork_server._current[0]._process.wait()
        found = facts(engine, Call(0, about), Call(1, about))
        assert found[0]["pid"] == before != found[1]["pid"]  # the worker that lives goes on


def test_a_library_that_cannot_be_loaded_is_said_by_the_call_that_needs_it(tmp_path):
    with LocalEngine(["cpu"], logs=tmp_path, load=broken) as engine:
        assert facts(engine, Call(0, about))[0]["loaded"] == "False"
    assert "no such library" in (tmp_path / "worker-0.log").read_text()


@pytest.mark.parametrize("load", [nothing, slow])
def test_the_end_of_an_engine_waits_for_no_call_and_no_library(load, tmp_path):
    began = time.monotonic()
    with LocalEngine(["cpu"], logs=tmp_path, load=load) as engine:
        engine.submit(Call(0, wait))
        assert engine.wait(timeout=1.0) is None
    assert time.monotonic() - began < 30


def test_a_changed_environment_is_seen(tmp_path, monkeypatch):
    for value in ("a", "b"):
        monkeypatch.setenv("NAS_ATTN_TEST", value)
        with LocalEngine(["cpu"], logs=tmp_path, load=nothing) as engine:
            assert facts(engine, Call(0, variable))[0] == {"value": value}


def variable() -> Evaluation:
    return evaluation(value=os.environ["NAS_ATTN_TEST"])


def test_a_failed_call_is_a_failure(tmp_path):
    with LocalEngine(["cpu"], logs=tmp_path, load=nothing) as engine:
        assert facts(engine, Call(0, fail))[0] == Failure("no score")


def fail() -> Evaluation:
    raise EvaluationFailed("no score")


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path):
    script = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_fork_server as calls
from nas_attn.engine import Call, LocalEngine, fork_server
engine = LocalEngine(["cpu"], load=calls.nothing)
engine.submit(Call(0, calls.about))
worker = engine.wait(timeout=60).value.versions["pid"]
engine.submit(Call(1, calls.wait))
print(worker, fork_server._current[0]._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)], capture_output=True, text=True, check=False
    )
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    end = time.monotonic() + 20
    while (left := [pid for pid in pids if running(pid)]) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == []


def running(pid: int) -> bool:
    """True if a process runs; one that ended, and that nobody has waited for, does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
