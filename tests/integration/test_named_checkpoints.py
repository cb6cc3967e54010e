"""Checkpoints that Ultralytics offers by name: kept in its folder of weights, whole or not at all."""

from __future__ import annotations

from types import SimpleNamespace

import data_archives
import pytest
import small_data_sets

import nas_attn as na
from nas_attn import environment
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.model.named_checkpoints import PAGE, fetched
from nas_attn.detector.model.shipped_models import absent, is_named, located
from nas_attn.detector.weights.start_model import save_start
from nas_attn.errors import DownloadFailed, UserError

NAME = "yolo11n.pt"


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """The folder of weights, which does not exist yet."""
    folder = tmp_path / "weights"
    config = small_data_sets.settings_in(tmp_path / "config", tmp_path / "datasets", weights_dir=str(folder))
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(config))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def network(tmp_path_factory, monkeypatch):
    """A network that has one checkpoint of 80 classes."""
    environment.prepare()
    import requests
    from ultralytics.utils import downloads

    file = tmp_path_factory.mktemp("server") / NAME
    save_start(load_base("yolo11n.yaml").build(), "detect", file)
    net = data_archives.Network({NAME: file.read_bytes()})
    monkeypatch.setattr(environment, "_ASKED_OFFLINE", False)
    monkeypatch.setattr(downloads, "time", SimpleNamespace(sleep=lambda seconds: None), raising=False)
    monkeypatch.setattr(downloads, "is_online", lambda: True)
    monkeypatch.setattr(requests, "get", net)
    return net


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (NAME, True), ("yolo11s-seg.pt", True), ("yolov8n.pt", True), ("yolov9c.pt", True), ("yolov5nu.pt", True),
        ("rtdetr-l.pt", True), ("best.pt", False), ("yolo11n.yaml", False), ("runs/yolo11n.pt", False),
        ("yolo11q.pt", False), ("", False), ("a\0.pt", False),
    ],
)  # fmt: skip
def test_known_names(weights, name, known):
    assert is_named(name) == known
    assert known == (located(name) == weights / name)


def test_a_file_of_ones_own_comes_before_the_name(weights, tmp_path):
    (tmp_path / NAME).write_bytes(b"mine")
    assert not is_named(NAME) and not absent(NAME) and str(located(NAME)) == NAME


def test_it_is_fetched_once_and_announced(weights, network, capfd):
    said = []
    assert absent(NAME)
    assert fetched(NAME, said.append) == weights / NAME and load_base(NAME).nc == 80
    asked, (out, err) = len(network.asked), capfd.readouterr()
    assert not out and str(weights) in said[0] and said[0] in err
    assert [f.name for f in weights.iterdir()] == [NAME], "no lock and no part stays there"
    fetched(NAME, said.append)
    assert len(network.asked) == asked and len(said) == 1


def test_half_a_file_is_no_file(weights, network):
    network.cut = True
    with pytest.raises(DownloadFailed, match=PAGE) as failed:
        fetched(NAME, lambda text: None)
    assert str(weights) in str(failed.value) and failed.value.exit_code == 1
    assert absent(NAME) and not list(weights.iterdir())


def test_a_name_without_a_file_on_the_server(weights, network):
    network.archives = {}
    with pytest.raises(DownloadFailed, match="could not be downloaded"):
        fetched("yolo11n-pose.pt", lambda text: None)


def test_offline_by_the_users_wish(weights, network, monkeypatch):
    monkeypatch.setattr(environment, "_ASKED_OFFLINE", True)
    with pytest.raises(DownloadFailed, match=r"YOLO_OFFLINE is set.*another machine"):
        fetched(NAME, lambda text: None)
    assert not network.asked and not weights.exists()


def test_a_folder_that_cannot_be_written(weights, network):
    weights.write_text("a file is here")
    with pytest.raises(UserError, match="weights_dir"):
        fetched(NAME, lambda text: None)


def test_a_plan_fetches_them_after_all_other_checks(weights, network, tmp_path, tiny_data):
    common = {"runs": tmp_path, "progress": False, "data": str(tiny_data), "weights": NAME, "imgsz": 64, "epochs": 1}
    with pytest.raises(UserError, match="nosuch"):
        na.plan_search("mine", space="nosuch", **common)
    assert not network.asked
    plan = na.plan_search("mine", space="light", **common)
    assert plan.left > 0 and not absent(NAME)
    for model in (NAME, str(weights / NAME)):
        assert na.plan_search("mine", model=model, space="light", **{**common, "weights": None}).left == plan.left


def test_weights_of_another_model_are_refused(weights, network, tmp_path, tiny_data):
    common = {"runs": tmp_path, "progress": False, "data": str(tiny_data), "weights": NAME, "space": "light"}
    for model, got in (("yolo11s.yaml", "width factor 0.25"), ("yolo11n-seg.yaml", "Segment"), ("yolov8n.yaml", "C2f")):
        with pytest.raises(UserError, match=got):
            na.plan_search("mine", model=model, **common)
