"""Labels of every task: read as by Ultralytics, array by array, and refused if they are for another task."""

from __future__ import annotations

import copy
import random
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from nas_attn.data.check import check_data
from nas_attn.data.demo import write_data
from nas_attn.data.image_cache import open_store
from nas_attn.data.keypoints import NO_FLIP
from nas_attn.data.labels import LabelFormat, check_label, read_label
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.environment import prepare
from nas_attn.errors import ConfigError

SIDES = ((8, 12), (14, 24), (30, 50))
IMGSZ = 64
TASKS = ("detect", "segment", "pose", "obb")
POLYGONS = ["0 .1 .1 .5 .1 .5 .5\n", "2 .2 .2 .8 .3 .7 .9 .3 .7 .2 .5\n", "0 .1 .1 .5 .1 .5 .5 .1 .5\n"]
CORNERS = ["1 .1 .2 .4 .1 .5 .4 .2 .5\n", "0 .6 .6 .9 .6 .9 .7 .6 .7\n", "1 .5 .4 .2 .5 .1 .2 .4 .1\n"]
BOXES = ["1 .5 .5 .2 .3\n", "0 .25 .3 .125 .25\n", "1 .5 .5 .2 .2\n"]


def keypoint_rows(dims: int) -> list[str]:
    points = ["0.5 0.4 2 0.6 0.5 1 0.5 0.6 0 0.4 0.5 2", "0.2 0.3 0 0.3 0.35 2 0.25 0.4 1 0.2 0.35 2"]
    if dims == 2:
        points = ["0.5 0.4 -0.005 0.5 0.5 0.6 0.4 0.5", "0.2 0.3 0.3 0.35 0 0 0.2 -0.01"]
    return [f"1 .5 .5 .2 .3 {points[0]}\n", f"0 .25 .3 .125 .25 {points[1]}\n", f"1 .5 .5 .2 .3 {points[0]}\n"]


def awkward(folder: Path, task: str, dims: int = 3) -> Path:
    """A data set with images of several shapes, and label files with everything that they may contain."""
    path = write_data(folder, {"train": 7, "val": 2}, IMGSZ, SIDES, task)
    spec = yaml.safe_load(path.read_text())
    if task == "pose":
        path.write_text(yaml.safe_dump({**spec, "kpt_shape": [4, dims]}))
    rows = {"detect": BOXES, "segment": POLYGONS, "pose": keypoint_rows(dims), "obb": CORNERS}[task]
    for i, (height, width) in enumerate([(64, 64), (120, 90), (33, 47), (64, 20)]):
        image = np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)
        cv2.imwrite(str(folder / "images" / "train" / f"{i:04d}.png"), image)
    texts = ["".join(rows), rows[1], "", None, rows[0] + "\n" + rows[0] + rows[2]]
    for i, text in enumerate(texts):
        label = folder / "labels" / "train" / f"{i:04d}.txt"
        label.unlink() if text is None else label.write_text(text, encoding="utf-8")
    if task == "pose" and dims == 2:
        for label in (folder / "labels").glob("*/000[0-9].txt"):
            lines = [line.split() for line in label.read_text(encoding="utf-8").splitlines() if line.strip()]
            kept = [v[:5] + [c for i, c in enumerate(v[5:]) if len(v) < 17 or i % 3 < 2] for v in lines]
            label.write_text("".join(" ".join(v) + "\n" for v in kept), encoding="utf-8")
    return path


def settings():
    """Ultralytics' training arguments, with those of the recipe."""
    from ultralytics.utils import DEFAULT_CFG

    found = copy.copy(DEFAULT_CFG)
    for name, value in Recipe().arguments().items():
        setattr(found, name, value)
    return found


def both(path: Path, task: str, augment: bool):
    """Our data set for the training images, and Ultralytics' own for a copy of them."""
    prepare()
    from ultralytics.data.dataset import YOLODataset

    from nas_attn.detector.proxy.dataset import StoreDataset

    info = check_data(path, task)
    store = open_store(info.files["train"], IMGSZ, path.parent.parent / "cache", form=info.labels)
    data = {"names": dict(enumerate(info.names)), **(info.keypoints.as_dict() if info.keypoints else {})}
    spec = yaml.safe_load(path.read_text())
    theirs_data = {"names": data["names"], **{k: spec[k] for k in ("kpt_shape", "flip_idx") if k in spec}}
    keywords: dict[str, Any] = dict(imgsz=IMGSZ, batch_size=2, augment=augment, rect=not augment, pad=0.5, task=task)
    ours = StoreDataset(store, list(range(len(store))), 5, hyp=settings(), data=data, **keywords)
    shutil.copytree(path.parent, path.parent.parent / "copy")
    images = str(path.parent.parent / "copy" / "images" / "train")
    theirs = YOLODataset(img_path=[images], hyp=settings(), data=theirs_data, **keywords)
    return ours, theirs


def assert_equal(a, b):
    assert sorted(a) == sorted(b)
    for key, value in a.items():
        if key == "im_file":
            assert Path(value).name == Path(b[key]).name
        elif isinstance(value, torch.Tensor):
            assert value.dtype == b[key].dtype and torch.equal(value, b[key]), key
        else:
            np.testing.assert_array_equal(value, b[key], err_msg=key)


CASES = [("detect", 3), ("segment", 3), ("pose", 3), ("pose", 2), ("obb", 3)]


@pytest.mark.parametrize(("task", "dims"), CASES)
def test_labels_are_those_that_ultralytics_reads(task, dims, tmp_path):
    ours, theirs = both(awkward(tmp_path / "data", task, dims), task, augment=True)
    assert sum(len(label["cls"]) for label in ours.labels) > 10
    for a, b in zip(ours.labels, theirs.labels, strict=True):
        for name in ("cls", "bboxes", "keypoints"):
            assert (a[name] is None) == (b[name] is None)
            if a[name] is not None:
                assert a[name].dtype == b[name].dtype == np.float32
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        assert len(a["segments"]) == len(b["segments"])
        for one, other in zip(a["segments"], b["segments"], strict=True):
            np.testing.assert_array_equal(one, other)
        assert a["shape"] == b["shape"]


@pytest.mark.parametrize(("task", "dims"), CASES)
def test_samples_are_those_of_ultralytics(task, dims, tmp_path):
    ours, theirs = both(awkward(tmp_path / "data", task, dims), task, augment=False)
    samples = [ours[i] for i in range(len(ours))]
    for i, sample in enumerate(samples):
        assert_equal(sample, theirs[i])
    held = {"segment": "masks", "pose": "keypoints"}.get(task, "bboxes")
    assert sum(int((sample[held] != 0).sum()) for sample in samples) > 20
    assert samples[0]["bboxes"].shape[-1] == (5 if task == "obb" else 4)


@pytest.mark.parametrize("task", TASKS)
def test_augmented_samples_are_those_of_ultralytics_with_our_seed(task, tmp_path):
    ours, theirs = both(awkward(tmp_path / "data", task), task, augment=True)
    n = len(ours)
    for epoch in (0, 1):
        for i in range(n):
            key = np.random.SeedSequence((5, epoch, i)).generate_state(2)
            random.seed(int(key[0]))
            np.random.seed(int(key[1]))
            expected = theirs[i]
            random.random()  # random draws of other code must not matter
            assert_equal(ours[epoch * n + i], expected)
    assert not torch.equal(ours[0]["img"], ours[n]["img"])


def test_a_detector_takes_the_boxes_of_other_labels(tmp_path):
    for task in ("segment", "pose", "obb"):
        path = write_data(tmp_path / task, {"train": 3, "val": 2}, IMGSZ, SIDES, task)
        info = check_data(path)
        store = open_store(info.files["train"], IMGSZ, tmp_path / "cache", form=info.labels)
        assert info.task == "detect" and len(store.boxes[0]) and store.boxes[0].shape[1] == 4
        assert store.segments(0) == [] and store.keypoints(0) is None
    assert read_label(POLYGONS[0]).segments == [] and len(read_label(POLYGONS[0], LabelFormat("segment")).segments) == 1


def test_boxes_of_keypoint_labels_are_those_of_ultralytics(tmp_path):
    ours, theirs = both(awkward(tmp_path / "data", "pose"), "detect", augment=False)
    for i in range(len(ours)):
        assert_equal(ours[i], theirs[i])


def test_each_task_has_its_own_store_and_fingerprint(tmp_path):
    path = write_data(tmp_path / "data", {"train": 3, "val": 2}, IMGSZ, SIDES, "obb")
    infos = [check_data(path, task) for task in ("detect", "segment", "obb")]
    assert len({i.fingerprint for i in infos}) == 3
    stores = [open_store(i.files["train"], IMGSZ, tmp_path / "cache", form=i.labels) for i in infos]
    assert len(list((tmp_path / "cache").glob("*/index.npz"))) == 3
    assert [len(s.segments(0)) for s in stores] == [0, len(stores[0].boxes[0]), len(stores[0].boxes[0])]


def test_a_detector_s_index_holds_no_outlines(tmp_path):
    info = check_data(write_data(tmp_path / "data", {"train": 3, "val": 2}, IMGSZ, SIDES, "segment"))
    open_store(info.files["train"], IMGSZ, tmp_path / "cache", form=info.labels)
    (index,) = (tmp_path / "cache").glob("*/index.npz")
    with np.load(index) as content:
        assert sorted(content) == ["boxes", "classes", "counts", "original", "resized"]


def test_outlines_of_each_image_come_back(tmp_path):
    info = check_data(write_data(tmp_path / "data", {"train": 5, "val": 2}, IMGSZ, SIDES, "segment"), "segment")
    Path(info.files["train"][1].replace("images", "labels").replace(".png", ".txt")).write_text("")
    store = open_store(info.files["train"], IMGSZ, tmp_path / "cache", form=info.labels)
    for i, file in enumerate(store.files):
        text = Path(file.replace("/images/", "/labels/").replace(".png", ".txt")).read_text()
        expected = read_label(text, info.labels).segments
        assert len(store.segments(i)) == len(expected) == len(store.classes[i])
        assert all(np.array_equal(a, b) for a, b in zip(store.segments(i), expected, strict=True))


def problems(path: Path, task: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_data(path, task)
    assert caught.value.exit_code == 2
    return "\n".join(map(str, caught.value.problems))


@pytest.mark.parametrize(
    ("of", "task", "words"),
    [
        ("detect", "segment", "must be a polygon, `class x1 y1 x2 y2 x3 y3 ...`, but got 5 values, a box"),
        ("detect", "obb", "four corners, `class x1 y1 x2 y2 x3 y3 x4 y4`, but got 5 values, a box"),
        ("segment", "obb", "four corners"),
        ("pose", "obb", "four corners"),
        ("pose", "segment", "must be a polygon"),
        ("detect", "pose", "must have `kpt_shape`"),
        ("segment", "pose", "must have `kpt_shape`"),
    ],
)
def test_labels_of_another_task_are_refused(of, task, words, tmp_path):
    said = problems(write_data(tmp_path, {"train": 2, "val": 2}, IMGSZ, SIDES, of), task)
    assert words in said and "base model for the task of the data: " in said, said
    assert {"detect": "yolo11n.yaml", "pose": "yolo11n-pose.yaml", "segment": "yolo11n-seg.yaml"}[of] in said


def test_keypoints_of_another_shape_are_refused(tmp_path):
    path = write_data(tmp_path, {"train": 2, "val": 2}, IMGSZ, SIDES, "pose")
    path.write_text(path.read_text().replace("[4, 3]", "[5, 3]").replace("[0, 3, 2, 1]", "[0, 3, 2, 1, 4]"))
    said = problems(path, "pose")
    assert "must hold 20 values" in said and "5 times `x y visible`" in said and "17 values" in said
    assert "the train labels" in said and "the val labels" in said


@pytest.mark.parametrize("shape", [None, 17, "[17, 3]", [17], [0, 3], [4, 4], [4, 3, 1], [True, 3], [4.0, 3]])
def test_a_shape_that_is_none(shape, tmp_path):
    path = write_data(tmp_path, {"train": 2, "val": 2}, IMGSZ, SIDES, "pose")
    spec = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**spec, "kpt_shape": shape}))
    said = problems(path, "pose")
    assert "must have `kpt_shape`" in said and "`kpt_shape: [17, 3]`" in said
    assert "labels" not in said, "which of their values are coordinates, nobody knows"


@pytest.mark.parametrize("flip", [[0, 1, 2], [0, 3, 2, 4], [1, 2, 3, 0], [0, 3, 3, 1], 5, "0321", [0, 3, 2, True]])
def test_pairs_that_are_none(flip, tmp_path):
    path = write_data(tmp_path, {"train": 2, "val": 2}, IMGSZ, SIDES, "pose")
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "flip_idx": flip, "kpt_oks_sigmas": [1, 2]}))
    said = problems(path, "pose")
    assert "`flip_idx` must give" in said and "`kpt_oks_sigmas` must be 4 numbers" in said


def test_without_pairs_images_are_not_mirrored_and_it_is_said(tmp_path):
    path = write_data(tmp_path, {"train": 2, "val": 2}, IMGSZ, SIDES, "pose")
    assert check_data(path, "pose").notes == () and check_data(path, "pose").mirrored
    path.write_text(path.read_text().replace("flip_idx: [0, 3, 2, 1]\n", "kpt_oks_sigmas: [.1, .1, .2, 1]\n"))
    info = check_data(path, "pose")
    assert info.notes == (NO_FLIP,) and not info.mirrored
    assert info.keypoints.as_dict() == {"kpt_shape": [4, 3], "kpt_oks_sigmas": [0.1, 0.1, 0.2, 1.0]}
    assert check_data(path).mirrored and check_data(path).notes == ()


POSE = LabelFormat("pose", (2, 3))


@pytest.mark.parametrize(
    ("form", "line", "words"),
    [
        (POSE, "0 .5 .5 .2 .2 .5 .5 2 .4 .4 3", "visibility must be 0"),
        (POSE, "0 .5 .5 .2 .2 .5 .5 .5 .4 .4 1", "visibility must be 0"),
        (POSE, "0 .5 .5 .2 .2 .5 1.5 2 .4 .4 1", "coordinates must"),
        (POSE, "0 .5 .5 -.2 .2 .5 .5 2 .4 .4 1", "coordinates must"),
        (POSE, "2 .5 .5 .2 .2 .5 .5 2 .4 .4 1", "class number"),
        (POSE, "0 .5 .5 .2 .2 .5 .5 2 .4 .4 nan", "visibility"),
        (LabelFormat("pose", (2, 2)), "0 .5 .5 .2 .2 .5 2 .4 .4", "coordinates must"),
        (LabelFormat("obb"), "0 .1 .1 .2 .1 .2 .2 .1 1.2", "coordinates must"),
        (LabelFormat("obb"), "0 .1 .1 .2 .1 .2 .2", "four corners"),
        (LabelFormat("segment"), "0 .1 .1 .2 .1 .2", "polygon"),
        (LabelFormat("segment"), "0 .1 .1 .2 .1 .2 x", "numbers only"),
    ],
)
def test_lines_that_break_a_rule(form, line, words):
    found = list(check_label("\n" + line + "\n", 2, form))
    assert len(found) == 1 and words in found[0][0] and found[0][2] == 2, found


@pytest.mark.parametrize(
    ("form", "line"),
    [
        (POSE, "0 .5 .5 .2 .2 .5 .5 2 0 0 0"),
        (LabelFormat("pose", (2, 2)), "0 .5 .5 .2 .2 .5 .5 -.01 -.01"),
        (LabelFormat("obb"), "1 -.005 .1 .2 .1 .2 .2 0 1.01"),
        (LabelFormat("segment"), "1 .1 .1 .2 .1 .2 .2"),
    ],
)
def test_lines_that_keep_the_rules(form, line):
    assert list(check_label(line, 2, form)) == []


def test_a_byte_order_mark_is_no_part_of_the_labels(tmp_path):
    info = check_data(write_data(tmp_path / "data", {"train": 2, "val": 2}, IMGSZ, SIDES, "segment"), "segment")
    label = tmp_path / "data" / "labels" / "train" / "0000.txt"
    label.write_text("\ufeff" + POLYGONS[0], encoding="utf-8")
    assert check_data(info.path, "segment").boxes["train"] > 1
    store = open_store(info.files["train"], IMGSZ, tmp_path / "cache", form=info.labels)
    assert len(store.segments(0)) == 1 and store.classes[0].tolist() == [[0]]
