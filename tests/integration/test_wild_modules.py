"""A user's modules that exit, interrupt or hang in training: each fails its own trials, and the search continues."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas_attn.attention import table, user
from nas_attn.engine import Call, Failure, LocalEngine
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.space import Architecture
from nas_attn.study import read_study

WILD = '''
import os, sys, time
from pathlib import Path
from typing import Annotated
from torch import nn
from nas_attn.attention import Choice, attention

@attention("wild")
class Wild(nn.Module):
    """Well behaved until it trains on several images."""

    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, k_size, padding=k_size // 2, groups=dim)

    def forward(self, x):
        if self.training and x.shape[0] > 2:
            {act}
        return x * self.conv(x).sigmoid()
'''
SCRIPT = """
from nas_attn import run_search
run_search("wild.yaml", trials=5)
print("done")
"""


@pytest.fixture
def wild(tmp_path):
    """A function: act -> the registered module file; the registry is restored at the end."""
    before = dict(table.TABLE)

    def write(act: str) -> Path:
        path = tmp_path / "wild.py"
        path.write_text(WILD.replace("{act}", act))
        return path

    yield write
    table.TABLE.clear()
    table.TABLE.update(before)


def test_a_module_that_exits_fails_its_trial_in_a_search_without_a_guard(tmp_path, wild, write_study):
    wild("sys.exit(4)")
    changes = {"epochs": 1, "control_seeds": 1, "jobs": 1, "modules": {"wild": {"residual": ["none"]}}}
    write_study(tmp_path / "wild.yaml", **changes, module_files=["wild.py"], slots=["p3"])
    done = subprocess.run(
        [sys.executable, "-"],
        input=SCRIPT,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().splitlines()[-1] == "done"
    trials = read_study("wild", runs=tmp_path / "runs").trials
    assert len({t.architecture for t in trials}) == len(trials) == 4  # both controls and both settings; none is left
    for t in trials:
        wanted = ("failed", "SystemExit: 4") if "wild" in str(t.architecture) else ("complete", "")
        assert (t.state, t.reason) == wanted, t


def test_modules_that_interrupt_or_hang_fail_their_trial(tmp_path, wild, tiny_data):
    mark = tmp_path / "hangs"
    acts = {
        "raise KeyboardInterrupt": "KeyboardInterrupt: no message",
        f"Path({str(mark)!r}).touch(), time.sleep(1e9)": "stopped after 0 minutes",
    }
    with LocalEngine(["cpu"], logs=tmp_path) as engine:
        for act, reason in acts.items():
            source = user.load(wild(act))
            evaluator = ProxyEvaluator("yolo11n.yaml", str(tiny_data), nc=3, width=0.0625, modules=(source,))
            arguments = (Architecture.parse("p3=wild p4=none p5=none"), Fidelity(1, 64), 0)
            engine.submit(Call(act, evaluator, arguments, limit=lambda: 0.0 if mark.exists() else None))
            found = engine.wait(timeout=300)
            assert found is not None and isinstance(found.value, Failure) and found.value.reason.startswith(reason), act
