"""Augmentation and loss in Ultralytics' names: which may be set, which values hold, and that trials stay paired."""

from __future__ import annotations

import dataclasses
import re

import pytest
import torch

from nas_attn.data.demo import write_data
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.detector.proxy.train_settings import (
    OF_TASKS,
    REFUSED,
    TAKEN,
    check_effect,
    check_settings,
    check_task,
    read_settings,
)
from nas_attn.environment import prepare
from nas_attn.errors import ConfigError
from nas_attn.space import Architecture

SIDES = ((8, 12), (14, 24), (30, 50))
PLAIN, FILLED = "p3=none p4=none p5=none", "p3=conv p4=lska p5=none"
MIXED = {"mosaic": 0.6, "mixup": 0.4, "cutmix": 0.3, "degrees": 5.0, "bgr": 0.3, "flipud": 0.2, "scale": [0.7, 1.2]}
EPOCHS, CLOSED = 3, 1
STEPS = 2  # per epoch


def ultralytics_arguments():
    prepare()
    from ultralytics.cfg import DEFAULT_CFG_DICT

    return DEFAULT_CFG_DICT


@pytest.mark.parametrize("name", sorted(ultralytics_arguments()))
def test_each_argument_of_ultralytics_is_taken_or_refused_with_a_reason(name):
    default = ultralytics_arguments()[name]
    if name in TAKEN:
        assert check_settings({name: default}) == {name: default}
        return
    with pytest.raises(ConfigError) as refused:
        check_settings({name: default})
    (problem,) = refused.value.problems
    assert f"`{name}` must not be set for trials: " in str(problem)
    assert problem.remedy == (REFUSED[name][1] if name in REFUSED else "")


def test_a_setting_is_either_taken_or_refused():
    assert not TAKEN & REFUSED.keys() and OF_TASKS.keys() <= TAKEN
    options = {"seed", "epochs", "batch", "imgsz", "fraction", "data", "model", "device"}  # those of a search
    assert {n for n in options if f"--{n}" in REFUSED[n][1]} == options


def test_values_are_those_that_ultralytics_takes():
    found = check_settings({"mosaic": 1, "hsv_h": 0, "close_mosaic": 2.0, "scale": [0.5, 2.0], "overlap_mask": False})
    assert found == {"mosaic": 1.0, "hsv_h": 0.0, "close_mosaic": 2, "scale": [0.5, 2.0], "overlap_mask": False}
    assert [type(v) for v in found.values()] == [float, float, int, list, bool]
    assert check_settings({}) == {}


def test_all_wrong_settings_are_named_at_once():
    wrong = {
        "mosaic": 1.5,
        "hsv_s": "much",
        "box": None,
        "close_mosaic": 0.5,
        "seed": 3,
        "mosiac": 1,
        "mask_ratio": 0,
        "copy_paste_mode": "mix",
    }
    with pytest.raises(ConfigError) as refused:
        check_settings({"cls": 1.0, **wrong})
    said = list(map(str, refused.value.problems))
    assert len(said) == len(wrong)
    for (name, value), text in zip(wrong.items(), said, strict=True):
        assert name in text, text
        assert f"(in {name}={value})" in text or name in ("seed", "mosiac", "copy_paste_mode")
    assert "between 0.0 and 1.0" in said[0] and "must not be None" in said[2]
    assert "Use --seed" in said[4] and "Did you mean 'mosaic'?" in said[5] and "Did you mean 'mixup'?" in said[7]


@pytest.mark.parametrize(
    ("settings", "mirrored", "said"),
    [
        ({"close_mosaic": 3}, True, "`close_mosaic` needs mosaic, mixup, cutmix or copy_paste"),
        ({"close_mosaic": 3, "mosaic": 0.0}, True, "`close_mosaic` needs mosaic"),
        ({"close_mosaic": 9, "mixup": 0.1}, True, "below the number of epochs, .* but got 9 of 9 epochs"),
        ({"flipud": 0.5, "fliplr": 0.1}, False, "need `flip_idx` in the data.yaml, .* fliplr=0.1, flipud=0.5"),
    ],
)
def test_a_setting_without_effect_is_refused(settings, mirrored, said):
    with pytest.raises(ConfigError, match=said):
        check_effect(settings, 9, mirrored)


@pytest.mark.parametrize(
    ("settings", "mirrored"),
    [
        ({"close_mosaic": 8, "mosaic": 0.1}, True),
        ({"close_mosaic": 0, "fliplr": 0.0}, False),
        ({"close_mosaic": 1, "copy_paste": 0.5, "flipud": 0.5}, True),
        ({}, False),
    ],
)
def test_settings_with_an_effect_are_taken(settings, mirrored):
    check_effect(check_settings(settings), 9, mirrored)


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
def test_a_setting_is_for_the_tasks_that_read_it(task):
    """Against Ultralytics' own words on each argument."""
    check_task(TAKEN - OF_TASKS.keys(), task)
    own = {name for name, tasks in OF_TASKS.items() if task in tasks}
    check_task(own, task)
    if others := sorted(OF_TASKS.keys() - own):
        with pytest.raises(ConfigError) as refused:
            check_task(others, task)
        assert [p.got for p in refused.value.problems] == [f"the task {task}"] * len(others)


def test_tasks_are_those_that_ultralytics_names():
    from ultralytics.cfg import DEFAULT_CFG_PATH

    comments = dict(re.findall(r"^(\w+):.*?# (.*)$", DEFAULT_CFG_PATH.read_text(encoding="utf-8"), re.MULTILINE))
    for name in sorted(TAKEN & comments.keys()):
        said = {task for task in ("segment", "pose", "obb") if re.search(rf"\b{task}\b", comments[name])}
        ours = set(OF_TASKS.get(name, ()))
        assert said <= ours and bool(said) == bool(ours), (name, comments[name])


def test_words_of_a_command_line_are_read_as_ultralytics_reads_them():
    words = ("mosaic=0.5", "copy_paste_mode=mixup", "overlap_mask=false", "scale=[0.5, 2]", "cls=1", "a=b=c")
    wanted = [0.5, "mixup", False, [0.5, 2], 1, "b=c"]
    assert list(read_settings(words).values()) == wanted
    with pytest.raises(ConfigError, match="must be training settings of the form KEY=VALUE, but got 'mosaic'"):
        read_settings(["mosaic"])


def test_a_recipe_with_settings_says_all_of_them():
    recipe = Recipe(batch=4).with_settings({"hsv_h": 0.0, "cls": 1.0, "scale": [0.5, 2.0], "close_mosaic": 2})
    assert recipe.as_dict() == Recipe(batch=4).as_dict() | {
        "hsv_h": 0.0, "cls": 1.0, "scale": [0.5, 2.0], "close_mosaic": 2,
    }  # fmt: skip
    assert recipe.arguments() == Recipe(batch=4).arguments() | {"hsv_h": 0.0, "cls": 1.0, "scale": (0.5, 2.0)}
    assert recipe.open_epochs(10) == 8 and Recipe().open_epochs(10) == 10
    flipped = Recipe().with_settings({"flipud": 0.5, "cls": 1.0}).without_flips()
    assert flipped == Recipe(fliplr=0.0).with_settings({"cls": 1.0})
    assert Recipe().with_settings({}) == Recipe() and "more" not in Recipe().as_dict()


# real trainings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A function: (task, settings, keywords of `Job`) -> (base model with its slots, job) on eight drawn images."""
    from nas_attn.data.check import check_data
    from nas_attn.data.image_cache import open_store
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import find_slots
    from nas_attn.detector.proxy.job import Job

    known = {}

    def make(task, settings, **keywords):
        if task not in known:
            file = write_data(tmp_path_factory.mktemp(task), {"train": 8, "val": 4}, 64, SIDES, task)
            info = check_data(file, task)
            model = {"detect": "yolo11n", "segment": "yolo11n-seg", "obb": "yolo11n-obb", "pose": "yolo11n-pose"}[task]
            base = load_base(model, width=0.125).for_data(info.nc, info.kpt_shape).changed(reg_max=3)
            cache = tmp_path_factory.mktemp("cache")
            stores = {s: open_store(files, 64, cache, form=info.labels) for s, files in info.files.items()}
            known[task] = (base, find_slots(base)), info, stores
        base, info, stores = known[task]
        recipe = Recipe(batch=4).with_settings(check_settings(settings))
        job = Job(info=info, stores=stores, recipe=recipe, epochs=EPOCHS, imgsz=64, seed=3, key="test")
        return base, dataclasses.replace(job, **keywords)

    return make


class Killed(BaseException):
    """The exception that stands for `kill -9`."""


@pytest.fixture
def batches(monkeypatch, tmp_path_factory):
    """A function: (base, job, architectures) -> every batch of a training of one, or of a group of several."""
    from nas_attn.detector.proxy.group import Group
    from nas_attn.detector.proxy.trainer import ProxyTrainer
    from nas_attn.detector.proxy.training import train, train_group
    from nas_attn.detector.weights.initial_weights import build

    def seen(base, job, *texts):
        found = []
        original = ProxyTrainer.preprocess_batch

        def record(self, batch):
            found.append({k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in batch.items()})
            return original(self, batch)

        models = [build(*base, Architecture.parse(text), 0)[0] for text in texts]
        folder = tmp_path_factory.mktemp("run")
        torch.rand(len(texts[0]))  # earlier random draws in the process must not matter
        with monkeypatch.context() as patch:
            patch.setattr(ProxyTrainer, "preprocess_batch", record)
            try:
                trainer = train(models[0], job, folder) if len(texts) == 1 else train_group(
                    Group(models, 0), job, folder
                )  # fmt: skip
                trainer.close()
            except Killed:
                pass
        return found

    return seen


def equal(one, other):
    """True if two lists of batches are equal, image by image and label by label."""
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for key, value in a.items():
            same = torch.equal(value, b[key]) if isinstance(value, torch.Tensor) else value == b[key]
            if not same:
                return False
    return True


def by_file(found):
    """Image file -> its image in some batches, each file once."""
    images = {file: image for batch in found for file, image in zip(batch["im_file"], batch["img"], strict=True)}
    assert len(images) == 8
    return images


TASKS = {
    "detect": MIXED,
    "segment": MIXED | {"copy_paste": 0.5, "overlap_mask": False, "mask_ratio": 2},
    "obb": MIXED | {"copy_paste": 0.5, "copy_paste_mode": "mixup"},
    "pose": MIXED,
}


@pytest.mark.parametrize("task", TASKS)
def test_two_architectures_see_equal_mosaics(made, batches, task):
    base, job = made(task, TASKS[task] | {"close_mosaic": CLOSED})
    one, other = (batches(base, job, text) for text in (PLAIN, FILLED))
    assert len(one) == EPOCHS * STEPS and equal(one, other)
    assert not equal(one, batches(base, dataclasses.replace(job, seed=4), PLAIN)), "another seed, other batches"
    first, second = by_file(one[:STEPS]), by_file(one[STEPS : 2 * STEPS])
    assert not any(torch.equal(image, second[file]) for file, image in first.items()), "another epoch, other images"
    _, without = made(task, {name: v for name, v in TASKS[task].items() if name not in ("mosaic", "mixup", "cutmix")})
    plain = batches(base, without, PLAIN)
    still_open = (EPOCHS - CLOSED) * STEPS
    assert not equal(one[:still_open], plain[:still_open]), "the first epochs have mosaics"
    if task in ("detect", "pose"):
        assert equal(one[still_open:], plain[still_open:]), "the last epoch has none"


def test_a_group_and_loader_processes_see_the_batches_of_a_run_alone(made, batches):
    base, job = made("detect", MIXED | {"close_mosaic": CLOSED})
    alone = batches(base, job, PLAIN)
    assert equal(alone, batches(base, job, FILLED, PLAIN))
    assert equal(alone, batches(base, dataclasses.replace(job, workers=1), FILLED))


@pytest.mark.parametrize("after", [1, 2])
def test_a_continued_training_sees_the_batches_of_an_uninterrupted_one(made, batches, tmp_path, after):
    """Once before and once after the last epoch with mosaics."""

    def stop(done):
        if done == after:
            raise Killed

    base, job = made("detect", MIXED | {"close_mosaic": CLOSED})
    whole = batches(base, job, PLAIN)
    kept = dataclasses.replace(job, checkpoint=tmp_path / "c.pt", checkpoint_seconds=0.0)
    first = batches(base, dataclasses.replace(kept, after_epoch=stop), PLAIN)
    rest = batches(base, kept, PLAIN)
    assert len(first) == after * STEPS and equal(whole, [*first, *rest])


def test_images_of_the_store_stay_as_they_are(made, batches):
    """Without a warp, Ultralytics changes the arrays that it gets."""
    still = {"translate": 0.0, "scale": 0.0, "hsv_v": 1.0, "cutmix": 1.0, "mixup": 0.5}
    base, job = made("detect", still)
    before = [job.stores["train"].image(i).copy() for i in range(8)]
    one = batches(base, job, PLAIN)
    assert all((a == job.stores["train"].image(i)).all() for i, a in enumerate(before))
    assert equal(one, batches(base, job, PLAIN))


def test_gains_scale_the_parts_of_the_loss(made, tmp_path):
    from nas_attn.detector.proxy.training import train
    from nas_attn.detector.weights.initial_weights import build

    rows = []
    for settings in ({}, {"cls": 1.0, "box": 15.0, "dfl": 3.0}, {"cls_pw": 1.0}):
        base, job = made("detect", settings, epochs=1)
        job = dataclasses.replace(job, recipe=dataclasses.replace(job.recipe, batch=8))  # one step, before any update
        trainer = train(build(*base, Architecture.parse(PLAIN), 0)[0], job, tmp_path)
        trainer.close()
        rows.append(trainer.curve[0])
    for part in ("box_loss", "cls_loss", "dfl_loss"):
        assert rows[1][part] == pytest.approx(2 * rows[0][part], rel=1e-5), part
    assert rows[2]["cls_loss"] != rows[0]["cls_loss"] and rows[2]["box_loss"] == rows[0]["box_loss"]
