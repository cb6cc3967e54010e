"""A search, and all that comes after it, in folders whose names have spaces and Chinese characters."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from loaded_process import Finished, run_anew
from module_files import GOOD

from nas_attn.study import load_study

DATA = "数据 集"
NAME = "研究-1"
RUNS = "runs 实验"
MODULE = "我的 模块.py"


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_data) -> Path:
    """A folder with a data set, a file with a module, and a study that has both."""
    folder = tmp_path_factory.mktemp("家") / "我的 项目"
    shutil.copytree(tiny_data.parent, folder / DATA)
    (folder / MODULE).write_text(f"# 我的模块\n{GOOD}", "utf-8")
    study = {
        "model": "yolo11n.yaml", "width": 0.0625, "epochs": 1, "imgsz": 64, "final_imgsz": 320, "batch": 4, "jobs": 1,
        "trials": 4, "control_seeds": 1, "dead_slots": "keep", "data": f"{DATA}/data.yaml", "module_files": [MODULE],
        "modules": {"mine": None, "conv": None}, "slots": ["p3"],
    }  # fmt: skip
    (folder / f"{NAME}.yaml").write_text(yaml.safe_dump(study, allow_unicode=True), "utf-8")
    return folder


@pytest.fixture(scope="module")
def nas(home, shell_in) -> Callable[..., Finished]:
    """A function that runs one command of ours there."""

    def call(*arguments: object) -> Finished:
        done = shell_in(home)(*arguments)
        assert done.code == 0, done.err[-3000:]
        return done

    return call


@pytest.fixture(scope="module")
def searched(home) -> Finished:
    """The search, in a new interpreter whose output takes ASCII only."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run_anew(["search", f"{NAME}.yaml", "--runs", RUNS], home, environment, 400)
    assert done.code == 0, done.err[-3000:]
    return done


def test_the_search_is_whole(searched, home):
    view = load_study(NAME, runs=home / RUNS)
    assert view.name == NAME and [t.state for t in view.trials] == ["complete"] * 4
    assert any("mine" in str(t.architecture) for t in view.trials)
    files = {p.name for p in (home / RUNS / NAME).iterdir()}
    assert {"records.jsonl", "study.db", "modules", "workers"} <= files and "lease.json" not in files
    assert {p.name for p in home.iterdir()} == {DATA, MODULE, f"{NAME}.yaml", RUNS}
    assert sorted(p.name for p in (home / DATA).iterdir()) == ["data.yaml", "images", "labels"]


def test_its_commands_can_be_copied(searched, nas):
    """Those that it prints at its end; on this output, letters that it lacks have numbers."""
    assert "\\u7814\\u7a76-1" in searched.out and "Traceback" not in searched.err
    said = nas("search", f"{NAME}.yaml", "--runs", RUNS).out
    commands = [shlex.split(line.partition("python -m nas_attn ")[2]) for line in said.splitlines()]
    assert {c[0]: c[1:4] for c in commands if c} == {
        name: [NAME, "--runs", RUNS] for name in ("report", "dashboard", "export", "ablate")
    }


def test_report(searched, nas, home):
    done = nas("report", NAME, "--runs", RUNS, "-o", "报告 1.html", "--csv", "试验 1.csv")
    assert done.out.splitlines() == ["报告 1.html", "试验 1.csv"]
    assert NAME in (home / "报告 1.html").read_text("utf-8")
    assert len((home / "试验 1.csv").read_text("utf-8").splitlines()) == 5


def test_plan_of_an_ablation(searched, nas):
    plan = json.loads(nas("ablate", NAME, "--runs", RUNS, "--base", "p3=mine(k_size=3)", "--plan", "--json").out)
    assert plan["trials"] > 0


def test_the_winner_is_exported_builds_trains_and_is_bundled(searched, nas, home):
    number = next(t.number for t in load_study(NAME, runs=home / RUNS).trials if "mine" in str(t.architecture))
    given = ("--pick", f"trial:{number}", "--runs", RUNS, "-o", "最佳 模型.yaml", "--bundle", "最佳 包", "--no-onnx")
    nas("export", NAME, *given)
    text = (home / "最佳 模型.yaml").read_text("utf-8")
    assert f"study {NAME}" in text
    size = ("--epochs", 1, "--imgsz", 64, "--batch", 4, "--device", "cpu")
    order = next(line for line in text.splitlines() if "Train: " in line)
    told = shlex.split(order.partition("nas_attn train ")[2].replace("THIS_FILE", "'最佳 模型.yaml'"))
    told[told.index("--data") + 1] = f"{DATA}/data.yaml"
    del told[told.index("--epochs") : told.index("--epochs") + 2]
    trained = json.loads(nas("train", *told, *size, "-o", "训练 1", "--json").out)["runs"][0]
    assert (home / "训练 1").exists() and Path(trained["checkpoint"]).exists()
    assert shlex.split(trained["plain_command"])[3] == "model=最佳 模型.yaml"
    assert "FAIL" not in nas("export", "--verify", "最佳 包").out


def test_cost_of_a_module_file(nas):
    done = nas("cost", "p3=mine(k_size=3)", "--modules", MODULE, "--json")
    assert [row["architecture"] for row in json.loads(done.out)["costs"]][1:] == ["p3=mine(k_size=3) p4=none p5=none"]
