"""What only a CUDA device can show; at most eight minutes on one. Run with `pytest -m gpu`."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nas_attn.data.demo import write_data
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.space import Architecture

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    # deterministic kernels are asked for with `warn_only`; CUDA has none for some, and says so
    pytest.mark.filterwarnings("ignore:.*deterministic.*:UserWarning"),
]

SIDES = ((10, 24), (28, 56), (66, 100))
MIXED = Architecture.parse("p3=acmix p4=lska(residual=scaled) p5=efficient_attention")


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    data = write_data(folder, {"train": 64, "val": 32}, 128, SIDES)
    return ProxyEvaluator(
        model="yolo11n", data=str(data), nc=3, final_imgsz=683, device="cuda", recipe=Recipe(batch=16, lr0=4e-3),
        cache=str(folder / "cache"), workers=2,
    )  # fmt: skip


def test_bf16_is_the_default_and_reaches_the_layers(evaluator, monkeypatch):
    from torch import nn

    seen = set()
    original = nn.Conv2d.forward

    def record(self, x):
        out = original(self, x)
        seen.add((self.training, out.dtype))
        return out

    monkeypatch.setattr(nn.Conv2d, "forward", record)
    found = evaluator(MIXED, Fidelity(2, 128), 0, liveness=True)
    assert found.precision == "bf16" and found.device == torch.cuda.get_device_name(0)
    assert (True, torch.bfloat16) in seen, "training runs in bfloat16"
    assert (False, torch.float32) in seen and (False, torch.bfloat16) not in seen, "scoring runs in float32"
    assert found.comparable and found.curve[-1]["loss"] < found.curve[0]["loss"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_equal_runs_come_near_each_other(evaluator, precision):
    """CUDA has no deterministic kernel for some backward passes, so runs may part; their start may not."""
    fixed = dataclasses.replace(evaluator, precision=precision)
    one, two = (fixed(MIXED, Fidelity(4, 128), 0) for _ in range(2))
    print(f"\n{precision}: mAP50-95 {one.map50_95:.5f} and {two.map50_95:.5f}")
    assert one.curve[0]["loss"] == pytest.approx(two.curve[0]["loss"], rel=2e-2)
    assert abs(one.map50_95 - two.map50_95) < 0.05
    base = Architecture.parse("p3=none p4=none p5=none")
    assert fixed(base, Fidelity(1, 128), 0).curve[0]["loss"] != one.curve[0]["loss"]


@pytest.mark.parametrize(
    ("model", "task"), [("yolo26n-seg", "segment"), ("yolo26n-pose", "pose"), ("yolo11n-obb", "obb")]
)
def test_other_tasks_train_and_are_scored(tmp_path, model, task):
    data = write_data(tmp_path, {"train": 64, "val": 32}, 128, SIDES, task)
    evaluator = ProxyEvaluator(
        model=model, data=str(data), nc=3, final_imgsz=683, device="cuda", recipe=Recipe(batch=16, lr0=4e-3),
        cache=str(tmp_path / "cache"), workers=2, kpt_shape=(4, 3) if task == "pose" else None,
    )  # fmt: skip
    found = evaluator(MIXED, Fidelity(3, 128), 0, liveness=True)
    assert (found.task, found.precision) == (task, "bf16") and found.comparable
    assert found.curve[-1]["loss"] < found.curve[0]["loss"] and sorted(found.liveness) == ["p3", "p4", "p5"]


def test_a_batch_that_does_not_fit_is_halved_and_flagged(evaluator):
    """With a real limit on the device's memory."""
    big = dataclasses.replace(evaluator, recipe=Recipe(batch=64), precision="fp32", workers=0)
    base = Architecture.parse("p3=none p4=none p5=none")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    whole = big(base, Fidelity(1, 128), 0)
    assert whole.comparable
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(0.75 * torch.cuda.max_memory_reserved() / total)
        halved = big(base, Fidelity(1, 128), 0)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert halved.flags == ("batch halved",) and not halved.comparable


@pytest.mark.parametrize("share", ["trunk", "nothing"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_group_trains_as_each_alone_begins(evaluator, share, precision):
    fixed = dataclasses.replace(evaluator, precision=precision)
    group = [Architecture.parse("p3=none p4=none p5=none"), MIXED]
    found = fixed.together(group, Fidelity(3, 128), 0, share=share)
    alone = fixed(MIXED, Fidelity(3, 128), 0)
    assert all(f.comparable and f.precision == precision and f.curve[-1]["loss"] < f.curve[0]["loss"] for f in found)
    if share == "nothing":
        assert found[1].curve[0]["loss"] == pytest.approx(alone.curve[0]["loss"], rel=2e-2)


def test_a_group_that_does_not_fit_is_split(evaluator):
    """With a real limit on the device's memory."""
    big = dataclasses.replace(evaluator, recipe=Recipe(batch=64), precision="fp32", workers=0)
    group = [Architecture.parse(f"p3={g} p4=none p5=none") for g in ("none", "conv")]
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    assert all(f.comparable for f in big.together(group, Fidelity(1, 128), 0, share="nothing"))
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(0.5 * torch.cuda.max_memory_reserved() / total)
        found = big.together(group, Fidelity(1, 128), 0, share="nothing")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert all(isinstance(f, EvaluationFailed) or "group split" in f.flags for f in found)


def test_nothing_stays_on_the_device(evaluator):
    evaluator(MIXED, Fidelity(1, 128), 0)
    torch.cuda.empty_cache()
    held = torch.cuda.memory_allocated()
    for seed in range(3):
        evaluator(MIXED, Fidelity(1, 128), seed)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_allocated() <= held + 2**20


def test_a_search_of_eight_trials(tmp_path):
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "nas_attn", "search", "gpu", "--trials", "8", "--device", "cuda", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert len([t for t in found["trials"] if t["state"] != "refused"]) == 8
    assert found["front"]
    assert all(t["map50_95"] is not None for t in found["trials"] if t["state"] == "complete")
