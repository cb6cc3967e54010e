"""Other systems, imitated: functions that they lack are taken away, and others act as they do there."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import loaded_process
import psutil
import pytest
from loaded_process import LoadedProcess

from nas_attn import atomic_files, environment
from nas_attn.atomic_files import write_text_atomic
from nas_attn.dashboard import server
from nas_attn.data import image_lists, labels
from nas_attn.detector.final.training_folder import TrainingFolder
from nas_attn.study.config_sources import modules_given
from nas_attn.study.mirror import Mirror, read_mirror
from nas_attn.study.storage_url import sqlite_url

# a `sitecustomize` runs first in every interpreter: in those of workers, too
ELSEWHERE = """
import os, signal, sys
for name in ("fork", "register_at_fork", "getuid", "sched_getaffinity", "O_NOFOLLOW"):
    delattr(os, name)
os.getppid = lambda: 7  # below the launcher of an environment, and when the parent is gone
del signal.SIGHUP
"""
SUPERVISOR = """
import json, os, signal, sys
from pathlib import Path
from worker_calls import pinned
from nas_attn.attention import trust, user
from nas_attn.engine import Call, LocalEngine
from nas_attn.errors import StudyLocked
from nas_attn.stopping import stopping
from nas_attn.study.devices import workers
from nas_attn.study.folder import Lease, RunFolder

said = {"lacks": not any(hasattr(os, n) for n in ("fork", "getuid", "O_NOFOLLOW")) and not hasattr(signal, "SIGHUP")}
said["workers"] = len(workers("cpu", None)[0])
with LocalEngine(["cpu"], logs=Path("logs")) as engine:
    for _ in range(2):
        engine.submit(Call("x", pinned))
        said["worker"] = engine.wait(60).value.seed
source = user.Source("mine", "x = 1")
said["named before"] = trust._named(source)
trust.remember([source])
said["named"] = trust._named(source)
folder = RunFolder(Path("run"))
folder.create()
with Lease(folder):
    try:
        with Lease(folder):
            pass
    except StudyLocked as error:
        said["locked"] = str(error)
with Lease(folder):
    said["again"] = True
try:
    with stopping():
        signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt as stop:
    said["stopped"] = str(stop)
print(json.dumps({**said, "pid": os.getpid()}))
"""
ORPHAN = """
from worker_calls import misbehave, pinned
from nas_attn.engine import Call, LocalEngine
engine = LocalEngine(["cpu"])
engine.submit(Call("x", pinned))
print(engine.wait(60).value.seed, flush=True)
engine.submit(Call("y", misbehave, ("hang",)))
engine.wait(600)
"""


@pytest.fixture
def elsewhere(tmp_path) -> dict[str, str]:
    """The environment of interpreters that lack what only POSIX has."""
    (tmp_path / "sitecustomize.py").write_text(ELSEWHERE, "utf-8")
    paths = [str(tmp_path), str(Path(loaded_process.__file__).parent), os.environ["PYTHONPATH"]]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NAS_ATTN_CACHE": str(tmp_path / "cache")}


def test_workers_locks_trust_and_signals_without_posix(elsewhere, tmp_path):
    command = [sys.executable, "-c", SUPERVISOR]
    done = subprocess.run(command, cwd=tmp_path, env=elsewhere, capture_output=True, encoding="utf-8", check=True)
    said = json.loads(done.stdout)
    assert said["lacks"] and said["workers"] >= 1 and not psutil.pid_exists(said["worker"])
    assert not said["named before"] and said["named"] and said["again"] and said["stopped"] == "SIGTERM"
    assert f"process {said['pid']} on" in said["locked"]
    assert (tmp_path / "logs" / "worker-0.log").exists()


def test_a_worker_ends_with_its_supervisor(elsewhere, tmp_path):
    """In the middle of a call, and without a parent that could be asked for."""
    with subprocess.Popen([sys.executable, "-c", ORPHAN], cwd=tmp_path, env=elsewhere, stdout=subprocess.PIPE) as first:
        worker = psutil.Process(int(first.stdout.readline()))
        time.sleep(0.3)
        assert worker.is_running()
        first.kill()
    worker.wait(10)


def test_what_a_module_prints_is_utf8_in_the_log(tmp_path):
    program = (
        "from pathlib import Path; from nas_attn.engine import Call, LocalEngine; from worker_calls import say\n"
        "with LocalEngine(['cpu'], logs=Path('.')) as engine:\n"
        "    engine.submit(Call('x', say, ('Δ 研究',)))\n"
        "    print(type(engine.wait(60).value).__name__)"
    )
    paths = os.pathsep.join([str(Path(loaded_process.__file__).parent), os.environ["PYTHONPATH"]])
    for encoding in ("ascii", "cp1252"):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, encoding="utf-8", check=True,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": encoding},
        )  # fmt: skip
        assert done.stdout == "Evaluation\n"
    assert (tmp_path / "worker-0.log").read_text("utf-8").splitlines() == ["Δ 研究"] * 2


def test_a_command_runs_where_nothing_forks(monkeypatch, tmp_path):
    monkeypatch.setattr(loaded_process, "FORKS", False)
    done = LoadedProcess().run(["cost", "--json", "none"], tmp_path, os.environ, 100)
    assert done.code == 2 and not done.out and "error:" in done.err
    with pytest.raises(TimeoutError):
        LoadedProcess().run(["--help"], tmp_path, os.environ, 0.01)


def windows(monkeypatch, *modules) -> None:
    """Make these modules believe that they run on Windows."""
    for module in modules:
        monkeypatch.setattr(module, "os", SimpleNamespace(**{**vars(os), "name": "nt", "sep": "\\"}))


@pytest.mark.parametrize("refusals", [2, 9])
def test_a_file_that_somebody_reads_is_replaced_once_it_is_free(monkeypatch, tmp_path, refusals):
    left, replace = [refusals], Path.replace

    def busy(self, target):
        if left[0]:
            left[0] -= 1
            raise PermissionError(13, "The process cannot access the file")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(atomic_files.time, "sleep", lambda seconds: None)
    windows(monkeypatch, atomic_files)
    (tmp_path / "a").write_text("old")
    if refusals == 2:
        write_text_atomic(tmp_path / "a", "new")
    else:
        with pytest.raises(PermissionError):
            write_text_atomic(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text("utf-8") == ("new" if refusals == 2 else "old")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_lock_file_that_cannot_be_deleted_while_it_is_held(monkeypatch, tmp_path):
    def held(self, missing_ok=False):
        raise PermissionError(13, "The process cannot access the file")

    folder = TrainingFolder(tmp_path / "best-seed0", {})
    monkeypatch.setattr(Path, "unlink", held)
    for _ in range(2):
        with folder.alone():
            pass


def test_a_port_that_is_taken_is_not_shared(monkeypatch):
    windows(monkeypatch, server)
    with server._listen("127.0.0.1", 0) as listener:
        assert listener.getsockopt(server.socket.SOL_SOCKET, server.socket.SO_REUSEADDR) == 0


def test_words_of_a_printed_command(monkeypatch):
    words = ("plain/path.yaml", "my runs", "研究/d.yaml", "a'b", "R&D")
    assert [shlex.split(environment.shell_word(w)) for w in words] == [[w] for w in words]
    windows(monkeypatch, environment)
    assert environment.shell_word("best.yaml") == "best.yaml"
    assert environment.shell_word("C:\\my runs\\R&D") == '"C:\\my runs\\R&D"'


def test_lists_of_images_have_either_slash(monkeypatch, tmp_path):
    windows(monkeypatch, image_lists, labels)
    monkeypatch.setattr(image_lists, "_listed", lambda *_, **__: ["C:/set/images/a.jpg", "C:\\set\\images\\b.jpg"])
    found = image_lists.images_of("train.txt", "train", tmp_path, tmp_path / "d.yaml", [])
    assert found == ("C:\\set\\images\\a.jpg", "C:\\set\\images\\b.jpg")
    assert labels.label_path(found[0]) == "C:\\set\\labels\\a.txt"


def test_a_module_file_is_known_by_its_folder_or_its_suffix():
    given = modules_given(["gates/mine", "mine.py", "acmix,lska"])
    assert given == {"module_files": ["gates/mine", "mine.py"], "modules": {"acmix": None, "lska": None}}


@pytest.mark.parametrize("name", ["my runs", "研究 1", "100%41", "what?x=1", "a{b}", "a#b", "a@b:c"])
def test_a_database_lies_in_a_folder_of_any_name(name, tmp_path):
    (tmp_path / name).mkdir()
    file = tmp_path / name / "study.db"
    with Mirror(sqlite_url(file), "s", "0") as mirror:
        mirror.write_header({"kind": "study", "name": "s"})
    assert file.exists() and [p.name for p in tmp_path.iterdir()] == [name]
    assert read_mirror(sqlite_url(file), "s") == [{"kind": "study", "name": "s"}]


@pytest.mark.skipif(not hasattr(signal, "SIGBREAK"), reason="only Windows has Ctrl-Break")
def test_a_closed_window_interrupts():
    from nas_attn.stopping import stopping

    with pytest.raises(KeyboardInterrupt, match="SIGBREAK"), stopping():
        signal.raise_signal(signal.SIGBREAK)
