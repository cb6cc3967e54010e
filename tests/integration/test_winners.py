"""A study of every task is reported, shown, exported, bundled and trained from its header alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from short_training import QUICK, printed
from untrained_searches import InlineEngine, run_plan

from nas_attn.bundle.study_base import base_of
from nas_attn.bundle.winner import yaml_maker
from nas_attn.cli.app import run
from nas_attn.dashboard.as_dash import render
from nas_attn.dashboard.candidate_card import candidate_blocks
from nas_attn.data.demo import write_data
from nas_attn.detector.model.base_model import load_base
from nas_attn.errors import StudyChanged
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study import read_study
from nas_attn.study.config import StudyConfig
from nas_attn.study.folder import RunFolder
from nas_attn.study.prepare import prepare
from nas_attn.study.view import StudyView
from nas_attn.tasks import TASKS

SIDES = ((8, 12), (14, 24), (30, 50))
ADDED = ("nc", "kpt_shape", "reg_max", "factors")  # entries that the headers of 0.1.0 lack


def make_study(task: str, home: Path) -> Path:
    """A finished study without a real training; for pose, the data set has four keypoints per object."""
    data = home / "data" / task
    data.mkdir(parents=True)
    file = write_data(data, {"train": 8, "val": 4, "test": 4}, 64, SIDES, task)
    values = {
        "name": task, "model": TASKS[task].example, "width": 0.0625, "data": str(file), "epochs": 1, "imgsz": 64,
        "final_imgsz": 64, "control_seeds": 1, "trials": 20, "dead_slots": "keep", "device": "cpu", "jobs": 1,
        "modules": {"lska": {"k_size": [7]}}, "slots": ["p3", "p4", "p5"],
    }  # fmt: skip
    config = StudyConfig.of(values)
    folder = RunFolder(home / "runs" / task)
    folder.create()
    plan = prepare(config, folder, lambda text: None)
    known = SyntheticEvaluator(planted=(("p5=lska(k_size=7)", 0.2), ("p3=lska", -0.1), ("p4=lska", -0.1)), noise_sd=0.0)
    run_plan(replace(plan, evaluator=known), folder.path, InlineEngine())
    return folder.path


def as_0_1_0(folder: Path) -> None:
    """Delete the entries of the header that 0.1.0 did not write."""
    log = folder / "records.jsonl"
    first, *rest = log.read_text().splitlines(keepends=True)
    header = json.loads(first)
    assert set(ADDED) <= set(header)
    log.write_text(json.dumps({k: v for k, v in header.items() if k not in ADDED}) + "\n" + "".join(rest))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("winners")


@pytest.fixture(scope="module")
def studies(home) -> dict[str, Path]:
    return {task: make_study(task, home) for task in TASKS}


@pytest.fixture
def winner(studies, home, monkeypatch):
    """Task -> (study, candidate) of the trial with attention; the working directory holds the studies."""
    monkeypatch.chdir(home)

    def find(task: str):
        view = read_study(task)
        found = next(c for c in view.candidates() if c.role == "search" and c.score is not None)
        return view, found

    return find


@pytest.mark.parametrize("task", TASKS)
def test_the_header_holds_what_the_base_is_built_from(winner, task):
    header = winner(task)[0].header
    base = base_of(winner(task)[0])
    assert header["nc"] == len(header["classes"]) == base.nc == 3
    assert header["kpt_shape"] == base.yaml.get("kpt_shape") == ([4, 3] if task == "pose" else None)
    assert header["reg_max"] == base.reg_max and header["factors"] == list(base.factors)
    assert header["factors"][1] == 0.0625 and base.fingerprint == header["fingerprints"]["base"]


@pytest.mark.parametrize("task", TASKS)
def test_it_is_reported_and_shown(winner, task, tmp_path, capfd):
    view, candidate = winner(task)
    assert run(["report", task, "-o", str(tmp_path / "r.html")]) == 0
    text = (tmp_path / "r.html").read_text()
    assert "nas_attn.LSKA" in text and "another content" not in text
    assert ("kpt_shape: [4, 3]" in text) == (task == "pose")
    shown = str(render(*candidate_blocks(view, candidate, yaml_maker(view))))
    assert "nas_attn.LSKA" in shown and "another content" not in shown


@pytest.mark.parametrize("task", TASKS)
def test_it_is_exported_bundled_verified_and_trained(winner, task, tmp_path, capfd):
    view, candidate = winner(task)
    number = candidate.trials[0].number
    file, bundle = tmp_path / "best.yaml", tmp_path / "won"
    exported = ["export", task, "--pick", f"trial:{number}", "-o", str(file), "--bundle", str(bundle), "--no-onnx"]
    assert run(exported) == 0
    assert file.read_text().splitlines()[-1] == (bundle / "best.yaml").read_text().splitlines()[-1]
    model = load_base(str(file))
    assert (model.task, model.nc, model.factors[1]) == (task, 3, 0.0625)
    assert model.yaml.get("kpt_shape") == ([4, 3] if task == "pose" else None)
    card = json.loads((bundle / "card.json").read_text())
    assert card["architecture"] == candidate.key and card["task"] == task
    assert card["cost"]["gmacs"] == candidate.gmacs == card["study"]["recorded_cost"]["gmacs"]
    assert run(["export", "--verify", str(bundle)]) == 0
    capfd.readouterr()
    data = view.header["data"]["path"]
    assert run(["train", str(file), "--data", data, "-o", str(tmp_path / "out"), "--json", *map(str, QUICK)]) == 0
    (trained,) = printed(capfd)
    assert Path(trained["checkpoint"]).is_file()
    again = tmp_path / "trained"
    assert run([*exported[:4], "--bundle", str(again), "--no-onnx", "--weights", trained["checkpoint"]]) == 0
    assert json.loads((again / "card.json").read_text())["weights"]["kind"] == "trained"


@pytest.mark.parametrize("task", ["detect", "pose"])
def test_headers_of_0_1_0_tell_it_too(winner, task, tmp_path, capfd, monkeypatch):
    """The digest of the base tells which keypoints it had, so the data may be deleted."""
    view, candidate = winner(task)
    folder = tmp_path / "runs" / task
    shutil.copytree(view.folder, folder)
    as_0_1_0(folder)
    log = folder / "records.jsonl"
    log.write_text(log.read_text().replace(view.header["data"]["path"], str(tmp_path / "gone.yaml")))
    old = StudyView.read(folder)
    assert not set(ADDED) & set(old.header)
    assert base_of(old).yaml == base_of(view).yaml
    assert yaml_maker(old)(candidate) == yaml_maker(view)(candidate)
    monkeypatch.chdir(tmp_path)
    assert run(["export", task, "--pick", f"trial:{candidate.trials[0].number}", "-o", "best.yaml"]) == 0
    assert yaml.safe_load(Path("best.yaml").read_text()).get("kpt_shape") == ([4, 3] if task == "pose" else None)


@pytest.mark.parametrize("task", ["detect", "pose"])
@pytest.mark.parametrize("old", [False, True])
def test_another_base_is_still_refused(winner, task, old):
    view = winner(task)[0]
    header = {k: v for k, v in view.header.items() if not old or k not in ADDED}
    header["fingerprints"] = {**header["fingerprints"], "base": "0" * 16}
    with pytest.raises(StudyChanged, match="another content"):
        base_of(replace(view, header=header))
