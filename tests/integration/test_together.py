"""Several architectures in one run: each as a run alone if nothing is shared, and none in the way of another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from nas_attn.data.demo import write_data
from nas_attn.detector.proxy.recipe import STOPPED, Recipe
from nas_attn.environment import prepare
from nas_attn.errors import EvaluationFailed, UserError
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.evaluation import SPLIT
from nas_attn.evaluate.proxy import NOTHING, TRUNK, ProxyEvaluator
from nas_attn.space import Architecture

SIDES = ((8, 12), (14, 24), (30, 50))
BASE = "p3=none p4=none p5=none"
GROUP = (BASE, "p3=efficient_attention p4=lska(residual=scaled) p5=none", "p3=none p4=conv p5=none")
P3 = 17  # rows of yolo11 up to the slot P3


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    prepare()
    from nas_attn.data.check import check_data

    counts = {"train": 8, "val": 4, "test": 4}
    return check_data(write_data(tmp_path_factory.mktemp("data"), counts, 64, SIDES))


@pytest.fixture
def evaluator(info, tmp_path):
    return ProxyEvaluator(
        model="yolo11n", width=0.125, data=str(info.path), nc=3, recipe=Recipe(batch=4), cache=str(tmp_path / "cache")
    )


@pytest.fixture(scope="module")
def base(info):
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import find_slots

    base = load_base("yolo11n", nc=info.nc, width=0.125, reg_max=3)
    return base, find_slots(base)


@pytest.fixture
def job(info, tmp_path):
    from nas_attn.data.image_cache import open_store
    from nas_attn.detector.proxy.job import Job

    stores = {split: open_store(files, 64, tmp_path / "stores") for split, files in info.files.items()}
    return Job(info=info, stores=stores, recipe=Recipe(batch=4), epochs=3, imgsz=64, seed=0, key="test")


class Killed(BaseException):
    """The exception that stands for `kill -9`."""


def stop(done):
    if done == 2:
        raise Killed


def built(base, text):
    from nas_attn.detector.weights.initial_weights import build

    return build(*base, Architecture.parse(text), 0)[0]


def dropping(model):
    """The model with dropout behind P3, which draws random numbers."""
    model.model[P3 - 1].register_forward_hook(lambda m, _, out: F.dropout(out, 0.3, m.training))
    return model


def grouped(models, job, folder, rows=0, limits=()):
    from nas_attn.detector.proxy.group import Group
    from nas_attn.detector.proxy.training import train_group

    folder.mkdir(parents=True, exist_ok=True)
    trainer = train_group(Group(models, rows), job, folder, limits)
    trainer.close()
    return trainer


def alone(model, job, folder):
    from nas_attn.detector.proxy.training import train

    folder.mkdir(parents=True, exist_ok=True)
    trainer = train(model, job, folder)
    trainer.close()
    return trainer


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def weights(trainer, k):
    return trainer.ema.ema.models[k].state_dict(), trainer.model.models[k].state_dict()


def failing(model, error):
    """The model whose training loss raises an error, or is NaN, from the second step on."""
    original, steps = model.loss, []

    def loss(batch, preds=None):
        total, items = original(batch, preds)
        steps.append(1)
        if len(steps) > 1 and error is not None:
            raise error
        return total * float("nan") if len(steps) > 1 else total, items

    model.loss = loss
    return model


def test_with_nothing_shared_each_ends_as_a_training_alone(base, job, tmp_path):
    texts = [GROUP[0], GROUP[0], GROUP[1]]
    models = [built(base, texts[0]), dropping(built(base, texts[1])), dropping(built(base, texts[2]))]
    group = grouped(models, job, tmp_path / "group")
    for k, text in enumerate(texts):
        model = built(base, text)
        one = alone(dropping(model) if k else model, job, tmp_path / f"alone{k}")
        assert same(one.ema.ema.state_dict(), weights(group, k)[0])
        assert same(one.model.state_dict(), weights(group, k)[1])
        assert one.curve == group.members[k].curve and len(one.curve) == 3
        assert {k: v for k, v in one.metrics.items() if v == v} == {
            k: v for k, v in group.members[k].metrics.items() if v == v
        }


def test_training_settings_hold_for_each_of_a_group(base, job, tmp_path):
    """Class weights too, which Ultralytics hands to one model."""
    settings = {"mosaic": 0.5, "close_mosaic": 1, "cls_pw": 1.0, "cls": 1.0, "box": 5.0}
    told = dataclasses.replace(job, recipe=job.recipe.with_settings(settings))
    group = grouped([built(base, text) for text in GROUP[:2]], told, tmp_path / "group")
    for k, text in enumerate(GROUP[:2]):
        one = alone(built(base, text), told, tmp_path / f"alone{k}")
        assert same(one.ema.ema.state_dict(), weights(group, k)[0]) and one.curve == group.members[k].curve
        assert one.curve != alone(built(base, text), job, tmp_path / f"plain{k}").curve


def test_common_rows_are_one_set_of_weights_and_the_rest_is_each_ones_own(base, job, tmp_path):
    from nas_attn.detector.proxy.group import common_rows

    models = [built(base, text) for text in GROUP[:2]]
    assert common_rows(models) == P3 and common_rows([models[0], built(base, GROUP[2])]) > P3
    rows = common_rows([models[0], built(base, BASE)])
    assert rows == len(models[0].model) - 1, "the head is each one's own"
    start = {k: v.clone() for k, v in models[0].state_dict().items()}
    group = grouped(models, job, tmp_path, rows=P3)
    for one, other in (weights(group, 0), weights(group, 1)):
        trunk = {k for k in one if int(k.split(".")[1]) < P3}
        assert same({k: one[k] for k in trunk}, {k: weights(group, 0)[0][k] for k in trunk})
        assert same({k: other[k] for k in trunk}, {k: weights(group, 0)[1][k] for k in trunk})
    learnt = weights(group, 0)[1]
    assert not torch.equal(start["model.0.conv.weight"], learnt["model.0.conv.weight"])
    heads = [weights(group, k)[1]["model.23.cv3.0.2.weight" if not k else "model.25.cv3.0.2.weight"] for k in (0, 1)]
    assert not torch.equal(*heads)
    assert group.ema.updates == 6 and len(group.members[0].curve) == len(group.members[1].curve) == 3


def test_a_common_trunk_of_one_architecture_learns_what_a_training_alone_learns(base, job, tmp_path):
    """Gradients at the cut are added in another order, so the weights agree but for rounding."""
    short = dataclasses.replace(job, epochs=1)
    group = grouped([built(base, BASE)], short, tmp_path / "group", rows=P3)
    one = alone(built(base, BASE), short, tmp_path / "alone")
    assert group.members[0].curve[0]["loss"] == pytest.approx(one.curve[0]["loss"], rel=1e-3)
    assert group.members[0].curve[0]["val_cls_loss"] == pytest.approx(one.curve[0]["val_cls_loss"], rel=1e-2)


def test_gradients_of_the_trunk_are_averaged(base, job):
    """Two equal detectors teach the trunk what one teaches it."""
    from nas_attn.detector.proxy.group import Group

    batch = {
        "img": torch.rand(2, 3, 64, 64),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4]] * 2),
        "batch_idx": torch.arange(2),
    }
    grads = []
    for count in (1, 2):
        torch.manual_seed(0)
        models = [built(base, BASE) for _ in range(count)]
        from ultralytics.cfg import get_cfg

        for model in models:
            model.args = get_cfg()
        group = Group(models, P3).train()
        group.begin_epoch()
        loss, _ = group(batch)
        loss.backward()
        grads.append({k: p.grad.clone() for k, p in group.trunk.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys() and len(grads[0]) > 20
    for key, value in grads[0].items():
        torch.testing.assert_close(grads[1][key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("error", [None, RuntimeError("shapes do not match"), ValueError("no such map")])
@pytest.mark.parametrize("rows", [0, P3])
def test_an_architecture_that_fails_leaves_without_touching_the_others(base, job, tmp_path, error, rows):
    if rows:  # the trunk has learnt from the first step of all; then it is alone with the others
        models = [built(base, GROUP[0]), failing(built(base, GROUP[1]), error)]
        group = grouped(models, job, tmp_path / "group", rows=rows)
        assert all(torch.isfinite(v).all() for v in weights(group, 0)[0].values())
    else:
        models = [built(base, GROUP[0]), failing(built(base, GROUP[1]), error), built(base, GROUP[2])]
        group = grouped(models, job, tmp_path / "group")
        for k in (0, 2):
            one = alone(built(base, GROUP[k]), job, tmp_path / f"alone{k}")
            assert same(one.ema.ema.state_dict(), weights(group, k)[0]) and one.curve == group.members[k].curve
    reason = str(error) if error else "not finite"
    assert reason in group.members[1].failed and "in epoch 1 of 3" in group.members[1].failed
    assert not group.members[0].failed and len(group.members[0].curve) == 3


def test_a_group_of_which_none_is_left_fails_with_the_reason(base, job, tmp_path):
    models = [failing(built(base, text), ValueError("no such map")) for text in GROUP[:2]]
    with pytest.raises(EvaluationFailed, match=r"no architecture of the group is left.*no such map"):
        grouped(models, job, tmp_path)


def test_each_is_stopped_by_its_own_limits_and_scored_then(base, job, tmp_path):
    models = [built(base, text) for text in GROUP]
    group = grouped(models, job, tmp_path / "group", limits=[{2: 1e9}, {2: 0.0}, {1: 0.0, 2: 0.0}])
    assert [m.flags for m in group.members] == [[], [f"{STOPPED}2"], [f"{STOPPED}1"]]
    assert [len(m.curve) for m in group.members] == [3, 2, 1]
    assert all("map50_95" in m.curve[-1] and "map50_95" not in m.curve[0] for m in group.members[:2])
    one = alone(built(base, GROUP[1]), dataclasses.replace(job, stop_above={2: 0.0}), tmp_path / "alone")
    assert one.curve == group.members[1].curve and same(one.model.state_dict(), weights(group, 1)[1])
    all_stop = grouped([built(base, t) for t in GROUP[:2]], job, tmp_path / "b", limits=[{1: 0.0}, {1: 0.0}])
    assert [len(m.curve) for m in all_stop.members] == [1, 1]


@pytest.mark.parametrize("share", [TRUNK, NOTHING])
def test_an_interrupted_group_ends_as_if_it_had_not_been(evaluator, tmp_path, monkeypatch, share):
    from nas_attn.detector.proxy import group_trainer as module

    evaluator = dataclasses.replace(evaluator, checkpoint_seconds=0.0)
    group = [Architecture.parse(text) for text in GROUP]
    call = (group, Fidelity(4, 64), 5)
    limits = [{}, {1: 0.0}, {3: 0.0}]  # the second leaves before, the third after the interruption
    whole = evaluator.together(*call, share=share, stop_above=limits)
    original, file = module.GroupTrainer.__init__, tmp_path / "checkpoint.pt"

    def killed(self, model, job, folder):
        original(self, model, dataclasses.replace(job, after_epoch=stop), folder)

    with monkeypatch.context() as patch:
        patch.setattr(module.GroupTrainer, "__init__", killed)
        with pytest.raises(Killed):
            evaluator.together(*call, share=share, stop_above=limits, checkpoint=file)
    assert file.exists()
    again = evaluator.together(*call, share=share, stop_above=limits, checkpoint=file)
    assert [a.curve for a in again] == [w.curve for w in whole] and [len(w.curve) for w in whole] == [4, 1, 3]
    assert [a.flags for a in again] == [w.flags for w in whole] and not file.exists()


def test_a_failure_before_an_interruption_is_told_after_it(base, job, tmp_path):
    file = tmp_path / "c.pt"
    kept = dataclasses.replace(job, checkpoint=file, checkpoint_seconds=0.0)
    with pytest.raises(Killed):
        models = [built(base, GROUP[0]), failing(built(base, GROUP[1]), None)]
        grouped(models, dataclasses.replace(kept, after_epoch=stop), tmp_path / "a")
    again = grouped([built(base, text) for text in GROUP[:2]], kept, tmp_path / "b")
    assert "not finite in epoch 1 of 3" in again.members[1].failed and len(again.members[0].curve) == 3


def test_every_architecture_has_an_evaluation_that_names_its_group(evaluator):
    evaluator = dataclasses.replace(evaluator, test=True)
    group = [Architecture.parse(text) for text in GROUP]
    found = evaluator.together(group, Fidelity(2, 64), 0)
    assert len({f.together["group"] for f in found}) == 1
    assert {(f.together["size"], f.together["rows"]) for f in found} == {(3, P3)}
    assert all(f.test_map50_95 is not None and f.comparable and f.seconds > f.steps_seconds for f in found)
    again = type(found[0]).from_dict(found[0].as_dict())
    assert again == found[0]
    nothing = evaluator.together(group[:2], Fidelity(2, 64), 0, share=NOTHING)
    one = evaluator(group[1], Fidelity(2, 64), 0)
    assert one.curve == nothing[1].curve and one.test_map50_95 == nothing[1].test_map50_95
    assert one.together is None and nothing[1].together["rows"] == 0


@pytest.mark.parametrize(
    ("model", "task"),
    [("yolo26n", "detect"), ("yolo26n-seg", "segment"), ("yolo26n-pose", "pose"), ("yolo11n-obb", "obb")],
)
def test_other_heads_and_tasks(tmp_path, model, task):
    data = write_data(tmp_path / "data", {"train": 8, "val": 4}, 64, SIDES, task)
    evaluator = ProxyEvaluator(
        model=model, width=0.125, data=str(data), nc=3, recipe=Recipe(batch=4), cache=str(tmp_path / "cache"),
        kpt_shape=(4, 3) if task == "pose" else None,
    )  # fmt: skip
    group = [Architecture.parse(text) for text in GROUP[:2]]
    found = evaluator.together(group, Fidelity(2, 64), 0, share=NOTHING)
    assert found[1].curve == evaluator(group[1], Fidelity(2, 64), 0).curve and found[1].task == task
    shared = evaluator.together(group, Fidelity(2, 64), 0)
    assert all(f.comparable and len(f.curve) == 2 for f in shared) and shared[0].together["rows"] > 0


def test_a_group_of_one(evaluator):
    found = evaluator.together([Architecture.parse(BASE)], Fidelity(1, 64), 0, share=NOTHING)
    one = evaluator(Architecture.parse(BASE), Fidelity(1, 64), 0)
    assert [f.curve for f in found] == [one.curve] and found[0].together["size"] == 1


def test_a_group_that_is_too_large_is_split_trained_again_and_flagged(evaluator, monkeypatch):
    from nas_attn.detector.proxy.group import Group

    group = [Architecture.parse(text) for text in GROUP]
    whole = evaluator.together(group, Fidelity(1, 64), 0, share=NOTHING)
    original = Group._backward

    def short_of_memory(self, k, batch, leaves):
        if len(self.models) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return original(self, k, batch, leaves)

    monkeypatch.setattr(Group, "_backward", short_of_memory)
    found = evaluator.together(group, Fidelity(1, 64), 0, share=NOTHING)
    assert [f.flags for f in found] == [(SPLIT,)] * 3 and [f.curve for f in found] == [w.curve for w in whole]
    monkeypatch.setattr(Group, "_backward", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory")))
    found = evaluator.together(group, Fidelity(1, 64), 0)
    assert all(isinstance(f, EvaluationFailed) and "out of memory" in str(f) for f in found)


@pytest.mark.parametrize(("texts", "share"), [((), TRUNK), ((BASE, BASE), TRUNK), ((BASE, GROUP[1]), "everything")])
def test_a_wrong_group_is_refused(evaluator, texts, share):
    with pytest.raises(UserError, match="a group must have different architectures"):
        evaluator.together([Architecture.parse(t) for t in texts], Fidelity(1, 64), 0, share=share)


def test_nothing_outlives_a_group(evaluator, tmp_path):
    import gc
    import weakref

    from nas_attn.detector.proxy.group import Group

    seen: list[weakref.ref] = []
    original = Group.__init__

    def noted(self, *arguments):
        original(self, *arguments)
        seen.append(weakref.ref(self))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Group, "__init__", noted)
        evaluator.together([Architecture.parse(t) for t in GROUP[:2]], Fidelity(1, 64), 0)
    gc.collect()
    assert [r() for r in seen] == [None] and not list(Path(tmp_path).glob("*.pt"))
