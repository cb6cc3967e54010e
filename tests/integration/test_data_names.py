"""`--data coco128.yaml` and `data: VOC.yaml`: a path wins over Ultralytics' data set; errors for both."""

from __future__ import annotations

import shutil

import pytest
import small_data_sets

from nas_attn import environment
from nas_attn.cli.app import run
from nas_attn.study.config_sources import load_config, study_name
from nas_attn.study.inputs import load_data


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory, with the folder of data sets next to it."""
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(small_data_sets.settings_in(tmp_path / "config", tmp_path / "datasets")))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def refused(here, capfd):
    """Run a command that must fail with one clear message and write nothing."""

    def check(*arguments: object, code: int = 2) -> str:
        assert run([str(a) for a in arguments]) == code
        out, err = capfd.readouterr()
        assert not out and "Traceback" not in err and not list(here.glob("runs/*"))
        return err

    return check


def test_a_path_wins(here):
    assert load_config("mine", {"data": "coco128.yaml"}).data == "coco128.yaml"
    (here / "coco128.yaml").write_text("names: [a]\n")
    assert load_config("mine", {"data": "coco128.yaml"}).data == str(here / "coco128.yaml")


def test_in_a_study_file_it_is_beside_the_file(here):
    (here / "studies").mkdir()
    (here / "studies" / "s.yaml").write_text("data: VOC.yaml\n")
    assert load_config("studies/s.yaml", {}).data == "VOC.yaml"
    (here / "VOC.yaml").write_text("names: [a]\n")
    assert load_config("studies/s.yaml", {}).data == "VOC.yaml"
    (here / "studies" / "VOC.yaml").write_text("names: [a]\n")
    assert load_config("studies/s.yaml", {}).data == str(here / "studies" / "VOC.yaml")


def test_a_shipped_study_means_the_known_set_wherever_it_runs(here):
    small_data_sets.stand_in("coco128.yaml", here.parent / "datasets")
    small_data_sets.bccd(here)
    shutil.copy(here / "data.yaml", here / "coco128.yaml")
    assert load_data(load_config("coco128", {})).nc == 80
    assert load_data(load_config("coco128", {"data": "coco128.yaml"})).nc == 3


def test_the_study_is_called_like_the_data(here):
    assert study_name(None, "dota8.yaml") == "dota8"
    assert study_name(None, "coco128.yaml") == "coco128-data"  # `coco128` is a shipped study
    (here / "dota8.yaml").write_text("names: [a]\n")
    assert study_name(None, "dota8.yaml") == "here"


@pytest.mark.parametrize(("wrong", "right"), [("voc.yaml", "VOC.yaml"), ("coco-128.yaml", "coco128.yaml")])
def test_a_slip(wrong, right, here, refused):
    assert f"Did you mean '{right}'" in refused("search", "new", "--data", wrong)
    (here / "s.yaml").write_text(f"data: {wrong}\n")
    assert f"Did you mean '{right}'" in refused("search", "s.yaml")
    assert f"Did you mean '{right}'" in refused("slots", "--data", wrong)


def test_without_a_network(here, refused, monkeypatch):
    monkeypatch.setattr(environment, "_ASKED_OFFLINE", True)
    said = refused("search", "coco128", code=1)
    place = here.parent / "datasets" / "coco128"
    assert f"downloads it to {place}, 7 MB" in said and "error: coco128.yaml could not be downloaded" in said
    assert not place.parent.exists()


def test_all_other_mistakes_come_before_a_download(refused, monkeypatch):
    monkeypatch.setattr("nas_attn.data.download.fetch", lambda *_: pytest.fail("downloads"))
    said = refused("search", "coco128", "--sampler", "tpee", "--device", "tpu", "--space", "nek")
    assert "3 problems" in said and all(word in said for word in ("'tpee'", "'tpu'", "'nek'"))
    assert "'nek'" in refused("search", "coco128", "--space", "nek")


def test_half_a_data_set(here, refused):
    root = small_data_sets.stand_in("VOC.yaml", here.parent / "datasets")
    shutil.rmtree(root / "images" / "val2012")
    said = refused("search", "voc")
    assert "image folder must exist" in said and "val2012" in said and f"move {root} away" in said


def test_a_folder_of_data_sets_that_cannot_be_written(here, refused, monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "_ASKED_OFFLINE", False)
    (tmp_path / "datasets").write_text("in the way")
    said = refused("search", "coco128")
    assert "folder of data sets must be writable" in said and "yolo settings datasets_dir=FOLDER" in said


def test_a_set_for_another_task(here, refused):
    small_data_sets.stand_in("VisDrone.yaml", here.parent / "datasets")
    said = refused("search", "new", "--data", "VisDrone.yaml", "--model", "yolo11n-seg.yaml")
    assert "must be a polygon" in said and "use a base model for the task of the data" in said
