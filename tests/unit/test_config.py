"""What a study's configuration takes from where."""

from __future__ import annotations

import pytest

from nas_attn.errors import ConfigError, UserError
from nas_attn.study import shipped
from nas_attn.study.config import StudyConfig
from nas_attn.study.load import load_config, study_file, study_name


@pytest.mark.parametrize("name", shipped.names("studies"))
def test_every_shipped_study_is_valid(name):
    config = load_config(name, {"data": "d/data.yaml"} if name != "demo" else {})
    assert config.name == name and config.demo == (name == "demo")


def test_only_the_demo_runs_on_generated_data():
    with pytest.raises(ConfigError, match="needs `data`"):
        load_config("bccd", {})
    with pytest.raises(UserError, match="generated data"):
        load_config("demo", {"data": "d/data.yaml"})


def test_a_folder_called_like_a_shipped_study_is_not_that_study():
    config = load_config(None, {"data": "/somewhere/demo/data.yaml"})
    assert config.name == "demo-data" and config.width is None and not config.demo


def test_a_checkpoint_as_model_means_its_weights(tmp_path):
    (tmp_path / "w.pt").touch()
    config = load_config("m", {"data": "d", "model": str(tmp_path / "w.pt")})
    assert config.start == "weights" and config.weights == config.model == str(tmp_path / "w.pt")


def test_command_line_stands_on_resume_until_the_file_changes(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("data: d.yaml\nepochs: 3\n")
    first = load_config(str(path), {"epochs": 1, "batch": 4})
    header = {"config": first.model_dump(mode="json"), "file": study_file(str(path))}
    assert load_config(str(path), {}, header) == first
    path.write_text("data: d.yaml\nepochs: 5\n")
    assert load_config(str(path), {}, header).epochs == 5
    path.write_text("data: d.yaml\n")
    assert load_config(str(path), {}, header).epochs == StudyConfig.model_fields["epochs"].default


def test_a_files_own_name_is_its_studys(tmp_path):
    (tmp_path / "s.yaml").write_text("data: d.yaml\nname: other\n")
    assert study_name(str(tmp_path / "s.yaml")) == load_config(str(tmp_path / "s.yaml"), {}).name == "other"


def test_no_study_is_the_demo_and_real_data_is_not():
    assert load_config(None, {}).demo and load_config(None, {}).width == 0.125
    real = load_config(None, {"data": "somewhere/cells 2/data.yaml"})
    assert real.name == "cells-2" and not real.demo and real.width is None


def test_a_new_name_without_data_is_the_demo_by_that_name():
    assert load_config("mine", {}).demo and load_config("mine", {}).name == "mine"


def test_a_real_model_has_its_own_width():
    assert load_config(None, {"model": "yolov8s.yaml"}).width is None
    assert load_config(None, {"model": "yolov8s.yaml", "width": 0.5}).width == 0.5


def test_stored_values_fill_what_nobody_says(tmp_path):
    first = load_config("mine", {"data": str(tmp_path / "d.yaml"), "epochs": 4})
    header = {"config": first.model_dump(mode="json"), "file": study_file("mine", str(tmp_path / "d.yaml"))}
    again = load_config("mine", {"trials": 7}, header)
    assert again.identity() == first.identity() and again.trials == 7


def test_paths_of_a_study_file_are_beside_it(tmp_path):
    (tmp_path / "s.yaml").write_text("data: d/data.yaml\n")
    config = load_config(str(tmp_path / "s.yaml"), {})
    assert config.name == study_name(str(tmp_path / "s.yaml")) == "s"
    assert config.data == str(tmp_path / "d" / "data.yaml")


def test_weights_mean_start_weights(tmp_path):
    (tmp_path / "w.pt").touch()
    assert load_config("m", {"data": "d", "weights": str(tmp_path / "w.pt")}).start == "weights"
    with pytest.raises(ConfigError, match="goes with"):
        StudyConfig.of({"data": "d", "start": "base", "weights": str(tmp_path / "w.pt")})
