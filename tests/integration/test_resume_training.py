"""An interrupted training ends bit for bit like an uninterrupted one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from nas_attn.data.demo import write_data
from nas_attn.detector.proxy import checkpoint
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.environment import prepare

SIDES = ((8, 12), (14, 24), (30, 50))
ARCHITECTURE = "p3=efficient_attention p4=lska(residual=scaled) p5=none"


class Killed(BaseException):
    """The exception that stands for `kill -9`: our code must not catch it."""


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    prepare()
    from nas_attn.data.check import check_data

    return check_data(write_data(tmp_path_factory.mktemp("data"), {"train": 10, "val": 4}, 64, SIDES))


def job(info, cache, **changes):
    from nas_attn.data.image_cache import open_store
    from nas_attn.detector.proxy.job import Job

    stores = {split: open_store(files, 64, cache) for split, files in info.files.items()}
    given = {"epochs": 4, "imgsz": 64, "seed": 5, "key": "a", "checkpoint_seconds": 0.0, "recipe": Recipe(batch=4)}
    return Job(info=info, stores=stores, **{**given, **changes})


def run(job, folder, model="yolo11n"):
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import find_slots
    from nas_attn.detector.proxy.training import train
    from nas_attn.detector.weights.initial_weights import build
    from nas_attn.space import Architecture

    base = load_base(model, nc=3, width=0.125)
    trainer = train(build(base, find_slots(base), Architecture.parse(ARCHITECTURE), 5)[0], job, folder)
    trainer.close()
    return trainer


def kill_after(epochs):
    def stop(done):
        if done == epochs:
            raise Killed

    return stop


@pytest.mark.parametrize("model", ["yolo11n", "yolo26n"])
def test_resumed_is_uninterrupted(info, tmp_path, model):
    whole = run(job(info, tmp_path), tmp_path / "a", model)
    file = tmp_path / "checkpoint.pt"
    with pytest.raises(Killed):
        run(job(info, tmp_path, checkpoint=file, after_epoch=kill_after(2)), tmp_path / "b", model)
    epochs = []
    resumed = run(job(info, tmp_path, checkpoint=file, after_epoch=epochs.append), tmp_path / "c", model)
    assert epochs == [3, 4], "it went on where it was broken off"
    assert resumed.curve == whole.curve
    assert resumed.metrics == whole.metrics
    for one, two in ((whole.model, resumed.model), (whole.ema.ema, resumed.ema.ema)):
        states = one.state_dict(), two.state_dict()
        assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())


def test_a_checkpoint_of_another_training_is_left_alone(info, tmp_path):
    file = tmp_path / "checkpoint.pt"
    with pytest.raises(Killed):
        run(job(info, tmp_path, checkpoint=file, after_epoch=kill_after(2)), tmp_path / "a")
    epochs = []
    other = job(info, tmp_path, checkpoint=file, key="b", epochs=2, after_epoch=epochs.append)
    run(other, tmp_path / "b")
    assert epochs == [1, 2]


def test_checkpoints_keep_their_distance(info, tmp_path):
    file = tmp_path / "checkpoint.pt"
    run(job(info, tmp_path, checkpoint=file, checkpoint_seconds=3600.0), tmp_path / "a")
    assert not file.exists()


def test_the_evaluator_continues_and_then_removes_the_checkpoint(info, tmp_path, monkeypatch):
    from nas_attn.detector.proxy import trainer as module
    from nas_attn.evaluate import Fidelity
    from nas_attn.evaluate.proxy import ProxyEvaluator
    from nas_attn.space import Architecture

    evaluator = ProxyEvaluator(
        model="yolo11n", width=0.125, data=str(info.path), nc=3, recipe=Recipe(batch=4), cache=str(tmp_path),
        checkpoint_seconds=0.0,
    )  # fmt: skip
    call = (Architecture.parse(ARCHITECTURE), Fidelity(3, 64), 5)
    whole = evaluator(*call)
    file = tmp_path / "checkpoint.pt"
    original = module.ProxyTrainer.__init__

    def killed(self, model, job, folder):
        original(self, model, dataclasses.replace(job, after_epoch=kill_after(1)), folder)

    with monkeypatch.context() as patch:
        patch.setattr(module.ProxyTrainer, "__init__", killed)
        with pytest.raises(Killed):
            evaluator(*call, checkpoint=file)
    assert file.exists()
    resumed = evaluator(*call, checkpoint=file)
    assert (resumed.curve, resumed.map50_95) == (whole.curve, whole.map50_95)
    assert not file.exists()


def test_a_checkpoint_is_whole_or_not_there(tmp_path, monkeypatch):
    file = tmp_path / "c.pt"
    checkpoint.save(file, "key", {"epochs": 1})

    def torn(content, target):
        target.write(b"half")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", torn)
        with pytest.raises(Killed):
            checkpoint.save(file, "key", {"epochs": 2})
    assert checkpoint.load(file, "key")["epochs"] == 1
    assert [f.name for f in Path(tmp_path).iterdir()] == ["c.pt"]


@pytest.mark.parametrize("content", [b"", b"half a file", None])
def test_an_unreadable_checkpoint_is_none(tmp_path, content):
    file = tmp_path / "c.pt"
    if content is not None:
        file.write_bytes(content)
    assert checkpoint.load(file, "key") is None
