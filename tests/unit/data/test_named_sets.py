"""Data sets that Ultralytics knows by name: faulty labels, large sets, and the folder that holds them."""

from __future__ import annotations

import importlib.util
import json
import os

import pytest
import small_data_sets

from nas_attn import environment
from nas_attn.data import check, check_cache
from nas_attn.data.check import check_data
from nas_attn.data.image_lists import stamp
from nas_attn.data.named_sets import packaged_data, size
from nas_attn.errors import ConfigError


@pytest.fixture
def drones(tmp_path, monkeypatch):
    """VisDrone's folder, with 40 training images."""
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(small_data_sets.settings_in(tmp_path / "config", tmp_path / "datasets")))
    monkeypatch.chdir(tmp_path)
    root = small_data_sets.stand_in("VisDrone.yaml", tmp_path / "datasets")
    for n in range(8, 40):
        small_data_sets.image(root, "train", n, 10)
    return root


def labels(root, *numbers):
    return [root / "labels" / "train" / f"{n:012d}.txt" for n in numbers]


def test_faulty_labels_leave_their_image_out(drones):
    """As in Ultralytics, which ignores such images: a class number that is too large, and coordinates in pixels."""
    whole = check_data("VisDrone.yaml")
    wrong, pixels = labels(drones, 3, 5)
    wrong.write_text(wrong.read_text() + "10 .5 .5 .1 .1\n")
    pixels.write_text("0 320 200 20 20\n")
    found = check_data("VisDrone.yaml")
    assert (whole.train, found.train, found.val) == (40, 38, 8) and len(found.notes) == 2
    assert all(f"/{n:012d}.jpg" not in file for file in found.files["train"] for n in (3, 5))
    assert found.boxes["train"] < whole.boxes["train"] and found.fingerprint != whole.fingerprint
    assert all("1 train images are left out, as in Ultralytics" in note for note in found.notes)
    assert any("from 0 to 9, but got 10" in note and str(wrong) in note for note in found.notes)


def test_many_faulty_labels_are_a_mistake(drones):
    for file in labels(drones, 3, 5, 7):
        file.write_text("10 .5 .5 .1 .1\n")
    with pytest.raises(ConfigError, match="from 0 to 9"):
        check_data("VisDrone.yaml")


def test_in_a_users_own_data_one_is_a_mistake(drones, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(packaged_data()["VisDrone.yaml"].read_text())
    assert check_data(own).train == 40
    labels(drones, 3)[0].write_text("10 .5 .5 .1 .1\n")
    with pytest.raises(ConfigError, match="from 0 to 9"):
        check_data(own)


def test_the_fingerprint_follows_what_a_description_means(drones, tmp_path, monkeypatch):
    """Its place and its comments do not count, because they differ between versions of Ultralytics."""
    first = check_data("VisDrone.yaml").fingerprint
    drones.parent.rename(tmp_path / "elsewhere")
    small_data_sets.settings_in(tmp_path / "config", tmp_path / "elsewhere")
    assert check_data("VisDrone.yaml").fingerprint == first


def test_a_large_set_is_read_once(drones, monkeypatch):
    monkeypatch.setattr(check_cache, "LARGE", 10)
    read, original = [], check._read_labels
    monkeypatch.setattr(check, "_read_labels", lambda *given: read.append(given[1]) or original(*given))
    first, again = check_data("VisDrone.yaml"), check_data("VisDrone.yaml")
    assert first == again and read == ["train", "val", "test"]
    labels(drones, 3)[0].write_text("")
    changed = check_data("VisDrone.yaml")
    assert len(read) == 6 and changed.fingerprint != first.fingerprint
    with pytest.raises(ConfigError):
        check_data("VisDrone.yaml", "segment")
    folder = environment.cache_root() / "data"
    for file in folder.iterdir():
        file.write_text("{}")
    assert check_data("VisDrone.yaml") == changed


def test_what_is_kept_is_the_same_for_keypoints(tmp_path, monkeypatch):
    from nas_attn.data.demo import write_data

    monkeypatch.setattr(check_cache, "LARGE", 3)
    path = write_data(tmp_path, {"train": 2, "val": 2}, 64, small_data_sets.SIDES, "pose")
    assert check_data(path, "pose") == check_data(path, "pose") and check_data(path, "pose").keypoints
    assert stamp(path) == stamp(str(path))


def test_every_description_says_where_it_lies():
    assert len(packaged_data()) > 20 and size(packaged_data()["VOC.yaml"]) == "2.8 GB"


@pytest.fixture
def private(tmp_path, monkeypatch):
    """The folder of our private settings of Ultralytics, for a user whose home is the folder of the test."""
    for name, value in (("HOME", tmp_path), ("NAS_ATTN_CACHE", tmp_path / "cache")):
        monkeypatch.setenv(name, str(value))
    for name in ("YOLO_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(environment.sys, "platform", "linux")
    return tmp_path / "cache" / "ultralytics" / "Ultralytics" / "settings.json"


def test_the_folder_of_data_sets_is_the_users(private, tmp_path, monkeypatch):
    """The user's settings of Ultralytics decide, although it reads private settings here, which copy them."""
    monkeypatch.chdir(tmp_path)

    environment.prepare()
    assert os.environ["YOLO_CONFIG_DIR"] == str(tmp_path / "cache" / "ultralytics")
    assert environment.datasets_folder() == tmp_path / "datasets"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert environment.datasets_folder() == tmp_path / "datasets"  # of the first call, as in Ultralytics

    small_data_sets.settings_in(tmp_path / ".config", tmp_path / "mine")
    assert environment.datasets_folder() == tmp_path / "mine"
    environment.prepare()
    assert json.loads(private.read_text())["datasets_dir"] == str(tmp_path / "mine")
    assert json.loads((tmp_path / ".config" / "Ultralytics" / "settings.json").read_text()) == {
        "datasets_dir": str(tmp_path / "mine")
    }


def test_the_trackers_are_the_users(private, tmp_path):
    """`yolo settings wandb=True tensorboard=True` also holds for `train`; other settings do not."""
    file = tmp_path / ".config" / "Ultralytics" / "settings.json"
    file.parent.mkdir(parents=True)
    switches = {"wandb": True, "tensorboard": True, "mlflow": False, "clearml": "yes"}
    file.write_text(json.dumps({**switches, "api_key": "secret", "runs_dir": "mine"}))

    environment.prepare()
    kept = json.loads(private.read_text())
    assert kept.keys() == {"datasets_dir", "wandb", "tensorboard", "mlflow"}
    assert (kept["wandb"], kept["tensorboard"], kept["mlflow"]) == (True, True, False)
    file.write_text(json.dumps({**switches, "wandb": False}))
    environment.prepare()
    assert json.loads(private.read_text())["wandb"] is False


def test_the_switches_are_those_that_ultralytics_has():
    from ultralytics.utils import SETTINGS

    assert {n for n, v in SETTINGS.defaults.items() if isinstance(v, bool)} >= set(environment.TRACKERS)
    files = ["wb" if name == "wandb" else name for name in environment.TRACKERS]
    assert all(importlib.util.find_spec(f"ultralytics.utils.callbacks.{file}") for file in files)
