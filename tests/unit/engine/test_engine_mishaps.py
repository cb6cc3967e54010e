"""The outcome of calls whose worker is killed, raises any error, hangs, or finds the disk full."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from untrained_searches import InlineEngine, content, make_plan, run_plan
from worker_calls import misbehave, out_of_room, pinned, save_until

from nas_attn.api import run_search
from nas_attn.engine import Call, Failure, LocalEngine
from nas_attn.errors import DataError, StorageFull, UserError, room_wanted
from nas_attn.evaluate import Evaluation
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.mirror import Mirror
from nas_attn.study.records import LOG_NAME
from nas_attn.study.view import StudyView

PHASES = ("idle", "at its call", "starting", "running")


@pytest.fixture
def engine():
    with LocalEngine(["cpu"]) as engine:
        yield engine


def outcome(engine: LocalEngine, call: Call) -> Evaluation | Failure:
    engine.submit(call)
    found = engine.wait(timeout=120)
    assert found is not None, "no outcome within two minutes"
    assert not isinstance(found.value, list)
    return found.value


def kill(engine: LocalEngine, *, wait: bool = False) -> None:
    """Kill the process of the engine's only worker, if it runs."""
    slot = engine._slots[0]
    if slot.process is not None:
        process = slot.process._process
        process.kill()
        if wait:
            process.wait()


class Shot(LocalEngine):
    """An engine whose worker is killed once per call, each time in another phase."""

    def __init__(self, kills: int) -> None:
        super().__init__(["cpu"])
        self.left = kills
        self.seen: list[str] = []

    def submit(self, call: Call) -> None:
        phase = PHASES[len(self.seen) % len(PHASES)] if self.left else ""
        self.left -= bool(phase)
        self.seen.append(phase)
        if phase in ("idle", "at its call", "starting"):
            kill(self, wait=phase != "at its call")
        super().submit(call)
        if phase == "running":
            time.sleep(0.5)
        if phase in ("running", "starting"):
            kill(self)


def test_a_search_whose_workers_are_killed_writes_the_log_of_one_left_alone(tmp_path, soak):
    trials = max(6, round(40 * soak))
    plan = partial(make_plan, trials=trials, control_seeds=2)
    run_plan(plan(SyntheticEvaluator()), tmp_path / "whole")
    engine = Shot(trials)
    run_plan(plan(SyntheticEvaluator(seconds=0.2)), tmp_path / "shot", engine=engine)
    assert {*PHASES} <= {*engine.seen}
    whole, shot = (content((tmp_path / name / LOG_NAME).read_bytes()) for name in ("whole", "shot"))
    assert shot == whole


@pytest.mark.parametrize("again", [False, True])
def test_a_task_is_repeated_once(engine, again):
    engine.submit(Call("x", pinned))
    kill(engine)
    while engine.wait(timeout=0.01) is None and engine._slots[0].call is not None and not engine._slots[0].repeated:
        pass
    if again:
        kill(engine)
        found = engine.wait(timeout=120)
        assert found is not None and isinstance(found.value, Failure) and found.value.died
        how = "exit code 1" if os.name == "nt" else "signal 9"
        assert found.value.reason == f"the worker process died ({how})"
        assert isinstance(outcome(engine, Call("y", pinned)), Evaluation)
    else:
        found = engine.wait(timeout=120)
        assert found is not None and isinstance(found.value, Evaluation)


REASONS = {
    "exit": "SystemExit: 4",
    "exit without a word": "SystemExit: no message",
    "interrupt": "KeyboardInterrupt: no message",
    "base": "BaseException: of the root",
    "generator": "GeneratorExit: closed",
    "unpicklable": "Unpicklable: first line",
    "not rebuilt": "NotRebuilt: 3: three",
    "unprintable": "Unprintable: no message",
    "memory": "out of memory",
    "nothing": "the result is not an evaluation: NoneType",
    "result": "the result cannot be sent: ",
    "leave": "the worker process died (exit code 0)",
    "no pipe": "the worker process died (",
}


def test_whatever_a_module_raises_fails_its_trial_alone(engine):
    for how, reason in REASONS.items():
        found = outcome(engine, Call(how, misbehave, (how,)))
        assert isinstance(found, Failure), how
        assert found.reason.startswith(reason) and "\n" not in found.reason, (how, found.reason)
    assert isinstance(outcome(engine, Call("well", pinned)), Evaluation)


def test_a_task_that_cannot_be_sent_fails(engine):
    found = outcome(engine, Call("x", pinned, (threading.Lock(),)))
    assert isinstance(found, Failure) and "cannot be sent" in found.reason


def test_a_users_mistake_is_told_even_if_it_cannot_be_carried(engine):
    engine.submit(Call("x", misbehave, ("user's",)))
    with pytest.raises(UserError, match="a folder must hold images, but got 'none'") as caught:
        engine.wait(timeout=120)
    assert not isinstance(caught.value, DataError)


@pytest.mark.parametrize("how", ["said", "hidden"])
@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS"])
def test_a_full_disk_concerns_every_task(engine, code, how):
    engine.submit(Call("x", out_of_room, (code, how)))
    with pytest.raises(StorageFull, match=r"nothing more can be written .*then give the same command") as caught:
        engine.wait(timeout=120)
    assert os.strerror(getattr(errno, code)) in str(caught.value)
    assert ("Make it writable" if code == "EROFS" else "Make room") in str(caught.value)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 512 KiB."""
    if sys.platform != "linux":
        pytest.skip("a small file system is made as Linux does")
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("only root can make a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_training_that_met_a_full_disk_goes_on_from_its_checkpoint(small_disk, tmp_path):
    call = Call("x", save_until, (str(small_disk), str(tmp_path / "enough")), result=small_disk / "evaluation.json")
    with LocalEngine(["cpu"], logs=tmp_path) as engine:
        engine.submit(call)
        with pytest.raises(StorageFull, match="No space left on device"):
            engine.wait(timeout=120)
    assert [p.name for p in small_disk.iterdir() if p.name != "others"] == ["checkpoint.pt"]
    (small_disk / "others").unlink()
    (tmp_path / "enough").touch()
    with LocalEngine(["cpu"]) as engine:
        found = outcome(engine, call)
    assert isinstance(found, Evaluation) and found.seed == 1  # the state it went on from


def fill(file: Path) -> None:
    """Fill the disk."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as out:
        while True:
            out.write(bytes(4096))


class Filling(InlineEngine):
    """An engine during which the disk is filled: at its third outcome."""

    def __init__(self, filler: Path) -> None:
        super().__init__()
        self.filler, self.left = filler, 3

    def wait(self, timeout=None):
        self.left -= 1
        if self.left == 0:
            fill(self.filler)
        return super().wait(timeout)


@pytest.mark.parametrize("what", ["folder", "database"])
def test_a_search_that_met_a_full_disk_goes_on_with_that_trial(small_disk, tmp_path, what):
    plan = partial(make_plan, trials=8, control_seeds=2)
    whole = run_plan(plan(), tmp_path / "whole")
    folder = (small_disk if what == "folder" else tmp_path) / "run"
    url = f"sqlite:///{small_disk}/study.db" if what == "database" else None
    with pytest.raises(StorageFull, match="Make room, then give the same command again"), room_wanted():
        run_plan(plan(), folder, engine=Filling(small_disk / "others"), url=url)
    assert "failed" not in {t.state for t in StudyView.read(folder).trials}
    (small_disk / "others").unlink()
    run_plan(plan(), folder, url=url)
    assert len(whole.trials) == 8
    assert content((folder / LOG_NAME).read_bytes()) == content((tmp_path / "whole" / LOG_NAME).read_bytes())


def test_a_full_disk_at_the_start_is_no_wrong_url(small_disk):
    fill(small_disk / "others")
    with pytest.raises(StorageFull, match="Make room"):
        Mirror(f"sqlite:///{small_disk}/study.db", "name", "0")
    with pytest.raises(StorageFull, match="Make room"):
        run_search("demo", runs=small_disk)
