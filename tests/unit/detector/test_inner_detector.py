"""Detectors with attention inside their blocks: initial weights, fused, half and compiled forms, checkpoints, YAML."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from random_norms import shaken

from nas_attn.detector import blocks
from nas_attn.detector.model.base_model import build_yaml, load_base
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.neck.surgery import architecture_yaml
from nas_attn.detector.weights.initial_weights import build
from nas_attn.space import Architecture

pytestmark = pytest.mark.usefixtures("one_seeded_thread")


INNER = "p4=lska(k_size=7) inner.p3.insert=lska(k_size=7) inner.p3.replace=eca inner.p5.replace=acmix(head=2)"


@pytest.fixture(scope="module")
def detector():
    base = load_base("yolo11n", nc=3, width=0.125)
    return base, all_slots(base)


def test_projections_start_alike_wherever_they_stand(detector):
    """A projection that replaces a convolution has its own seed, so earlier layers do not change its weights."""
    base, slots = detector
    one, _ = build(base, slots, Architecture.parse("inner.p4.replace=eca"), 5)
    other, _ = build(base, slots, Architecture.parse("lateral.p3=lska(k_size=7) inner.p4.replace=eca"), 5)
    weights = [m.project.weight for n in (one, other) for m in n.modules() if isinstance(m, blocks.AttentionConv)]
    assert len(weights) == 2 and torch.equal(*weights)
    third, _ = build(base, slots, Architecture.parse("inner.p4.replace=eca"), 6)
    assert not torch.equal(weights[0], next(m.project.weight for m in third.modules() if hasattr(m, "project")))


def test_sites_of_a_slot_start_with_weights_of_their_own(detector):
    base, slots = detector
    model, _ = build(base, slots, Architecture.parse("inner.p5.insert=lska(k_size=7)"), 0)
    found = [m.attentions("insert") for m in model.modules() if isinstance(m, blocks._WithAttention)]
    assert [len(sites) for sites in found] == [2]
    assert not torch.equal(next(found[0][0].parameters()), next(found[0][1].parameters()))


def test_fused_half_and_compiled(detector):
    base, slots = detector
    model, _ = build(base, slots, Architecture.parse(INNER), 0)
    shaken(model)
    x = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        wanted = model(x)[0]
        fused = copy.deepcopy(model).fuse(verbose=False)
        torch.testing.assert_close(fused(x)[0], wanted, rtol=1e-3, atol=1e-2)
        assert all(m.bn is not None for m in fused.modules() if isinstance(m, blocks.AttentionConv))
        last = copy.deepcopy(model).to(memory_format=torch.channels_last)
        torch.testing.assert_close(
            last(x.contiguous(memory_format=torch.channels_last))[0], wanted, rtol=1e-3, atol=1e-2
        )
        assert torch.isfinite(copy.deepcopy(model).half()(x.half())[0]).all()
        compiled = torch.compile(copy.deepcopy(model), backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x)[0], wanted, rtol=1e-4, atol=1e-3)


def test_a_checkpoint_needs_nothing_but_ultralytics(detector, tmp_path):
    base, slots = detector
    model, _ = build(base, slots, Architecture.parse(INNER), 0)
    shaken(model)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.save({"x": x, "y": model(x)[0]}, tmp_path / "wanted.pt")
    torch.save({"model": model, "ema": None}, tmp_path / "best.pt")
    code = """if True:
        import sys, torch
        from ultralytics import YOLO
        assert "nas_attn" not in sys.modules
        wanted = torch.load("wanted.pt")
        with torch.no_grad():
            assert torch.equal(YOLO("best.pt").model.eval()(wanted["x"])[0], wanted["y"])
        assert "nas_attn" in sys.modules
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_rows_say_what_stands_inside(detector):
    base, slots = detector
    model, row_map = architecture_yaml(
        base, slots, Architecture.parse("inner.p3.insert=lska(k_size=7) inner.p3.replace=eca")
    )
    rows = model["backbone"] + model["head"]
    assert rows[row_map[16]] == [-1, 1, "nas_attn.C3k2", [[128, 32, 1, False], [
        ["insert", "LSKA", 16, 7], ["replace", "ECAAttention"],
    ]]]  # fmt: skip
    assert rows[row_map[16] + 1] == [-1, 1, "Index", [32, 0]]
    assert row_map[17] == row_map[16] + 2
    assert type(build_yaml(model).model[row_map[16]]).__name__ == "C3k2WithAttention"
