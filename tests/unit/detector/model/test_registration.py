"""Our modules in Ultralytics' globals: in any import order, and never in place of another object."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from nas_attn.attention import registry
from nas_attn.attention.residual import Scaled
from nas_attn.attention.zoo.acmix import ACmix
from nas_attn.attention.zoo.lska import LSKA
from nas_attn.detector.model.registration import register, unregister


def test_every_module_has_its_dotted_and_its_bare_name():
    tasks = ModuleType("tasks")
    register(tasks)
    names = vars(tasks)
    for entry in registry.entries():
        wanted = None if entry.is_none else entry.cls
        assert names.get(f"nas_attn.{entry.cls.__name__}") is wanted
        assert names.get(entry.cls.__name__) is wanted
    assert names["nas_attn.Scaled"] is Scaled


def test_registering_twice_and_unregistering():
    tasks = ModuleType("tasks")
    before = dict(vars(tasks))
    register(tasks)
    after = dict(vars(tasks))
    register(tasks)
    assert vars(tasks) == after
    unregister(tasks)
    assert vars(tasks) == before


def test_a_taken_bare_name_stays_and_is_said():
    tasks = ModuleType("tasks")
    tasks.ACmix = int
    with pytest.warns(UserWarning, match=r"ACmix.*nas_attn\.ACmix"):
        register(tasks)
    assert tasks.ACmix is int
    assert vars(tasks)["nas_attn.ACmix"] is ACmix and tasks.LSKA is LSKA
    unregister(tasks)
    assert tasks.ACmix is int


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("torch", "ultralytics", "optuna", "fvcore", "pandas", "plotly", "numpy")
    assert run(f"import sys, nas_attn; print([m for m in {heavy} if m in sys.modules])") == "[]\n"
    assert run(f"import sys; from nas_attn import CostTable; print([m for m in {heavy} if m in sys.modules])") == "[]\n"


@pytest.mark.parametrize(
    "code",
    [
        "import nas_attn; import ultralytics.nn.tasks as t",
        "import ultralytics.nn.tasks as t; assert 'nas_attn.LSKA' not in vars(t); import nas_attn",
        "import nas_attn.attention.zoo.lska; import ultralytics.nn.tasks as t",
        "import ultralytics.nn.tasks as t; import nas_attn.attention.zoo.lska",  # as unpickling does
    ],
)
def test_any_order_of_imports_registers(code):
    check = "print(vars(t)['nas_attn.LSKA'].__name__, vars(t)['nas_attn.Scaled'].__name__)"
    assert run(f"{code}; {check}") == "LSKA Scaled\n"
