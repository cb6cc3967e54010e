"""Proxy training of every task: its own metric, paired streams, and a resume that ends where the whole run ends."""

from __future__ import annotations

import copy
import dataclasses
import shutil

import pytest
import torch

from nas_attn.data.check import check_data
from nas_attn.data.demo import write_data
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.environment import prepare

SIDES = ((20, 28), (24, 34), (30, 50))
MODELS = {"detect": "yolo11n", "segment": "yolo11n-seg", "pose": "yolo11n-pose", "obb": "yolo11n-obb"}
NEWER = {"segment": "yolo26n-seg", "pose": "yolo26n-pose", "obb": "yolo26n-obb"}
HELD = {"detect": "bboxes", "segment": "masks", "pose": "keypoints", "obb": "bboxes"}
NONE = "p3=none p4=none p5=none"


class Killed(BaseException):
    """The exception that stands for `kill -9`: our code must not catch it."""


@pytest.fixture(scope="module")
def infos(tmp_path_factory):
    """Task -> its checked data set."""
    prepare()
    found = {}
    for task in MODELS:
        path = write_data(tmp_path_factory.mktemp(task), {"train": 24, "val": 8, "test": 8}, 64, SIDES, task)
        found[task] = check_data(path, task)
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def job(info, cache, **changes):
    from nas_attn.data.image_cache import open_store
    from nas_attn.detector.proxy.job import Job

    stores = {split: open_store(files, 64, cache, form=info.labels) for split, files in info.files.items()}
    given = {"epochs": 1, "imgsz": 64, "seed": 5, "key": "a", "checkpoint_seconds": 0.0, "recipe": Recipe(batch=4)}
    return Job(info=info, stores=stores, **{**given, **changes})


def run(job, folder, model, text=NONE):
    """The trainer after a training, not yet closed."""
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import find_slots
    from nas_attn.detector.proxy.training import train
    from nas_attn.detector.weights.initial_weights import build
    from nas_attn.space import Architecture

    base = load_base(model, nc=job.info.nc, width=0.125).changed(kpt_shape=job.info.kpt_shape)
    return train(build(base, find_slots(base), Architecture.parse(text), 5)[0], job, folder)


@pytest.fixture(scope="module")
def trained(infos, cache, tmp_path_factory):
    """A function: task -> a trainer that has learned something; each is trained once."""
    known = {}

    def get(task):
        if task not in known:
            wanted = job(infos[task], cache, epochs=10, recipe=Recipe(batch=4, lr0=0.006))
            known[task] = run(wanted, tmp_path_factory.mktemp("run"), MODELS[task])
        return known[task]

    yield get
    for trainer in known.values():
        trainer.close()


def stock_metrics(trainer, folder):
    """The metrics of Ultralytics' own validator for the same weights, on a copy of the data, and its AP per class."""
    from ultralytics.models import yolo

    info = trainer.job.info
    validators = {
        "detect": yolo.detect.DetectionValidator,
        "segment": yolo.segment.SegmentationValidator,
        "pose": yolo.pose.PoseValidator,
        "obb": yolo.obb.OBBValidator,
    }
    shutil.copytree(info.path.parent, folder / "data")
    arguments = {"data": str(folder / "data" / "data.yaml"), "imgsz": 64, "batch": 8, "rect": True, "plots": False}
    fixed = {"task": info.task, "workers": 0, "device": "cpu"}  # the task decides the least confidence (0.01 for obb)
    validator = validators[info.task](save_dir=folder, args={**arguments, **fixed})
    stats = validator(model=copy.deepcopy(trainer.ema.ema))
    return stats, getattr(validator.metrics, trainer.aim.metrics).maps


@pytest.mark.parametrize("task", MODELS)
def test_the_objective_is_the_task_s_own_as_ultralytics_measures_it(trained, task, tmp_path):
    trainer = trained(task)
    letter = {"detect": "B", "segment": "M", "pose": "P", "obb": "B"}[task]
    theirs, classes = stock_metrics(trainer, tmp_path)
    assert trainer.metrics[trainer.aim.map50_95] == trainer.curve[-1]["map50_95"] > 0.003
    for ours, name in ((trainer.aim.map50_95, "mAP50-95"), (trainer.aim.map50, "mAP50")):
        assert trainer.metrics[ours] == pytest.approx(
            theirs[f"metrics/{name}({letter})"], abs=1e-5
        )  # Ultralytics rounds less
    told, info = trainer.last, trainer.job.info
    for ours, name in (("map50_95", "mAP50-95"), ("map50", "mAP50"), ("precision", "precision"), ("recall", "recall")):
        assert told[ours] == pytest.approx(theirs[f"metrics/{name}({letter})"], abs=1e-5)
        assert trainer.curve[-1][ours] == told[ours]
    there = {name: ap for name, ap, n in zip(info.names, classes, info.of_class["val"], strict=True) if n}
    assert told["classes"] == pytest.approx(there, abs=1e-5) and len(there) > 1
    assert sum(there.values()) / len(there) == pytest.approx(told["map50_95"], abs=2e-5)
    if letter != "B":
        assert trainer.metrics[trainer.aim.map50_95] != trainer.metrics["metrics/mAP50-95(B)"]


@pytest.mark.parametrize("task", ["segment", "obb"])
def test_liveness_and_test_are_scored_alike(trained, task):
    trainer = trained(task)
    assert trainer.figures() == trainer.last and trainer.last["map50_95"] == trainer.metrics[trainer.aim.map50_95]
    test = trainer.figures("test")
    assert test["map50_95"] == trainer.evaluate("test")[trainer.aim.map50_95] != trainer.last["map50_95"]
    assert test.keys() == trainer.last.keys() and test["classes"] != trainer.last["classes"]
    assert trainer.validator.dataloader is trainer.test_loader


def recorded(monkeypatch, trainer_job, folder, model, text):
    """Every batch of a training, as the loader yields it."""
    from nas_attn.detector.proxy.trainer import ProxyTrainer

    batches = []
    original = ProxyTrainer.preprocess_batch

    def record(self, batch):
        batches.append({k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in batch.items()})
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(ProxyTrainer, "preprocess_batch", record)
        run(trainer_job, folder, model, text).close()
    return batches


@pytest.mark.parametrize("task", ["segment", "pose", "obb"])
def test_two_architectures_see_the_same_labels(monkeypatch, infos, cache, tmp_path, task):
    wanted = job(infos[task], cache, epochs=2, fraction=0.34)
    one = recorded(monkeypatch, wanted, tmp_path / "a", MODELS[task], NONE)
    torch.rand(7)  # earlier random draws in the process must not matter
    two = recorded(monkeypatch, wanted, tmp_path / "b", NEWER[task], "p3=conv p4=lska p5=none")
    assert len(one) == len(two) == 4
    for a, b in zip(one, two, strict=True):
        assert a["im_file"] == b["im_file"]
        for name in ("img", "cls", "bboxes", HELD[task]):
            assert a[name].numel() and torch.equal(a[name], b[name]), name
    assert one[0]["im_file"] != one[2]["im_file"], "the second epoch has another order"
    other = recorded(monkeypatch, dataclasses.replace(wanted, seed=6), tmp_path / "c", MODELS[task], NONE)
    assert any(a["im_file"] != b["im_file"] for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("model", [*NEWER.values(), *(MODELS[t] for t in NEWER)])
def test_resumed_is_uninterrupted(infos, cache, tmp_path, model):
    task = {v: k for names in (MODELS, NEWER) for k, v in names.items()}[model]
    text = "p3=efficient_attention p4=none p5=none"
    wanted = job(infos[task], cache, epochs=3, fraction=0.34)
    whole = run(wanted, tmp_path / "a", model, text)
    again = run(wanted, tmp_path / "b", model, text)
    file = tmp_path / "checkpoint.pt"

    def stop(done):
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        run(dataclasses.replace(wanted, checkpoint=file, after_epoch=stop), tmp_path / "c", model, text)
    epochs: list[int] = []
    resumed = run(dataclasses.replace(wanted, checkpoint=file, after_epoch=epochs.append), tmp_path / "d", model, text)
    assert epochs == [3], "it went on where it was broken off"
    for other in (again, resumed):
        assert other.curve == whole.curve and other.metrics == whole.metrics
        for one, two in ((whole.model, other.model), (whole.ema.ema, other.ema.ema)):
            states = one.state_dict(), two.state_dict()
            assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())
        other.close()
    whole.close()


def test_the_head_and_the_loss_know_the_data_s_keypoints(infos, cache, tmp_path):
    from ultralytics.data.augment import RandomFlip
    from ultralytics.utils.metrics import OKS_SIGMA

    trainer = run(job(infos["pose"], cache, fraction=0.34), tmp_path, "yolo26n-pose")
    flips = [t for t in trainer.train_loader.dataset.transforms.transforms if isinstance(t, RandomFlip)]
    assert [(t.direction, t.p) for t in flips] == [("vertical", 0.0), ("horizontal", 0.5)]
    assert flips[1].flip_idx == [0, 3, 2, 1], "mirrored images need to know which keypoints change places"
    head = trainer.model.model[-1]
    assert head.kpt_shape == [4, 3] == trainer.model.kpt_shape
    assert trainer.validator.sigma.tolist() == [0.25] * 4
    from nas_attn.data.keypoints import Keypoints

    person = dataclasses.replace(infos["pose"], keypoints=Keypoints((17, 3), sigmas=None))
    trainer.validator.data = dataclasses.replace(trainer.job, info=person).data
    trainer.validator.init_metrics(trainer.ema.ema)
    assert trainer.validator.sigma is OKS_SIGMA, "a person's keypoints are known by their shape, a list"
    trainer.close()


@pytest.mark.parametrize("model", NEWER.values())
def test_half_precision_trains_too(infos, cache, tmp_path, model):
    task = {v: k for k, v in NEWER.items()}[model]
    whole, half = (
        run(job(infos[task], cache, fraction=0.34, precision=p), tmp_path / p, model) for p in ("fp32", "bf16")
    )
    assert half.curve[0]["loss"] != whole.curve[0]["loss"] == pytest.approx(half.curve[0]["loss"], rel=0.1)
    assert half.flags == []
    whole.close()
    half.close()
