"""The sources of a configuration: shipped study or study file, command line, and the records of earlier runs."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from nas_attn.cli.app import run
from nas_attn.detector.model.base_model import load_base
from nas_attn.errors import ConfigError, StudyChanged, UserError
from nas_attn.study import shipped
from nas_attn.study.config import StudyConfig
from nas_attn.study.config_sources import StudyFile, known_study, load_config, study_name
from nas_attn.study.identity import check_unchanged
from nas_attn.study.records import RecordLog
from nas_attn.study.space_files import load_space


@pytest.mark.parametrize("name", shipped.names("studies"))
def test_every_shipped_study_is_valid(name):
    config = load_config(name, {"data": "d/data.yaml"} if name != "demo" else {})
    assert config.name == name and config.demo == (name == "demo")


def test_only_the_demo_runs_on_generated_data():
    with pytest.raises(ConfigError, match="needs `data`"):
        load_config("bccd", {})
    with pytest.raises(UserError, match="generated data"):
        load_config("demo", {"data": "d/data.yaml"})


@pytest.mark.parametrize("field", ["trials", "epochs", "imgsz", "final_imgsz", "batch", "ablation"])
def test_a_whole_number_is_one_that_records_hold(field):
    for number in (2**53, 99999999999999999999999):
        value = {"epochs": number} if field == "ablation" else number
        with pytest.raises(ConfigError, match=rf"must be less than 9007199254740992, but got {number}"):
            load_config("new", {"data": "d", field: value})
    if field == "trials":
        assert load_config("new", {"data": "d", field: 2**53 - 1}).trials == 2**53 - 1


def test_a_folder_called_like_a_shipped_study_is_not_that_study():
    config = load_config(None, {"data": "/somewhere/demo/data.yaml"})
    assert config.name == "demo-data" and config.width is None and not config.demo


def test_a_checkpoint_as_model_means_its_weights(tmp_path):
    (tmp_path / "w.pt").touch()
    config = load_config("m", {"data": "d", "model": str(tmp_path / "w.pt")})
    assert config.start == "weights" and config.weights == config.model == str(tmp_path / "w.pt")


def test_until_gives_the_same_number_of_trials_each_time(tmp_path):
    path = tmp_path / "s.yaml"
    for written, alone in (("data: d.yaml\ntrials: 30\n", 30), ("data: d.yaml\n", 1000)):
        path.write_text(written)
        first = load_config(str(path), {"until": "settled"})
        header = {"config": first.model_dump(mode="json"), "file": StudyFile(str(path)).content()}
        again = load_config(str(path), {"until": "settled"}, header)
        assert first.trials == again.trials == load_config(str(path), {}, header).trials == alone
        own = {**header, "config": {**header["config"], "until": "trials", "trials": 200}}
        assert load_config(str(path), {"until": "trials"}, own).trials == 200
        path.write_text(written + "until: settled\n")
        assert load_config(str(path), {}, own).trials == alone


def test_command_line_stands_on_resume_until_the_file_changes(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("data: d.yaml\nepochs: 3\n")
    first = load_config(str(path), {"epochs": 1, "batch": 4})
    header = {"config": first.model_dump(mode="json"), "file": StudyFile(str(path)).content()}
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
    header = {"config": first.model_dump(mode="json"), "file": StudyFile("mine", str(tmp_path / "d.yaml")).content()}
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
    with pytest.raises(ConfigError, match="needs `start: weights`"):
        StudyConfig.of({"data": "d", "start": "base", "weights": str(tmp_path / "w.pt")})


def begun(study, options):
    """The header that a run folder gets if a study is started with these options."""
    config = load_config(study, options)
    found = StudyFile(study, options.get("data"))
    config_header = {"name": config.name, "format": 1, "fingerprints": {}, "config": config.model_dump(mode="json")}
    return json.loads(json.dumps({**config_header, "file": found.content(new=True), "source": found.source}))


OWN = "data: d.yaml\nepochs: 3\ntrials: 2\nwidth: 0.25\n"
CONTINUED = {  # case -> (the first command, the command that continues the study, fields that differ then)
    "a new name": (("zoo2", {}), ("zoo2", {}), {}),
    "a new name with options": (("zoo2", {"epochs": 1, "space": "zoo"}), ("zoo2", {"epochs": 1, "space": "zoo"}), {}),
    "options left out": (("zoo2", {"epochs": 1, "imgsz": 64, "jobs": 1}), ("zoo2", {}), {}),
    "more trials of a new name": (("zoo2", {"epochs": 1}), ("zoo2", {"trials": 7}), {"trials": 7}),
    "another model at its own width": (("zoo2", {"model": "yolov8s.yaml"}), ("zoo2", {"model": "yolov8s.yaml"}), {}),
    "the model left out": (("zoo2", {"model": "yolov8s.yaml"}), ("zoo2", {}), {}),
    "the default model named later": (("zoo2", {}), ("zoo2", {"model": "yolo11n.yaml"}), {}),
    "data": (("cells", {"data": "d.yaml"}), ("cells", {"data": "d.yaml"}), {}),
    "data left out": (("cells", {"data": "d.yaml", "batch": 4}), ("cells", {"hours": 1.0}), {"hours": 1.0}),
    "data without a name": ((None, {"data": "cells/d.yaml"}), (None, {"data": "cells/d.yaml"}), {}),
    "data without a name, by name": ((None, {"data": "cells/d.yaml"}), ("cells", {}), {}),
    "the demo": ((None, {}), (None, {}), {}),
    "the demo with options": ((None, {"epochs": 2}), (None, {"trials": 5}), {"trials": 5}),
    "the demo by name": ((None, {"epochs": 2}), ("demo", {}), {}),
    "the demo with a model": (("demo", {"model": "yolov8s.yaml"}), ("demo", {}), {}),
    "a shipped study": (("bccd", {"data": "d.yaml"}), ("bccd", {"data": "d.yaml"}), {}),
    "a shipped study, data left out": (("bccd", {"data": "d.yaml", "epochs": 2}), ("bccd", {}), {}),
    "a file": (("own.yaml", {}), ("own.yaml", {}), {}),
    "a file with options": (("own.yaml", {"epochs": 1, "model": "yolov8n.yaml"}), ("own.yaml", {}), {}),
    "a file and a model": (("own.yaml", {"model": "yolov8n.yaml"}), ("own.yaml", {"model": "yolov8n.yaml"}), {}),
    "a file by name": (("own.yaml", {}), ("own", {}), {}),
    "a file with options by name": (("own.yaml", {"epochs": 1}), ("own", {"trials": 4}), {"trials": 4}),
    "a file called like a shipped study": (("bccd.yaml", {}), ("bccd", {}), {}),
    "a file called like a shipped study, again": (("bccd.yaml", {}), ("bccd.yaml", {"jobs": 2}), {"jobs": 2}),
    "a checkpoint as model": (("w", {"data": "d.yaml", "model": "w.pt"}), ("w", {}), {}),
    "weights": (("w", {"data": "d.yaml", "weights": "w.pt"}), ("w", {"weights": "w.pt"}), {}),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("own.yaml", "bccd.yaml"):
        (tmp_path / name).write_text(OWN)
    (tmp_path / "w.pt").touch()
    return tmp_path


@pytest.mark.parametrize("case", CONTINUED)
def test_a_study_is_continued(case, here):
    first, (study, options), differs = CONTINUED[case]
    header = begun(*first)
    again = load_config(study, options, header).model_dump(mode="json")
    assert again == {**header["config"], **differs}
    check_unchanged(header, {**header, "config": again})


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (("zoo2", {}), ("zoo2", {"epochs": 1}), "epochs (12 then, 1 now)"),
        (("zoo2", {"seed": 1}), ("zoo2", {"seed": 0}), "seed (1 then, 0 now)"),
        (("zoo2", {}), ("zoo2", {"data": "d.yaml"}), "demo (True then, False now)"),
        (("zoo2", {}), ("zoo2", {"model": "yolov8s.yaml"}), "model (yolo11n.yaml then, yolov8s.yaml now)"),
        (("own.yaml", {}), ("own", {"epochs": 1}), "epochs (3 then, 1 now)"),
        (("own.yaml", {"epochs": 1}), ("own.yaml", {"epochs": 3}), "epochs (1 then, 3 now)"),
        (("own", {}), ("own.yaml", {}), "demo (True then, False now)"),
        (("bccd", {"data": "d.yaml"}), ("bccd.yaml", {}), "epochs (15 then, 3 now)"),
        (
            ("w", {"data": "d.yaml", "weights": "w.pt"}),
            ("w", {"start": "scratch"}),
            "start (weights then, scratch now)",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_another_search_by_that_name_is_refused(first, second, words, here):
    header = begun(*first)
    config = load_config(*second, header).model_dump(mode="json")
    with pytest.raises(StudyChanged) as refused:
        check_unchanged(header, {**header, "config": config})
    assert words in str(refused.value)


def test_records_that_do_not_say_where_their_study_came_from(here):
    """The first version did not record the source of a study; there, a shipped name means the shipped study."""
    header = begun("bccd", {"data": "d.yaml"})
    del header["source"]
    assert load_config("bccd", {}, header).model_dump(mode="json") == header["config"]


def test_a_models_yaml_is_no_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text("nc: 3\nbackbone: [[-1, 1, Conv, [8]]]\nhead: [[-1, 1, Detect, [nc]]]\n")
    for name in ("small.yaml", "yolo11n.yaml"):
        for command in (["slots", name], ["search", name]):
            assert said(command).rstrip().endswith(f"Did you mean --model {name}?")
    assert "must be readable" in said(["slots", "nowhere.yaml"])


def test_slots_of_a_study_that_does_not_exist(tmp_path, monkeypatch):
    """Only a search may use a new name: `slots` would silently measure the demo."""
    monkeypatch.chdir(tmp_path)
    text = said(["slots", "demmo"])
    assert "study must be a known one" in text and "Did you mean 'demo'?" in text and "--data" in text
    assert "--model yolo11n?" in said(["slots", "yolo11n"])
    assert "base model must be a known one" in said(["slots", "--model", ""])
    assert "base model must be a known one" in said(["export", "--architecture", "p3=eca", "--model", ""])


def test_slots_of_a_study_that_was_run_has_its_settings(tmp_path):
    config = load_config("mine", {"data": "d.yaml", "epochs": 7})
    header = {"config": config.model_dump(mode="json"), "file": {"name": "mine"}, "source": ""}
    (tmp_path / "mine").mkdir()
    RecordLog(tmp_path / "mine").append("study", **header)
    stored = known_study("mine", tmp_path)
    assert load_config("mine", {}, stored) == config
    assert known_study("demo", tmp_path) is None and known_study(str(tmp_path / "s.yaml"), tmp_path) is None


def test_an_error_is_the_first_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said(["search", "new", "--data", "nowhere.yaml"]).startswith("error: ")


@pytest.mark.parametrize(("text", "modules"), [("[acmix, se]", {"acmix": None, "se": None}), ("all", None)])
def test_modules_of_a_space_as_a_list(tmp_path, text, modules):
    (tmp_path / "space.yaml").write_text(f"slots: [p3]\nmodules: {text}\n")
    found = load_space(str(tmp_path / "space.yaml"))["modules"]
    assert found == modules if modules else len(found) > 20
    if modules:
        assert StudyConfig.of({"data": "d.yaml", "modules": list(modules)}).modules == modules


@pytest.mark.parametrize("text", ["[]", "acmix", "[acmix, 3]", "[{acmix: {head: [2]}}]", "{}"])
def test_modules_of_a_space_that_are_none(tmp_path, text):
    (tmp_path / "space.yaml").write_text(f"modules: {text}\n")
    with pytest.raises(ConfigError, match=r"`modules` must be a list of modules, or map them to their settings"):
        load_space(str(tmp_path / "space.yaml"))


def said(command: list[str]) -> str:
    """The error text of a command that is refused."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert run(command) == 2
    assert not out.getvalue()
    return err.getvalue()


def test_the_defaults_that_the_help_names_are_those_of_the_model_and_of_the_demo():
    demo = shipped.load("studies", "demo")
    for name in ("epochs", "imgsz"):
        field = StudyConfig.model_fields[name]
        assert field.description.endswith(f"[{field.default}; the demo: {demo[name]}]")


def test_a_checkpoint_that_is_missing_is_missed_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config("x", {"data": "d.yaml", "model": "mine.pt"})
    assert config.model == config.weights or Path(config.weights).name == "mine.pt"
    with pytest.raises(UserError, match=r"a checkpoint must exist.*mine.yaml to train from scratch"):
        load_base(config.model)
    with pytest.raises(ConfigError, match="the file of `weights` must exist"):
        load_config("x", {"data": "d.yaml", "model": "yolo11n.yaml", "weights": "mine.pt"})


def test_a_checkpoint_that_ultralytics_offers_is_known_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"data": "d.yaml", "model": "yolo11n.yaml", "weights": "yolo11n.pt"}
    config = load_config("x", given)
    assert (config.start, config.weights) == ("weights", "yolo11n.pt")
    (tmp_path / "yolo11n.pt").write_bytes(b"mine")
    assert load_config("x", given).weights == str(tmp_path / "yolo11n.pt")


def test_a_name_with_a_space_gets_one_without():
    with pytest.raises(ConfigError, match="Leave out the spaces, for example my-study"):
        StudyConfig.of({"name": "my study", "model": "yolo11n.yaml", "data": "d.yaml"}, where={})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("mlflow", ["mlflow"]),
        ("mlflow, TensorBoard", ["mlflow", "tensorboard"]),
        (["wandb", "mlflow,wandb"], ["wandb", "mlflow"]),
        ("none", []),
        (["none"], []),
        ([], []),
    ],
)
def test_trackers_are_named_in_one_text_or_in_several(given, meant, tmp_path):
    assert load_config("new", {"data": "d", "track": given}).track == meant
    path = tmp_path / "s.yaml"
    path.write_text(f"data: d.yaml\ntrack: {json.dumps(given)}\n")
    assert load_config(str(path), {}).track == meant


def test_trackers_may_change_and_stay_until_they_do():
    stored = {"config": load_config("new", {"data": "d", "track": "mlflow"}).model_dump(mode="json")}
    assert load_config("new", {}, stored).track == ["mlflow"]
    changed = load_config("new", {"track": "none"}, stored)
    assert changed.track == [] and changed.identity() == load_config("new", {}, stored).identity()
    del stored["config"]["track"]  # a study of an earlier release
    assert load_config("new", {}, stored).track == []


def test_a_misspelt_tracker_is_found_with_all_other_mistakes(capsys):
    wrong = ("--track", "mlflow,mflow", "--track", "none", "--epochs", "0")
    assert run(["search", "new", "--data", "d.yaml", *wrong]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "the tracker must be a known one, but got 'mflow'" in said and "Did you mean 'mlflow'?" in said
    assert "`epochs` must be at least 1" in said and "got 'none'" in said, "`none` stands alone"
    for kind in (3, {"mlflow": 1}, [3]):
        with pytest.raises(ConfigError, match="track"):
            load_config("new", {"data": "d", "track": kind})
