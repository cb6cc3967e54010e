"""The proxy trainer: paired random streams, the schedule, flags for runs that are not comparable, and no leftovers."""

from __future__ import annotations

import dataclasses
import gc
import multiprocessing
import weakref
from pathlib import Path

import pytest
import torch

from nas_attn.data.demo import write_data
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.environment import prepare
from nas_attn.errors import EvaluationFailed

SIDES = ((8, 12), (14, 24), (30, 50))


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    prepare()
    from nas_attn.data.check import check_data

    return check_data(write_data(tmp_path_factory.mktemp("data"), {"train": 8, "val": 4}, 64, SIDES))


@pytest.fixture(scope="module")
def base(info):
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import find_slots

    base = load_base("yolo11n", nc=info.nc, width=0.125, reg_max=3)
    return base, find_slots(base)


@pytest.fixture
def job(info, tmp_path_factory):
    from nas_attn.data.image_cache import open_store
    from nas_attn.detector.proxy.job import Job

    cache = tmp_path_factory.mktemp("cache")
    stores = {split: open_store(files, 64, cache) for split, files in info.files.items()}
    return Job(info=info, stores=stores, recipe=Recipe(batch=4), epochs=2, imgsz=64, seed=0, key="test")


def build(base, text="p3=none p4=none p5=none", seed=0):
    from nas_attn.detector.weights.initial_weights import build
    from nas_attn.space import Architecture

    return build(*base, Architecture.parse(text), seed)[0]


def run(model, job, folder):
    from nas_attn.detector.proxy.training import train

    trainer = train(model, job, folder)
    trainer.close()
    return trainer


def recorded(monkeypatch, base, job, folder, text):
    """(images, boxes) of every batch of a training."""
    from nas_attn.detector.proxy.trainer import ProxyTrainer

    batches = []
    original = ProxyTrainer.preprocess_batch

    def record(self, batch):
        batches.append((batch["img"].clone(), batch["bboxes"].clone(), list(batch["im_file"])))
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(ProxyTrainer, "preprocess_batch", record)
        run(build(base, text), job, folder)
    return batches


def test_two_architectures_see_the_same_batches(monkeypatch, base, job, tmp_path):
    one = recorded(monkeypatch, base, job, tmp_path / "a", "p3=none p4=none p5=none")
    torch.rand(7)  # earlier random draws in the process must not matter
    two = recorded(monkeypatch, base, job, tmp_path / "b", "p3=conv p4=lska p5=none")
    assert len(one) == len(two) == 4
    for (images, boxes, files), (images_2, boxes_2, files_2) in zip(one, two, strict=True):
        assert files == files_2
        assert torch.equal(images, images_2) and torch.equal(boxes, boxes_2)
    assert one[0][2] + one[1][2] != one[2][2] + one[3][2], "the second epoch has another order"


def test_another_seed_sees_other_batches(monkeypatch, base, job, tmp_path):
    one = recorded(monkeypatch, base, job, tmp_path / "a", "p3=none p4=none p5=none")
    other = dataclasses.replace(job, seed=1)
    two = recorded(monkeypatch, base, other, tmp_path / "b", "p3=none p4=none p5=none")
    assert any(a[2] != b[2] for a, b in zip(one, two, strict=True))


def test_the_learning_rate_follows_the_recipe_to_zero(monkeypatch, base, job, tmp_path):
    from nas_attn.detector.proxy.trainer import ProxyTrainer

    rates = []
    original = ProxyTrainer.optimizer_step

    def record(self):
        rates.append({g["lr"] for g in self.optimizer.param_groups})
        original(self)

    monkeypatch.setattr(ProxyTrainer, "optimizer_step", record)
    job = dataclasses.replace(job, epochs=4)
    trainer = run(build(base), job, tmp_path)
    assert rates == [{job.recipe.lr0 * job.recipe.factor(i, 8)} for i in range(8)]
    assert max(rates[-1]) < 0.2 * job.recipe.lr0
    assert type(trainer.optimizer).__name__ == "AdamW"
    assert {g["betas"] for g in trainer.optimizer.param_groups} == {(0.937, 0.999)}
    assert trainer.accumulate == 1


def test_batch_norms_settle_faster_than_stock(base, job, tmp_path):
    model = build(base)
    run(model, job, tmp_path)
    assert {m.momentum for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.1}


def test_only_the_last_epoch_is_validated_unless_asked(base, job, tmp_path):
    rows = run(build(base), job, tmp_path / "a").curve
    parts = {"box_loss", "cls_loss", "dfl_loss"}
    always, held_out = {"epoch", "loss", "lr"} | parts, {"val_box_loss", "val_cls_loss", "val_dfl_loss"}
    assert [set(r) for r in rows] == [always, always | held_out | {"map50_95", "map50", "map75", "precision", "recall"}]
    assert [r["epoch"] for r in rows] == [1, 2]
    assert all(r["loss"] == pytest.approx(sum(r[p] for p in parts)) and r["loss"] > 0 for r in rows)
    often = dataclasses.replace(job, recipe=Recipe(batch=4, val_every=1))
    assert all("map50_95" in r for r in run(build(base), often, tmp_path / "b").curve)


def test_equal_runs_are_equal(base, job, tmp_path):
    one, two = (run(build(base, "p3=acmix p4=none p5=none"), job, tmp_path / name) for name in "ab")
    assert one.curve == two.curve
    states = [t.ema.ema.state_dict() for t in (one, two)]
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())


def test_a_halved_batch_is_flagged_and_training_goes_on(monkeypatch, base, job, tmp_path):
    from nas_attn.detector.proxy.trainer import ProxyTrainer

    original, calls = ProxyTrainer.preprocess_batch, []

    def short_of_memory(self, batch):
        if len(batch["img"]) == 4:
            calls.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return original(self, batch)

    monkeypatch.setattr(ProxyTrainer, "preprocess_batch", short_of_memory)
    trainer = run(build(base), job, tmp_path)
    assert calls == [1] and trainer.batch_size == 2
    assert trainer.flags == ["batch halved"]
    assert len(trainer.curve) == 2


def poisoned(model, at):
    """Make the training loss of one step (counted from 0) NaN."""
    original, steps = model.loss, []

    def loss(batch, preds=None):
        total, items = original(batch, preds)
        if model.training:
            steps.append(1)
            if len(steps) - 1 == at:
                total = total * float("nan")
        return total, items

    model.loss = loss
    return model


def test_a_loss_that_is_not_finite_fails_with_the_epoch(base, job, tmp_path):
    with pytest.raises(EvaluationFailed, match="not finite in epoch 1 of 2"):
        run(poisoned(build(base), at=1), job, tmp_path)


def test_a_reload_after_nan_is_flagged(base, job, tmp_path):
    job = dataclasses.replace(job, epochs=3, checkpoint=tmp_path / "c.pt", checkpoint_seconds=0.0)
    trainer = run(poisoned(build(base), at=3), job, tmp_path / "run")
    assert trainer.flags == ["nan reload"]
    assert len(trainer.curve) == 3
    assert all(torch.isfinite(v).all() for v in trainer.ema.ema.state_dict().values())


def test_a_model_that_does_not_fit_fails_with_its_reason(base, job, tmp_path):
    model = build(base)
    model.model[0].conv = torch.nn.Conv2d(4, 16, 3, 2, 1)
    with pytest.raises(EvaluationFailed, match=r"RuntimeError.*channels"):
        run(model, job, tmp_path)


def test_no_trial_outlives_its_end(base, job, tmp_path):
    seen = []
    for name in "ab":
        model = build(base)
        seen.append(weakref.ref(model))
        run(model, job, tmp_path / name)
        del model
    failing = poisoned(build(base), at=0)
    seen.append(weakref.ref(failing))
    try:
        run(failing, job, tmp_path / "c")
    except EvaluationFailed as error:
        kept = error  # an engine keeps exceptions for its log
    del failing
    gc.collect()
    assert [r() for r in seen[:2]] == [None, None]
    assert kept.__context__ is None


def test_loader_processes_end_with_the_training(base, job, tmp_path):
    def stop(done):
        raise KeyboardInterrupt

    for after_epoch in (None, stop):
        # the CPU trainer takes no loader processes, so ask for them where it reads the number
        trainer_job = dataclasses.replace(job, workers=1, after_epoch=after_epoch)
        if after_epoch is None:
            run(build(base), trainer_job, tmp_path / "a")
        else:
            with pytest.raises(KeyboardInterrupt):
                run(build(base), trainer_job, tmp_path / "b")
        assert multiprocessing.active_children() == []


def test_nothing_but_arguments_is_written(base, job, tmp_path):
    run(build(base), job, tmp_path)
    assert sorted(str(f.relative_to(tmp_path)) for f in Path(tmp_path).rglob("*") if f.is_file()) == ["args.yaml"]


def test_no_tracker_hears_of_a_proxy_run(monkeypatch, base, job, tmp_path):
    from ultralytics.utils import SETTINGS

    from nas_attn.detector.proxy.trainer import ProxyTrainer

    monkeypatch.setattr(SETTINGS, "_save", lambda: None)
    monkeypatch.setitem(SETTINGS, "tensorboard", True)
    trainer = ProxyTrainer(build(base), job, tmp_path)
    assert not any(trainer.callbacks.values())
    trainer.close()
