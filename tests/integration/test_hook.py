"""The hook in real interpreters of a real environment: they know the modules, and its removal leaves nothing."""

from __future__ import annotations

import copy
import importlib
import json
import os
import pickle
import shlex
import subprocess
import sys
import sysconfig
import threading
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nas_attn
from nas_attn import _registration
from nas_attn.cli.app import run
from nas_attn.errors import UserError
from nas_attn.hook import Hook
from nas_attn.space import Architecture

CHECKOUT = Path(nas_attn.__file__).parent.parent
TASKS = "import ultralytics.nn.tasks as t; print('nas_attn.LSKA' in vars(t), type(t.__loader__).__name__)"


class Environment:
    """A virtual environment with the libraries of the running interpreter; a line in a .pth file adds nas_attn."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        self.site = next(folder.glob("lib/python*/site-packages"))
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (self.site / "others.pth").write_text("\n".join(sorted(paths)) + "\n")
        self.package = self.site / "package.pth"
        self.package.write_text(f"{CHECKOUT}\n")

    def __call__(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [str(self.python), *map(str, arguments)], env=outside | environment, cwd=self.site.parent,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done

    def listing(self) -> dict[str, bytes]:
        """Every file of site-packages, with its content."""
        return {str(p.relative_to(self.site)): p.read_bytes() if p.is_file() else b"" for p in self.site.rglob("*")}


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture
def hooked(environment) -> Iterator[Environment]:
    Hook(environment.site).install()
    yield environment
    Hook(environment.site).remove()


@pytest.mark.skipif(os.name == "nt", reason="the layout of environments on POSIX")
def test_installed_by_command_used_and_removed_without_a_trace(environment):
    before = environment.listing()
    assert environment("-c", TASKS).stdout.split() == ["False", "SourceFileLoader"]

    said = environment("-m", "nas_attn", "hook", "install")
    assert said.returncode == 0 and "installed in" in said.stdout and "note:" not in said.stderr
    files = environment.listing()
    assert "already installed" in environment("-m", "nas_attn", "hook", "install").stdout
    assert {k: v for k, v in environment.listing().items() if not k.startswith("__pycache__")} == {
        k: v for k, v in files.items() if not k.startswith("__pycache__")
    }
    status = json.loads(environment("-m", "nas_attn", "hook", "status", "--json").stdout)
    assert status == {"state": "installed", "folder": str(environment.site), "importable": True}

    done = environment("-c", TASKS)
    assert done.stdout.split() == ["True", "SourceFileLoader"] and not done.stderr, done.stderr
    assert any(k.startswith("__pycache__/_nas_attn_hook") for k in environment.listing())

    assert "removed from" in environment("-m", "nas_attn", "hook", "remove").stdout
    assert environment.listing() == before
    assert "not installed" in environment("-m", "nas_attn", "hook", "remove").stdout
    assert environment.listing() == before


def test_an_exported_yaml_builds_with_no_import_of_ours_also_in_a_child(hooked, tmp_path):
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.export import write_yaml
    from nas_attn.detector.neck.slots import find_slots

    base = load_base("yolo11n", nc=3, width=0.0625)
    write_yaml(tmp_path / "best.yaml", base, find_slots(base), Architecture.parse("p3=lska(k_size=7)"), final_nc=3)
    file = str(tmp_path / "best.yaml")
    code = f"from ultralytics import YOLO; print(type(YOLO({file!r}).model.model[17]).__name__)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    done = hooked("-c", child)
    assert done.stdout.split() == ["LSKA"], done.stderr
    assert "KeyError" in hooked("-S", "-c", f"import sys; sys.path += {sys.path!r}; {code}").stderr


def test_an_interpreter_loads_nothing_but_the_hook_itself(hooked):
    code = "import sys; print(*sorted(sys.modules))"
    with_hook = set(hooked("-c", code).stdout.split())
    Hook(hooked.site).remove()
    assert with_hook - set(hooked("-c", code).stdout.split()) <= {"_nas_attn_hook", "__future__"}
    assert "_nas_attn_hook" in with_hook


def test_without_the_package_it_is_silent_until_ultralytics_is_there(hooked):
    line = hooked.package.read_text()
    try:
        hooked.package.unlink()
        assert not hooked("-c", "import json, sys, torch").stderr
        done = hooked("-c", TASKS)
    finally:
        hooked.package.write_text(line)
    assert done.returncode == 0 and done.stdout.split()[0] == "False"
    assert done.stderr.count("\n") == 1 and "No module named 'nas_attn'" in done.stderr
    assert "nas_attn_hook.pth" in done.stderr


def test_a_broken_file_of_the_user_does_not_stop_ultralytics(hooked, tmp_path):
    (tmp_path / "mine.py").write_text("1 / 0\n")
    done = hooked("-c", TASKS, NAS_ATTN_MODULES=str(tmp_path / "mine.py"))
    assert done.returncode == 0 and done.stderr.count("\n") == 1 and "division by zero" in done.stderr


def test_threads_that_import_both_at_once(hooked):
    code = """
import importlib, threading
names = ["ultralytics", "nas_attn", "ultralytics.nn.tasks", "nas_attn.detector.model.base_model"] * 2
gate, failed = threading.Barrier(len(names)), []
def load(name):
    gate.wait()
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed.append((name, error))
threads = [threading.Thread(target=load, args=(n,)) for n in names]
[t.start() for t in threads]; [t.join(100) for t in threads]
import ultralytics.nn.tasks as t
print(failed, any(x.is_alive() for x in threads), 'nas_attn.LSKA' in vars(t))
"""
    done = hooked("-c", code)
    assert done.stdout == "[] False True\n", done.stdout + done.stderr


def test_what_is_not_ours_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "_nas_attn_hook.py").write_text("mine = 1\n")
    for act in (Hook(tmp_path).install, Hook(tmp_path).remove):
        with pytest.raises(UserError, match="must be the hook"):
            act()
    assert (tmp_path / "_nas_attn_hook.py").read_text() == "mine = 1\n" and len(list(tmp_path.iterdir())) == 1

    with pytest.raises(UserError, match="must be writable"):
        Hook(tmp_path / "_nas_attn_hook.py" / "site-packages").install()

    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert run(["hook", "install"]) == 2
    said = capsys.readouterr().err
    assert "virtual environment" in said and "--system" in said
    assert Hook(tmp_path / "s").install(outside_environments=True) == "absent"


def test_states(tmp_path):
    hook = Hook(tmp_path)
    assert (hook.state, hook.install(), hook.state) == ("absent", "absent", "installed")
    (tmp_path / "_nas_attn_hook.py").write_text("# nas_attn of last year\n")
    assert (hook.state, hook.install(), hook.state) == ("outdated", "outdated", "installed")
    (tmp_path / "nas_attn_hook.pth").unlink()
    assert (hook.state, hook.remove(), hook.state) == ("incomplete", "incomplete", "absent")
    assert not list(tmp_path.iterdir())


def test_every_command_prints_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Hook, "here", lambda: Hook(tmp_path))
    steps = [
        ("install", "absent", "installed"),
        ("install", "installed", "installed"),
        ("remove", "installed", "absent"),
    ]
    for command, before, after in steps:
        assert run(["hook", command, "--json", *(["--system"] if command == "install" else [])]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["before"], found["state"], found["folder"]) == (before, after, str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_doctor_tells(capsys):
    run(["doctor", "--json"])
    checks = {c["check"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["hook"]["ok"] and Hook.here().state in checks["hook"]["found"]


@pytest.fixture
def target(tmp_path, monkeypatch) -> Iterator[Callable[..., list]]:
    """A function that installs finders for a small test module, and returns the arguments of their calls."""
    (tmp_path / "waited_for.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(_registration, "TARGET", "waited_for")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    called: list = []

    def put(count: int = 1) -> list:
        sys.meta_path[:0] = [_registration.Finder(called.append) for _ in range(count)]
        return called

    yield put
    sys.modules.pop("waited_for", None)


def test_the_finder_follows_reloads_and_new_imports(target, tmp_path):
    called = target()
    module = importlib.import_module("waited_for")
    assert called == [module]
    assert module.__loader__ is module.__spec__.loader and type(module.__loader__).__name__ == "SourceFileLoader"
    assert importlib.reload(module) is module and len(called) == 2
    del sys.modules["waited_for"]
    assert importlib.import_module("waited_for") is not module and len(called) == 3


def test_an_import_that_failed_is_followed_when_it_is_repeated(target, tmp_path):
    called = target()
    (tmp_path / "waited_for.py").write_text("raise RuntimeError('no')\n")
    with pytest.raises(RuntimeError, match="no"):
        importlib.import_module("waited_for")
    assert not called
    (tmp_path / "waited_for.py").write_text("value = 22222\n")
    importlib.invalidate_caches()
    assert importlib.import_module("waited_for").value == 22222 and len(called) == 1


def test_one_of_several_of_ours_does_the_work(target):
    called = target(3)
    importlib.import_module("waited_for")
    assert len(called) == 1


def test_finders_that_ask_all_finders_do_not_loop(target):
    class Asks:
        """A foreign finder of the same kind, with its own guard against recursion."""

        busy = False

        def find_spec(self, name, path=None, target=None):
            if self.busy or name != "waited_for":
                return None
            self.busy = True
            try:
                return importlib.util.find_spec(name)
            finally:
                self.busy = False

    called = target(2)  # as the hook of another version and the package
    sys.meta_path.insert(1, Asks())
    module = importlib.import_module("waited_for")
    assert module.value == 1 and called and all(m is module for m in called)
    assert type(module.__loader__).__name__ == "SourceFileLoader"


def test_looking_for_a_module_is_not_importing_it(target):
    called = target()
    spec = importlib.util.find_spec("waited_for")
    assert not called and spec.loader.get_source("waited_for") == "value = 1\n"
    assert copy.copy(spec.loader).get_filename("waited_for") == spec.origin
    assert pickle.loads(pickle.dumps(_registration.Loader(1, print))).real == 1
    with pytest.raises(AttributeError):
        spec.loader.nothing  # noqa: B018


def test_threads_find_the_target_at_once(target):
    called = target()
    threads = [threading.Thread(target=importlib.import_module, args=("waited_for",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(called) == 1


def test_nothing_that_the_command_line_starts_installs_packages(monkeypatch, capsys):
    monkeypatch.setenv("YOLO_AUTOINSTALL", "1")
    run(["hook", "status"])
    assert os.environ["YOLO_AUTOINSTALL"] == "0"


def test_a_checkpoint_where_the_package_is_missing(environment, tmp_path):
    """Ultralytics would pip install whatever is called nas_attn; one variable forbids it, as `bundle/` says."""
    from nas_attn.attention.zoo.lska import LSKA
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.weights.start_model import save_start

    model = load_base("yolo11n", nc=3, width=0.0625).build()
    model.model[9] = LSKA(16, 7)
    save_start(model, "detect", tmp_path / "best.pt")
    pip = "import ultralytics.utils.checks as c; c.subprocess.check_output = lambda *a, **k: print('PIP', a) or ''; "
    code = pip + f"from ultralytics import YOLO; YOLO({str(tmp_path / 'best.pt')!r})"
    line = environment.package.read_text()
    try:
        environment.package.unlink()
        done = environment("-c", code, YOLO_AUTOINSTALL="0", YOLO_OFFLINE="0")
    finally:
        environment.package.write_text(line)
    assert done.returncode == 1 and "No module named 'nas_attn'" in done.stderr and "PIP" not in done.stdout
    assert environment("-c", code).returncode == 0


def test_the_plain_command_trains_from_the_yaml(hooked, tiny_data, tmp_path):
    """`yolo detect train model=best.yaml`, typed by a user who has the hook but does not import nas_attn."""
    from nas_attn.detector.final.plain_command import plain_command
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.export import write_yaml
    from nas_attn.detector.neck.slots import find_slots

    base = load_base("yolo11n", nc=3, width=0.0625)
    write_yaml(tmp_path / "best.yaml", base, find_slots(base), Architecture.parse("p3=lska(k_size=7)"), final_nc=3)
    given = {"epochs": 1, "imgsz": 64, "batch": 4, "device": "cpu", "plots": False, "val": False, "project": tmp_path}
    command = plain_command("detect", tmp_path / "best.yaml", tiny_data, 0, given)
    entry = "from ultralytics.cfg import entrypoint; entrypoint()"
    done = hooked("-c", entry, *shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "train" / "weights" / "best.pt").is_file()
