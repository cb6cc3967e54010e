"""`register`: a class of a script or a notebook cell becomes a module that stands alone."""

from __future__ import annotations

import copy
import linecache
import math
import pickle
import subprocess
import sys
import textwrap
from typing import Any

import pytest
import torch

import nas_attn as na
from nas_attn.attention import registry, user
from nas_attn.errors import UserError

CELLS = 0


def run_cell(text: str, namespace: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run a text as a notebook runs a cell: its lines are known to Python, but there is no file."""
    global CELLS
    CELLS += 1
    name, text = f"<cell {CELLS}>", textwrap.dedent(text)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = {"__name__": "__main__"} if namespace is None else namespace
    exec(compile(text, name, "exec"), namespace)
    return namespace


HELPERS = """
import math
import torch.nn.functional as F
from typing import Annotated
import nas_attn as na
from nas_attn import Choice, register
from torch import nn

SCALE = {"gain": (2.0, None)}

def gain(x):  # uses a plain value and a module
    return x * math.sqrt(SCALE["gain"][0])

class Half(nn.Module):
    def forward(self, x):
        return gain(x) / 2
"""
GATE = """
@na.register
class TinyGATE2(nn.Module):
    '''A gate.'''

    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__()
        self.inner, self.conv = Half(), nn.Conv2d(dim, dim, k_size, padding=k_size // 2, groups=dim)

    def forward(self, x):
        return x * F.sigmoid(self.inner(self.conv(x)))
"""


@pytest.fixture(autouse=True)
def clean():
    before = dict(registry._table()) if hasattr(registry, "_table") else {}
    yield
    from nas_attn.attention import table

    table.TABLE.clear()
    table.TABLE.update(before)


def test_a_class_of_a_cell_stands_alone():
    cells = run_cell(HELPERS)
    cls = run_cell(GATE, cells)["TinyGATE2"]
    entry = registry.get("tiny_gate2")
    assert entry.cls is cls and [s.name for s in entry.settings] == ["k_size", "residual"]
    source = next(s for s in user.sources() if "tiny_gate2" in s.names)
    assert "register" not in source.text and "SCALE = {'gain': (2.0, None)}" in source.text
    module = cls(8)
    x = torch.randn(2, 8, 5, 4)
    assert module(x).shape == x.shape
    for again in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(again(x), module(x))
    assert na.cost_of("p3=tiny_gate2(k_size=5)").gmacs > na.cost_of().gmacs


FORWARD = """
    def forward(self, x):
        out = [x * gain(dim) for dim in (round, math.pi)]  # a comment

        def inner(x, *, by=round):
            nonlocal out
            return x * by

        return inner(sum(out)) + (lambda x: x)(0)
"""


def test_only_names_that_the_class_reads_from_the_notebook_matter():
    cells = run_cell(HELPERS) | {"x": torch.zeros(3), "out": open, "self": 5, "dim": object()}
    cells["round"] = 7  # shadows a function of Python
    run_cell(GATE.partition("    def forward")[0] + FORWARD, cells)
    source = next(s for s in user.sources() if "tiny_gate2" in s.names)
    assert "round = 7" in source.text and "import math" in source.text and "# a comment" in source.text
    assert not any(f"\n{name} = " in source.text for name in ("x", "out", "self", "dim"))


def test_another_process_runs_the_source_alone(tmp_path):
    run_cell(GATE, run_cell(HELPERS))
    source = next(s for s in user.sources() if "tiny_gate2" in s.names)
    (tmp_path / "alone.py").write_text(source.text, encoding="utf-8")
    program = "from nas_attn.attention import user; print(user.load('alone.py').names)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "tiny_gate2" in done.stdout, done.stderr


def test_a_cell_that_is_run_again_replaces_the_module():
    cells = run_cell(HELPERS)
    first = run_cell(GATE, cells)["TinyGATE2"]
    assert run_cell(GATE, cells)["TinyGATE2"] is first
    second = run_cell(GATE.replace("Choice(3, 5)", "Choice(3, 7)"), cells)["TinyGATE2"]
    assert second is not first and registry.get("tiny_gate2").cls is second
    assert registry.get("tiny_gate2").settings[0].options == (3, 7)


def test_name_and_facts_are_given_or_taken_from_the_class():
    cells = run_cell(HELPERS)
    body = GATE.replace("@na.register\n", "")
    run_cell(body, cells)
    named = na.register("my_gate", family="gates", paper="own")(cells["TinyGATE2"])
    entry = registry.get("my_gate")
    assert (entry.cls, entry.family, entry.paper) == (named, "gates", "own")
    run_cell(body.replace("TinyGATE2", "SAGate"), cells)
    na.register(cells["SAGate"])
    assert registry.get("sa_gate").cls.__name__ == "SAGate"
    run_cell(GATE.replace("@na.register", "@register('by_name')").replace("TinyGATE2", "Other"), cells)
    assert registry.get("by_name").cls.__name__ == "Other"


def test_the_decorator_may_have_any_name_and_its_mistakes_are_named():
    cells = run_cell(HELPERS + "\nfrom nas_attn import register as reg\n")
    run_cell(GATE.replace("@na.register", "@reg(name='by_keyword')"), cells)
    assert registry.get("by_keyword").cls.__name__ == "TinyGATE2"
    for wrong, said in (("@reg(famly='x')", "family"), ("@reg(3)", "class or a name"), ("@reg", "decorate a class")):
        text = GATE.replace("@na.register", wrong)
        text = text if wrong != "@reg" else "@reg()\ndef gate(x):\n    return x\n"
        with pytest.raises(UserError, match=said):
            run_cell(text, cells)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("x * F", "x * LOCK.x * F"), "`LOCK`, a lock"),
        (("x * F", "x * BOUND * F"), "`BOUND`, a float"),
        (("(nn.Module)", "(object)"), "nn.Module"),
        (("def __init__(self, dim", "def __init__(self, width"), "channel"),
    ],
)
def test_what_cannot_be_registered_is_refused_in_words(change, said):
    import threading

    cells = run_cell(HELPERS) | {"LOCK": threading.Lock(), "BOUND": -math.inf}
    with pytest.raises(UserError, match=said):
        run_cell(GATE.replace(*change), cells)
    assert "tiny_gate2" not in registry.names()


def test_a_class_without_source_or_inside_a_function_is_refused():
    namespace = {"__name__": "__main__"}
    exec(compile(HELPERS + GATE.replace("@na.register\n", ""), "<stdin>", "exec"), namespace)
    with pytest.raises(UserError, match=r"source cannot be found.*module_files"):
        na.register(namespace["TinyGATE2"])

    class Inner(torch.nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(UserError, match="defined inside another"):
        na.register(Inner)


def test_a_class_of_an_imported_module_is_registered_too(tmp_path, monkeypatch):
    (tmp_path / "layers_of_mine.py").write_text(HELPERS + GATE.replace("@na.register\n", ""), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import layers_of_mine

    na.register(layers_of_mine.TinyGATE2)
    source = next(s for s in user.sources() if "tiny_gate2" in s.names)
    assert "from layers_of_mine import Half" in source.text
