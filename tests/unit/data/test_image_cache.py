"""Cached images equal the originals and exist once per machine; augmentation depends only on seed, epoch and image."""

from __future__ import annotations

import copy
import itertools
import pickle
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from nas_attn.data import image_cache
from nas_attn.data.check import check_data
from nas_attn.data.demo import demo_data, draw, write_data
from nas_attn.data.image_cache import open_store
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.environment import cache_root, prepare
from nas_attn.errors import DataError, MissingPart

SIDES = ((8, 12), (14, 24), (30, 50))
IMGSZ = 64


@pytest.fixture
def files(tmp_path):
    """Images of several shapes and sizes, larger and smaller than the training size."""
    info = check_data(write_data(tmp_path / "data", {"train": 6, "val": 3}, IMGSZ, SIDES))
    for i, (height, width) in enumerate([(64, 64), (120, 90), (33, 47), (64, 20)]):
        image = np.random.default_rng(i).integers(0, 256, (height, width, 3), np.uint8)
        cv2.imwrite(info.files["train"][i], image)
    return info.files["train"]


def settings(recipe):
    """Ultralytics' training arguments, with those of a recipe."""
    prepare()
    from ultralytics.utils import DEFAULT_CFG

    found = copy.copy(DEFAULT_CFG)
    for name, value in recipe.arguments().items():
        setattr(found, name, value)
    return found


def dataset(store, seed=0, augment=True):
    prepare()
    from nas_attn.detector.proxy.dataset import StoreDataset

    return StoreDataset(
        store,
        list(range(len(store))),
        seed,
        imgsz=IMGSZ,
        batch_size=2,
        augment=augment,
        hyp=settings(Recipe()),
        rect=not augment,
        pad=0.0 if augment else 0.5,
        data={"names": {0: "a", 1: "b", 2: "c"}},
        task="detect",
    )


def stock(files, tmp_path, augment):
    """Ultralytics' own data set for a copy of these images."""
    prepare()
    import shutil

    from ultralytics.data.dataset import YOLODataset
    from ultralytics.utils import DEFAULT_CFG

    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    return YOLODataset(
        img_path=[str(tmp_path / "copy" / "images" / "train")],
        imgsz=IMGSZ,
        batch_size=2,
        augment=augment,
        hyp=copy.copy(DEFAULT_CFG),
        rect=not augment,
        pad=0.5,
        data={"names": {0: "a", 1: "b", 2: "c"}},
        task="detect",
    )


def test_cached_images_and_labels_are_those_of_ultralytics(files, tmp_path):
    store = open_store(files, IMGSZ, tmp_path / "cache")
    assert store.mapped
    ours, theirs = dataset(store, augment=False), stock(files, tmp_path, augment=False)
    for i in range(len(files)):
        a, b = ours[i], theirs[i]
        assert Path(a["im_file"]).name == Path(b["im_file"]).name
        assert torch.equal(a["img"], b["img"])
        assert torch.equal(a["cls"], b["cls"]) and torch.equal(a["bboxes"], b["bboxes"])
        for name in ("ori_shape", "resized_shape", "ratio_pad"):
            np.testing.assert_array_equal(a[name], b[name])


def test_beyond_the_cap_images_come_from_disk_and_are_equal(files, tmp_path):
    mapped, read = (open_store(files, IMGSZ, tmp_path / "cache", cap=cap) for cap in (2**20, 1000))
    assert mapped.mapped and not read.mapped
    assert all(np.array_equal(mapped.image(i), read.image(i)) for i in range(len(files)))
    assert len(list((tmp_path / "cache").rglob("images.bin"))) == 1


def test_nothing_is_written_beside_the_data(files, tmp_path):
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "data").rglob("*")}
    dataset(open_store(files, IMGSZ, tmp_path / "cache"))[0]
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "data").rglob("*")} == before


def test_two_builders_build_once(files, tmp_path, monkeypatch):
    builds = []
    build = image_cache._build
    started = threading.Barrier(2)

    def counted(*arguments):
        builds.append(1)
        return build(*arguments)

    def worker():
        started.wait()
        stores.append(open_store(files, IMGSZ, tmp_path / "cache"))

    monkeypatch.setattr(image_cache, "_build", counted)
    stores: list = []
    threads = [threading.Thread(target=worker) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(builds) == 1
    assert np.array_equal(stores[0].image(3), stores[1].image(3))


def test_a_broken_build_leaves_nothing(files, tmp_path):
    for i in (2, 4, 5):
        Path(files[i]).write_bytes(b"no image")
    with pytest.raises(DataError, match="readable") as caught:
        open_store(files, IMGSZ, tmp_path / "cache")
    assert all(files[i] in str(caught.value) for i in (2, 4, 5)) and files[3] not in str(caught.value)
    assert not [f for f in (tmp_path / "cache").iterdir() if f.is_dir()]


def test_a_changed_label_makes_another_store(files, tmp_path):
    old = open_store(files, IMGSZ, tmp_path / "cache")
    label = tmp_path / "data" / "labels" / "train" / "0000.txt"
    label.write_text("2 0.5 0.5 0.25 0.25\n0 0.5 0.5 0.125 0.125\n2 0.5 0.5 0.25 0.25\n")
    new = open_store(files, IMGSZ, tmp_path / "cache")
    assert new.classes[0].ravel().tolist() == [0, 2]
    assert not np.array_equal(old.classes[0], new.classes[0])


def test_augmentation_is_a_function_of_seed_epoch_and_image(files, tmp_path):
    store = open_store(files, IMGSZ, tmp_path / "cache")
    n = len(files)
    first, second = dataset(store), dataset(store)
    second[4], second[n + 1]  # earlier random draws must not matter
    assert torch.equal(first[n + 3]["img"], second[n + 3]["img"])
    assert not torch.equal(first[n + 3]["img"], first[2 * n + 3]["img"])
    assert not torch.equal(first[n + 3]["img"], dataset(store, seed=1)[n + 3]["img"])


def test_mosaic_does_not_depend_on_history(files, tmp_path):
    store = open_store(files, IMGSZ, tmp_path / "cache")
    one, two = dataset(store), dataset(store)
    for d in (one, two):
        d.transforms = d.build_transforms(hyp=settings(Recipe(mosaic=1.0)))
    two[5], two[1]
    assert torch.equal(one[2]["img"], two[2]["img"])
    assert not torch.equal(one[2]["img"], dataset(store)[2]["img"])


def test_the_order_is_a_function_of_seed_and_epoch():
    prepare()
    from nas_attn.detector.proxy.dataset import EpochSampler

    run = EpochSampler(10, seed=3)
    first, second = list(run), list(run)
    resumed = EpochSampler(10, seed=3, epoch=1)
    torch.manual_seed(99)
    assert sorted(first) == list(range(10)) and sorted(second) == list(range(10, 20))
    assert list(resumed) == second
    assert [i % 10 for i in second] != first
    assert list(EpochSampler(10, seed=4)) != first


def test_the_demo_is_drawn_once_and_always_the_same(tmp_path, monkeypatch):
    from nas_attn.data import demo as module

    monkeypatch.setattr(module, "SPLITS", {"train": 3, "val": 2, "test": 1})
    a, b = demo_data(tmp_path / "a"), demo_data(tmp_path / "b")
    stamp = a.stat().st_mtime_ns
    assert demo_data(tmp_path / "a") == a and a.stat().st_mtime_ns == stamp
    trees = [{f.relative_to(p.parent): f.read_bytes() for f in p.parent.rglob("*.*")} for p in (a, b)]
    assert trees[0] == trees[1]
    assert check_data(a).test == 1
    assert not [f for f in (tmp_path / "a").iterdir() if f.name.startswith(".")]


def test_demo_boxes_fit_their_objects():
    image, boxes = draw("train", 0, 96, SIDES)
    assert image.shape == (96, 96, 3) and image.dtype == np.uint8
    for kind, x, y, w, h in boxes:
        assert kind in (0, 1, 2)
        assert x - w / 2 >= 0 and x + w / 2 <= 1 and y - h / 2 >= 0 and y + h / 2 <= 1
    assert not np.array_equal(image, draw("val", 0, 96, SIDES)[0])


def test_the_learning_rate_rises_and_ends_at_zero():
    recipe = Recipe(warmup_steps=4)
    factors = [recipe.factor(i, 40) for i in range(41)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert all(a > b for a, b in itertools.pairwise(factors[4:]))
    assert factors[40] == 0 < factors[39] < 0.03
    assert recipe.factor(0, 1) == 1.0


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("NAS_ATTN_CACHE", str(tmp_path / "mine"))
    assert cache_root() == tmp_path / "mine"
    monkeypatch.delenv("NAS_ATTN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "nas_attn"
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("NAS_ATTN_CACHE", str(blocked))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cache_root().parent == tmp_path and cache_root() != blocked


def test_a_missing_libgl_is_one_line(monkeypatch):
    def refuse(name, *arguments, **keywords):
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return original(name, *arguments, **keywords)

    import builtins

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingPart) as caught:
        prepare()
    assert "\n" not in str(caught.value)
    assert "libgl1" in str(caught.value) and "opencv-python-headless" in str(caught.value)


def test_a_loader_process_that_is_no_fork_maps_the_same_file(files, tmp_path):
    """Windows and macOS hand the data set over as a pickle, which must not be as large as the data."""
    whole = dataset(open_store(files, IMGSZ, tmp_path / "cache"))
    content = pickle.dumps(whole)
    again = pickle.loads(content)
    assert len(content) < len(pickle.dumps(whole._store._bytes)) / 2 and again._store.mapped
    for i in range(len(whole)):
        assert torch.equal(whole[i]["img"], again[i]["img"]) and torch.equal(whole[i]["bboxes"], again[i]["bboxes"])
