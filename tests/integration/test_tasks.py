"""A search on the command line for tasks other than detection, and errors before any training."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from nas_attn.cli.app import run
from nas_attn.data.demo import write_data
from nas_attn.detector.proxy.recipe import Recipe
from nas_attn.errors import ConfigError, UserError
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.space import Architecture

SIDES = ((8, 12), (14, 24), (30, 50))
NONE = Architecture.parse("p3=none p4=none p5=none")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Task -> data.yaml of a tiny data set; its keypoints have no `flip_idx`."""
    found = {}
    for task in ("detect", "segment", "pose", "obb"):
        folder = tmp_path_factory.mktemp(task)
        found[task] = write_data(folder, {"train": 8, "val": 4, "test": 4}, 64, SIDES, task)
    text = found["pose"].read_text()
    found["pose"].write_text("".join(line for line in text.splitlines(True) if "flip_idx" not in line))
    return found


def records(folder: Path) -> list[dict]:
    from nas_attn.study.folder import RunFolder

    return list(RunFolder(folder).log.read())


def test_a_search_for_keypoints(data, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    study = {
        "model": "yolo11n-pose.yaml", "width": 0.0625, "data": str(data["pose"]), "epochs": 1, "imgsz": 64, "batch": 4,
        "final_imgsz": 320, "trials": 3, "dead_slots": "keep", "control_seeds": 1, "slots": ["p3", "p5"], "jobs": 1,
        "modules": {"conv": None, "lska": {"k_size": [7]}},
    }  # fmt: skip
    Path("points.yaml").write_text(yaml.safe_dump(study))
    assert run(["search", "points.yaml", "--json"]) == 0
    out, said = capfd.readouterr()
    trials = json.loads(out)["trials"]
    assert [t["state"] for t in trials] == ["complete"] * 3 and len({t["architecture"] for t in trials}) == 3
    assert all(0 <= t["map50_95"] <= 1 for t in trials)
    assert "`fliplr` is off" in said and "the objective is the keypoint mAP50-95" in said
    header, *rest = records(tmp_path / "runs" / "points")
    assert (header["task"], header["objective"]) == ("pose", "keypoint mAP50-95")
    evaluations = [Evaluation.from_dict(r["evaluation"]) for r in rest if "evaluation" in r]
    assert len(evaluations) == 3
    for found in evaluations:
        assert found.task == "pose" and found.recipe["fliplr"] == 0 and found.test_map50_95 is not None
        assert found.flags == (), "all trials of the study are trained so, which leaves them comparable"
    assert sorted(evaluations[0].liveness) == ["p3", "p5"]
    assert run(["search", "points.yaml", "--trials", "3", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["trials"] == trials, "it is continued, and there is nothing left to do"


@pytest.fixture
def refused(tmp_path, monkeypatch, capfd):
    """A function that runs a search, which must be refused before training, and returns its message."""
    monkeypatch.chdir(tmp_path)

    def check(*arguments: object) -> str:
        assert run(["search", "new", *map(str, arguments)]) == 2
        said = capfd.readouterr()
        assert not said.out and "Traceback" not in said.err
        assert [p.name for p in tmp_path.iterdir()] in ([], ["runs"]) and not list(tmp_path.glob("runs/*"))
        return said.err

    return check


@pytest.mark.parametrize(
    ("model", "head"),
    [
        ("rtdetr-l.yaml", "RTDETRDecoder"),
        ("yolov8s-world.yaml", "WorldDetect"),
        ("yolo26n-sem.yaml", "SemanticSegment"),
        ("yoloe-11s-seg.yaml", "YOLOESegment"),
    ],
)
def test_heads_that_no_search_trains(refused, data, model, head):
    said = refused("--model", model, "--data", data["segment"])
    assert "a search needs a base model whose head is one of Detect, v10Detect, Segment, Segment26, Pose" in said
    assert f"'{head}'" in said and "yolo11n-pose.yaml" in said and "problems" not in said


@pytest.mark.parametrize(
    ("model", "labels", "words"),
    [
        ("yolo11n-seg.yaml", "detect", ["must be a polygon", "5 values, a box", "yolo11n.yaml for boxes"]),
        ("yolo11n-pose.yaml", "detect", ["must have `kpt_shape`", "must hold keypoints after"]),
        ("yolo26n-obb.yaml", "segment", ["must be four corners", "yolo11n-seg.yaml for polygons"]),
    ],
)
def test_data_of_another_task(refused, data, model, labels, words):
    said = refused("--model", model, "--data", data[labels])
    assert all(w in said for w in words), said


def test_mistakes_in_data_and_settings_come_together(refused, data):
    said = refused("--model", "yolo11n-obb.yaml", "--data", data["detect"], "--sampler", "tpee", "--modules", "acmx")
    assert "four corners" in said and "acmx" in said and "tpee" in said


def test_without_data_a_model_gets_data_of_its_task(tmp_path, monkeypatch):
    from nas_attn.study.config_sources import load_config
    from nas_attn.study.inputs import resolve

    monkeypatch.setenv("NAS_ATTN_CACHE", str(tmp_path))
    monkeypatch.setattr("nas_attn.data.demo.SPLITS", {"train": 3, "val": 2, "test": 1})
    for model, task in (("yolo11n-seg.yaml", "segment"), ("yolo26n-pose.yaml", "pose"), ("yolov8n-obb.yaml", "obb")):
        found = resolve(load_config("new", {"model": model, "slots": ["p4"]}), lambda text: None)
        assert found.data.task == task and found.data.path.parent.name == f"demo-{task}-128-v1"
        assert found.base.yaml.get("kpt_shape") == ([4, 3] if task == "pose" else None)


@pytest.fixture
def evaluator(data, tmp_path):
    return ProxyEvaluator(
        model="yolo11n-pose", width=0.0625, data=str(data["pose"]), nc=3, cache=str(tmp_path), recipe=Recipe(batch=4)
    )


def test_the_evaluator_refuses_what_it_cannot_train(evaluator, data):
    with pytest.raises(UserError, match=r"predict the data's keypoints.*\(17, 3\), not \(4, 3\).*kpt_shape"):
        evaluator(NONE, Fidelity(1, 64), 0)
    with pytest.raises(ConfigError, match="polygon"):
        dataclasses.replace(evaluator, model="yolo11n-seg", data=str(data["detect"]))(NONE, Fidelity(1, 64), 0)
    with pytest.raises(UserError, match="a search needs a base model"):
        dataclasses.replace(evaluator, model="yolov8s-world").check(Fidelity(1, 64))


@pytest.mark.parametrize("task", ["segment", "obb"])
def test_a_trained_base_of_another_task_is_gone_on_from(data, tmp_path, task):
    model = {"segment": "yolo26n-seg", "obb": "yolo11n-obb"}[task]
    evaluator = ProxyEvaluator(
        model=model, width=0.0625, data=str(data[task]), nc=3, cache=str(tmp_path), recipe=Recipe(batch=4), start="base"
    )
    first = evaluator.train_base(Fidelity(1, 64), 0, tmp_path / "base.pt", liveness=False)
    went_on = dataclasses.replace(evaluator, base_file=str(tmp_path / "base.pt"))(NONE, Fidelity(1, 64), 0)
    assert went_on.transferred == 1 and went_on.task == first.task == task
    assert went_on.curve[0]["loss"] < first.curve[0]["loss"]
    assert Evaluation.from_dict({k: v for k, v in went_on.as_dict().items() if k != "task"}).task == "detect"
