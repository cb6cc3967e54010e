"""Workers started from a script, a prompt or a notebook run the user's code again only if it defines modules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).resolve().parents[2] / "support"
SEARCH = """
print("once")
from nas_attn.engine import LocalEngine, Call
from worker_calls import pinned, knows
engine = LocalEngine(["cpu"])
engine.submit(Call("x", {call}))
print(engine.wait(60).value.versions["{key}"])
engine.__exit__()
"""
PLAIN = SEARCH.format(call="pinned", key="OMP_NUM_THREADS")
MODULE = """
from typing import Annotated
from torch import nn
from nas_attn.attention import Choice, attention

@attention("scripted")
class Scripted(nn.Module):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, k_size, padding=k_size // 2)

    def forward(self, x):
        return x * self.conv(x)
"""
OWN = SEARCH.format(call='knows, ("scripted",)', key="scripted")
GUARD = "\nif __name__ == '__main__':"


def python(folder: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess:
    paths = os.pathsep.join([str(SUPPORT), os.environ["PYTHONPATH"]])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("how", ["script", "command", "stdin", "prompt", "module"])
def test_no_guard_is_needed(tmp_path, how):
    (tmp_path / "plain.py").write_text(PLAIN)
    arguments, stdin = {
        "script": (["plain.py"], None),
        "command": (["-c", PLAIN], None),
        "stdin": (["-"], PLAIN),  # `__main__` has no file, as in a notebook
        "prompt": (["-i", "-q"], PLAIN),
        "module": (["-m", "plain"], None),
    }[how]
    done = python(tmp_path, *arguments, stdin=stdin)
    assert done.returncode == 0 and done.stdout.split() == ["once", "1"], done.stderr


def test_a_thread_of_the_script_may_start_processes_too(tmp_path):
    script = f"""
import multiprocessing as mp, threading
def main():
    context = mp.get_context("spawn")
    def spawn():
        for _ in range(2):
            one = context.Process(target=print, args=("spawned",))
            one.start(); one.join()
            print(one.exitcode)
    thread = threading.Thread(target=spawn)
    thread.start()
    exec({PLAIN!r})
    thread.join()
if __name__ == "__main__":
    main()
"""
    (tmp_path / "threads.py").write_text(script)
    done = python(tmp_path, "threads.py")
    assert sorted(done.stdout.split()) == ["0", "0", "1", "once", "spawned", "spawned"], done.stderr


def test_modules_that_a_script_holds_reach_its_workers(tmp_path):
    (tmp_path / "own.py").write_text(MODULE + GUARD + OWN.replace("\n", "\n    "))
    done = python(tmp_path, "own.py")
    assert done.stdout.split() == ["once", "__mp_main__"], done.stderr


def test_modules_that_a_script_imports_reach_its_workers(tmp_path):
    (tmp_path / "layers.py").write_text(MODULE)
    (tmp_path / "uses.py").write_text("import layers\n" + OWN)
    done = python(tmp_path, "uses.py")
    assert done.stdout.split() == ["once", "layers"], done.stderr


def test_one_line_where_a_guard_is_needed(tmp_path):
    (tmp_path / "own.py").write_text(MODULE + OWN)
    done = python(tmp_path, "own.py")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "`if __name__ == '__main__':`" in last and "module_files" in last
    assert "Unexpected error" not in done.stderr
