"""`modules`, `modules NAME` and `modules check`: output for people, output for machines, exit codes."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
import torch
from module_files import clean, write
from torch import nn

from nas_attn.attention import Choice, registry, table
from nas_attn.attention.validation import read_settings
from nas_attn.cli import modules_check, tables
from nas_attn.cli.app import run
from nas_attn.conformance import FAILED, MISSING, PASSED, Result
from nas_attn.cost.counter import gene_cost
from nas_attn.cost.latency import kept_for_backward, measure
from nas_attn.space import Gene, Slot

__all__ = ["clean", "write"]  # fixtures
SMALL = ("--imgsz", "64", "--batch", "2", "--device", "cpu")


class Doubling(nn.Module):
    """A module that changes the shape of its map."""

    def __init__(self, dim: int, times: Annotated[int, Choice(2, 3)] = 2) -> None:
        super().__init__()
        self.weight, self.times = nn.Parameter(torch.ones(dim, 1, 1)), times

    def forward(self, x):
        return (x * self.weight).repeat_interleave(self.times, 2)


@pytest.fixture
def doubling(monkeypatch):
    registry.entries()
    settings, cannot = (*read_settings(Doubling, ""), registry.RESIDUAL), {"deterministic": "for the test's sake"}
    entry = registry.ModuleEntry("doubling", Doubling, "test", "", settings, "", cannot)
    monkeypatch.setitem(table.TABLE, entry.name, entry)
    return entry


def test_machines_read_a_list(capsys):
    assert run(["modules", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [m["name"] for m in listed] == registry.names()
    acmix = next(m for m in listed if m["name"] == "acmix")
    cost = gene_cost(Gene.of("acmix", {"head": 4, "kernel_att": 7}), 64, 80, 80)
    assert (acmix["gmacs"], acmix["params"]) == (cost.gmacs, cost.params) and acmix["map"] == [64, 80, 80]
    assert acmix["settings"]["head"] == {"options": [1, 2, 4, 8], "default": 4}
    assert acmix["class"] == "ACmix" and acmix["forms"] == ["reference", "fast"] and acmix["deterministic"] is True
    for m in listed:
        assert {"family", "paper", "licence", "cannot"} <= m.keys()
        assert (m["gmacs"] is None) == (m["refused"] is not None)
    assert any(m["refused"] for m in listed) and any(m["cannot"] for m in listed)


def test_people_read_a_table_of_120_columns(capsys, monkeypatch):
    monkeypatch.setattr(tables, "PIPE_WIDTH", 120)
    assert run(["modules"]) == 0
    shown = capsys.readouterr().out
    for entry in registry.entries():
        assert f"  {entry.name} " in shown and entry.family in shown
        for key, reason in entry.cannot.items():
            assert f"{entry.name} cannot {registry.LIMITS[key]}" in shown and reason.split(":")[0][:40] in shown
    assert "17,822" in shown and "kernel_att 7, 3, 5, 9" in shown


def test_one_module_in_detail(capsys):
    assert run(["modules", "lska"]) == 0
    shown = capsys.readouterr().out
    entry = registry.get("lska")
    assert all(word in shown for word in (entry.paper[:30], "LSKA", "residual none, scaled", "5,440 parameters"))
    for words in (["lska", "--json"], ["--json", "lska"]):
        assert run(["modules", *words]) == 0
        assert json.loads(capsys.readouterr().out)["name"] == "lska"


@pytest.mark.parametrize("words", [["modules", "acmx"], ["modules", "check", "acmx"]])
def test_an_unknown_name_is_answered_with_the_nearest(capsys, words):
    assert run(words) == 2
    assert "'acmx'. Did you mean 'acmix'?" in capsys.readouterr().err


def test_check_of_a_sound_module(capsys):
    assert run(["modules", "check", "eca", "conv", *SMALL, "--json"]) == 0
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.err.strip().splitlines()] == ["[1/2] eca", "[2/2] conv"]
    found = json.loads(said.out)
    assert found["ok"] and found["batch"] == 2 and found["imgsz"] == 64 and found["device"] == "cpu"
    assert found["threads"] == 1
    eca = found["modules"][0]
    states = {c["check"]: (c["state"], c["genes"], c["of"]) for c in eca["checks"]}
    assert states["maps"] == (PASSED, 4, 4) and states["compile"] == (PASSED, 2, 2)
    assert [s["map"] for s in eca["slots"]] == [[64, 8, 8], [128, 4, 4], [256, 2, 2]]
    assert all(s["forward_ms"] > 0 and s["step_ms"] > 0 and s["saved_mb"] > 0 for s in eca["slots"])


def test_check_of_a_broken_module(capsys, doubling):
    assert run(["modules", "check", "doubling", "--model", "yolov8n.yaml", *SMALL]) == 1
    said = capsys.readouterr()
    assert "[1/1] doubling: " in said.err and "maps" in said.err
    assert "Wrong: doubling." in said.out and "keep the shape of its map" in said.out
    assert said.out.count("not run") > 15 and "fails maps" in said.out
    assert " px on one CPU thread: " in " ".join(said.out.split())


NOISY = """
from typing import Annotated

import torch
from torch import nn

from nas_attn.attention import Choice, attention

print("read")


@attention("noisy")
class Noisy(nn.Module):
    def __init__(self, dim: int, k_size: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__()
        print("built")
        self.conv = nn.Conv2d(dim, dim, k_size, padding=k_size // 2)

    def forward(self, x):
        print("called", end="")
        return x + torch.special.i1e(self.conv(x))
"""


@pytest.mark.needs("onnx", "onnxruntime")
@pytest.mark.usefixtures("clean")
def test_stdout_is_json_whatever_a_module_prints(capfd, write):
    """If an operator is not in ONNX, compiled code of torch prints a graph past Python's streams."""
    file = str(write(NOISY.replace("torch.special.i1e(self.conv(x))", "self.conv(x)"), "sound.py"))
    noisy = str(write(NOISY, "noisy.py"))
    assert run(["modules", "--modules", file, "--json"]) == 0
    said = capfd.readouterr()
    assert "noisy" in [m["name"] for m in json.loads(said.out)] and said.err.startswith("read")
    assert run(["cost", "p3=noisy", "--json"]) == 0
    said = capfd.readouterr()
    assert len(json.loads(said.out)["costs"]) == 2 and "called" in said.err
    table.TABLE.pop("noisy")
    assert run(["modules", "check", "noisy", "--modules", noisy, *SMALL, "--json"]) == 1
    said = capfd.readouterr()
    checks = {c["check"]: c for c in json.loads(said.out)["modules"][0]["checks"]}
    assert checks["onnx"]["state"] == FAILED and 'cannot={"onnx": "the reason"}' in checks["onnx"]["reason"]
    assert "called" in said.err and "graph(" not in said.err


@pytest.mark.usefixtures("clean")
def test_a_module_that_leaves_or_raises_ends_no_command(capsys, write):
    leaving = NOISY.replace('print("called", end="")', "raise SystemExit")
    file = str(write(leaving, "leaving.py"))
    assert run(["modules", "noisy", "--modules", file]) == 2
    said = capsys.readouterr().err
    assert "SystemExit" in said and "modules check noisy" in said
    assert run(["modules", "check", "noisy", "--modules", file, *SMALL, "--json"]) == 1
    (noisy,) = json.loads(capsys.readouterr().out)["modules"]
    assert all(s["error"] == "SystemExit: no message" for s in noisy["slots"])


def test_the_last_line_names_what_is_marked():
    rows = [{"marks": ["slow: 12 x conv"]}, {"refused": "large"}, {"marks": ["slow: 30 x conv", "large: 11 x conv"]}]
    marked, plain = {"name": "a", "ok": True, "slots": rows}, {"name": "b", "ok": True, "slots": [{"marks": []}]}
    assert modules_check.verdict([marked, plain]) == "All right; marked: a (slow, large)."
    assert modules_check.verdict([plain]) == "All right."
    assert modules_check.verdict([{**marked, "ok": False}, plain]) == "Wrong: a; marked: a (slow, large)."


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [(["--device", "tpu"], 2, "`--device` must be cpu or cuda"), (["--device", "cuda"], 1, "needs a CUDA device")],
)
def test_devices(capsys, monkeypatch, words, code, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(["modules", "check", "eca", *words]) == code
    assert said in capsys.readouterr().err


def test_a_check_is_as_good_as_its_worst_setting():
    states = (PASSED, MISSING, FAILED, PASSED, FAILED)
    results = [Result("m", f"m(a={i})", "maps", state, f"why {i}") for i, state in enumerate(states)]
    (row,) = modules_check.summary(results)
    assert (row["state"], row["genes"], row["of"], row["gene"], row["reason"]) == (FAILED, 2, 5, "m(a=2)", "why 2")
    (row,) = modules_check.summary(results[:2])
    assert row["state"] == MISSING and not row["wrong"]


def test_what_is_slow_or_large_is_marked():
    slot, entry = Slot("p3", 0, 64, 8), registry.get("eca")
    quick = {"p3": {"forward_ms": 1e-6, "step_ms": 1e-6, "saved_mb": 1e-6}}
    marks = modules_check._against(quick, entry, slot, 64, 2, "cpu")["marks"]
    assert [m.split(":")[0] for m in marks] == ["slow", "large"] and all(m.endswith("x conv") for m in marks)
    slow = {"p3": {"forward_ms": 1e6, "step_ms": 1e6, "saved_mb": 1e6}}
    assert modules_check._against(slow, entry, slot, 64, 2, "cpu")["marks"] == []
    crowded = modules_check._against(slow, registry.get("mhsa"), slot, 640, 2, "cpu")
    assert "attention logits" in crowded["refused"] and crowded["marks"] == []


def test_bytes_kept_for_backward():
    """A convolution keeps its input; its weight does not count; a tensor that two layers keep counts once."""
    x = torch.randn(2, 8, 5, 7, requires_grad=True)
    one = x.numel() * x.element_size()
    assert kept_for_backward(nn.Conv2d(8, 8, 3, padding=1), x) == one
    assert kept_for_backward(nn.Sequential(nn.Conv2d(8, 8, 1), nn.Sigmoid(), nn.Conv2d(8, 8, 1)), x) == 2 * one

    class Twice(nn.Module):
        def forward(self, x):
            return x * x.flatten(2).reshape(x.shape)  # two views of one storage

    assert kept_for_backward(Twice(), x) == one
    taken = measure(nn.Conv2d(8, 8, 3, padding=1), 8, 5, 7, batch=3)
    assert taken.saved_mb == 8 * 5 * 7 * 4 / 1e6 and taken.forward_ms > 0 and taken.step_ms > 0
