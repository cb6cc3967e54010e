"""The proxy evaluator from start to end on drawn data: its results, its errors, and no use of the network."""

from __future__ import annotations

import dataclasses
import json
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas_attn.data.check import check_data
from nas_attn.data.demo import write_data
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.errors import ConfigError, EvaluationFailed, UserError
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.pulse import heard
from nas_attn.space import Architecture

SIDES = ((8, 12), (14, 24), (30, 50))
ONE = Fidelity(1, 64)
NONE = Architecture.parse("p3=none p4=none p5=none")
MIXED = Architecture.parse("p3=acmix(residual=scaled) p4=conv(residual=scaled) p5=none")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), {"train": 8, "val": 4, "test": 4}, 64, SIDES)


@pytest.fixture
def evaluator(data, tmp_path):
    return ProxyEvaluator(
        model="yolo11n",
        width=0.125,
        data=str(data),
        nc=3,
        final_imgsz=320,
        recipe=Recipe(batch=4),
        cache=str(tmp_path / "cache"),
    )


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError(f"asked the network for {arguments}")

    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The evaluation of a trained base, its checkpoint, and an evaluator that starts from it."""
    folder = tmp_path_factory.mktemp("base")
    evaluator = ProxyEvaluator(
        model="yolo11n", width=0.125, data=str(data), nc=3, recipe=Recipe(batch=4), cache=str(folder), start="base"
    )
    file = folder / "base.pt"
    evaluation = evaluator.train_base(ONE, 0, file)
    return evaluation, file, dataclasses.replace(evaluator, base_file=str(file))


def test_an_evaluation_is_complete_and_plain(evaluator, no_network, data):
    before = {f: f.stat().st_mtime_ns for f in data.parent.rglob("*")}
    evaluator = pickle.loads(pickle.dumps(dataclasses.replace(evaluator, test=True)))
    found = evaluator(MIXED, Fidelity(2, 64), 3, liveness=True)
    assert Evaluation.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    assert 0 <= found.map50_95 <= found.map50 <= 1 and 0 <= found.test_map50_95 <= 1
    assert (found.seed, found.epochs, found.imgsz, found.device, found.precision) == (3, 2, 64, "cpu", "fp32")
    assert [r["epoch"] for r in found.curve] == [1, 2] and found.curve[-1]["map50_95"] == found.map50_95
    assert sorted(found.liveness) == ["p3", "p4", "p5"]
    assert found.flags == () and found.comparable
    assert found.recipe["reg_max"] == 3 and found.recipe["batch"] == 4 and found.recipe["start"] == "scratch"
    assert {"torch", "ultralytics"} <= set(found.versions)
    assert 0 < found.steps_seconds + found.val_seconds < found.seconds
    assert {f: f.stat().st_mtime_ns for f in data.parent.rglob("*")} == before, "nothing is written beside the data"


def test_equal_calls_are_equal_whatever_ran_between(evaluator):
    first = evaluator(MIXED, ONE, 0)
    evaluator(NONE, ONE, 1)
    again = evaluator(MIXED, ONE, 0)
    assert (first.map50_95, first.curve) == (again.map50_95, again.curve)
    assert evaluator(MIXED, ONE, 1).curve != first.curve


@pytest.mark.parametrize("model", ["yolov8n", "yolo26n"])
def test_other_families(evaluator, model):
    found = dataclasses.replace(evaluator, model=model)(Architecture.parse("p3=conv p4=none p5=none"), ONE, 0)
    assert found.comparable and found.curve[0]["loss"] > 0
    assert found.recipe["reg_max"] == (1 if model == "yolo26n" else 3)


def test_a_share_of_the_images(evaluator, monkeypatch, tmp_path):
    """Only that share is decoded and cached: a tenth of a large data set fits if the whole set does not."""
    from nas_attn.detector.proxy.trainer import ProxyTrainer

    seen = []
    evaluator = dataclasses.replace(evaluator, cache=str(tmp_path / "share"))
    original = ProxyTrainer.preprocess_batch
    monkeypatch.setattr(
        ProxyTrainer, "preprocess_batch", lambda self, b: seen.extend(b["im_file"]) or original(self, b)
    )
    evaluator(NONE, Fidelity(2, 64, fraction=0.5), 0)
    assert len(seen) == 8 and len(set(seen)) == 4
    info = check_data(evaluator.data)
    kept = sorted(len(np.load(file)["counts"]) for file in (tmp_path / "share").glob("images-*/index.npz"))
    assert kept == sorted([4, info.val, *([info.test] if evaluator.test else [])])


@pytest.mark.parametrize(("imgsz", "expected"), [(640, 16), (320, 8), (128, 3), (64, 3), (1280, 32)])
def test_the_reach_of_the_head_shrinks_with_the_image(evaluator, imgsz, expected):
    assert dataclasses.replace(evaluator, final_imgsz=640).proxy_reg_max(imgsz) == expected


def test_pretrained_heads_keep_their_reach(evaluator):
    assert dataclasses.replace(evaluator, weights="some.pt").proxy_reg_max(64) == 16


def test_starting_from_a_trained_base(trained):
    evaluation, file, evaluator = trained
    assert file.is_file() and sorted(evaluation.liveness) == ["p3", "p4", "p5"]
    assert [f.name for f in file.parent.iterdir() if f.is_file() and not f.name.endswith(".lock")] == ["base.pt"]
    found = evaluator(MIXED, ONE, 0)
    assert found.transferred == 1.0 and found.recipe["start"] == "base"
    assert found.curve[0]["loss"] < evaluation.curve[0]["loss"]


def test_starting_from_a_checkpoint_of_ultralytics(evaluator, tmp_path):
    import torch

    from nas_attn.detector.model.base_model import load_base

    model = load_base("yolo11n", nc=3, width=0.125).build()
    file = tmp_path / "weights.pt"
    torch.save({"model": model, "ema": None}, file)
    found = dataclasses.replace(evaluator, start="weights", weights=str(file))(MIXED, ONE, 0)
    assert found.transferred == 1.0 and found.recipe["reg_max"] == 16


@pytest.mark.parametrize(
    ("changes", "architecture", "fidelity", "words"),
    [
        ({}, NONE, Fidelity(1, 100), "multiple of 32"),
        ({}, NONE, Fidelity(0, 64), "at least one epoch"),
        ({}, NONE, Fidelity(1, 64, 0.0), "share of the images"),
        ({"start": "nowhere"}, NONE, ONE, "scratch, weights, base"),
        ({"start": "weights", "weights": "gone.pt"}, NONE, ONE, "gone.pt"),
        ({"start": "base"}, NONE, ONE, "needs a weights file"),
        ({"nc": 4}, NONE, ONE, "number of classes"),
    ],
)
def test_what_breaks_a_rule_is_refused_before_training(evaluator, changes, architecture, fidelity, words, monkeypatch):
    monkeypatch.setattr("nas_attn.detector.proxy.trainer.ProxyTrainer.train", None)
    with pytest.raises(UserError, match=words):
        dataclasses.replace(evaluator, **changes)(architecture, fidelity, 0)


def test_plain_modules_cannot_start_from_the_base(trained):
    with pytest.raises(UserError, match="residual=scaled"):
        trained[2](Architecture.parse("p3=conv p4=none p5=none"), ONE, 0)


def test_a_file_that_is_no_trained_base(trained, tmp_path):
    file = tmp_path / "base.pt"
    file.write_bytes(b"nothing")
    with pytest.raises(EvaluationFailed, match="no trained base"):
        dataclasses.replace(trained[2], base_file=str(file))(NONE, ONE, 0)


def test_bad_data_is_refused(evaluator, tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        dataclasses.replace(evaluator, data=str(tmp_path / "none.yaml"))(NONE, ONE, 0)


def test_importing_the_evaluator_imports_nothing_heavy():
    code = "import sys, nas_attn.evaluate.proxy, nas_attn.evaluate.synthetic\n"
    code += "print([m for m in ('torch', 'ultralytics', 'cv2', 'optuna') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_fresh_process_asks_nobody(evaluator, tmp_path):
    """Most requests of Ultralytics to the network come from its import."""
    code = f"""
import pickle, socket, sys
def refuse(*a, **k):
    raise SystemExit(f'asked the network for {{a}}')
socket.getaddrinfo = socket.create_connection = socket.gethostbyname = refuse
socket.socket.connect = refuse
evaluator = pickle.loads({pickle.dumps(evaluator)!r})
from nas_attn.evaluate import Fidelity
from nas_attn.space import Architecture
print(evaluator(Architecture.parse('p3=none p4=none p5=none'), Fidelity(1, 64), 0).epochs)
"""
    environment = {"NAS_ATTN_CACHE": str(tmp_path / "home"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout.split() == ["1"], done.stderr[-2000:]
    assert (tmp_path / "home" / "ultralytics").is_dir(), "Ultralytics' settings lie in our cache"
    assert not (tmp_path / "runs").exists() and not (tmp_path / ".config").exists()


def test_a_run_stops_after_the_epoch_whose_loss_is_too_high(evaluator, tmp_path):
    whole = evaluator(MIXED, Fidelity(4, 64), 0)
    losses = [row["loss"] for row in whole.curve]
    kept = evaluator(MIXED, Fidelity(4, 64), 0, stop_above={e: losses[e - 1] + 1e-6 for e in (1, 2, 3)})
    assert kept.curve == whole.curve and kept.map50_95 == whole.map50_95 and kept.stopped is None
    limits = {1: losses[0] + 1e-6, 2: losses[1] - 1e-6}
    found = dataclasses.replace(evaluator, test=True)(MIXED, Fidelity(4, 64), 0, stop_above=limits, liveness=False)
    assert found.flags == ("stopped after epoch 2",) and found.stopped == 2 and not found.comparable
    assert [row["loss"] for row in found.curve] == losses[:2] and found.epochs == 4
    assert found.curve[-1]["map50_95"] == found.map50_95 and found.test_map50_95 is None
    file = tmp_path / "c.pt"
    eager = dataclasses.replace(evaluator, checkpoint_seconds=0.0)
    again = eager(MIXED, Fidelity(4, 64), 0, stop_above=limits, checkpoint=file)
    assert again.curve == found.curve and not file.exists()
    last = evaluator(MIXED, Fidelity(4, 64), 0, stop_above={4: 0.0})
    assert last.curve == whole.curve and last.stopped is None  # after the last epoch there is nothing to stop


def test_a_run_tells_its_place_after_each_step(evaluator):
    told = []
    with heard(told.append):
        evaluator(MIXED, Fidelity(3, 64), 0)
        alone = len(told)
        evaluator.together([MIXED, Architecture.parse("p3=none p4=none p5=none")], Fidelity(3, 64), 0)
    for places in (told[:alone], told[alone:]):
        assert {p.epoch for p in places} == {1, 2, 3} and {p.epochs for p in places} == {3}
        shares = [p.share for p in places]
        assert shares == sorted(shares) and 0 < shares[0] < 0.34 and shares[-1] == 1
