"""Augmentation and loss from the command line to the final training: one small search, and what follows from it."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import yaml

import nas_attn as na
from nas_attn.cli.app import run
from nas_attn.errors import StudyChanged, UserError
from nas_attn.study import read_study

WRITTEN = {"mosaic": 0.5, "close_mosaic": 1}
GIVEN = ("hsv_h=0", "cls=1", "scale=[0.6,1.2]")
ALL = {"mosaic": 0.5, "close_mosaic": 1, "hsv_h": 0.0, "cls": 1.0, "scale": [0.6, 1.2]}
WORDS = "close_mosaic=1 cls=1.0 hsv_h=0.0 mosaic=0.5 'scale=[0.6,1.2]'"


@pytest.fixture(scope="module")
def study(tmp_path_factory, write_study, shell_in):
    """(shell, result) of a search in groups of two, whose settings come from its file and from the command line."""
    folder = tmp_path_factory.mktemp("settings")
    write_study(folder / "own.yaml", train=WRITTEN, trials=4, together=2, control_seeds=1)
    shell = shell_in(folder)
    return shell, shell("search", "own.yaml", "--trials", 5, *GIVEN)


def refused(capfd, *arguments):
    assert run([str(a) for a in arguments]) == 2
    said = capfd.readouterr()
    assert "Traceback" not in said.err and not said.out
    return said.err


def test_every_trial_is_trained_with_them_and_the_study_says_so(study):
    shell, done = study
    assert done.code == 0, done.err
    view = read_study(shell.folder / "runs" / "own")
    assert view.header["config"]["train"] == ALL and len(view.trials) == 5
    assert {t.role for t in view.trials} >= {"base", "conv", "search"}
    for trial in view.trials:
        recipe = trial.evaluation.recipe
        assert {name: recipe[name] for name in ALL} == ALL and recipe["translate"] == 0.1
    assert f"2 epochs at 64 px from scratch, with {WORDS}" in done.err
    page = shell.folder / "report.html"
    assert shell("report", "own", "-o", page).code == 0
    assert "with close_mosaic=1 cls=1.0 hsv_h=0.0 mosaic=0.5" in page.read_text(encoding="utf-8")


def test_a_continued_study_has_the_same(study):
    shell, _ = study
    for words in ((), ("mosaic=0.5",), ("cls=1.0", "hsv_h=0.0")):
        again = shell("search", "own", *words)
        assert again.code == 0 and "all 5 trials have ended" in again.err, again.err
    other = shell("search", "own", "mosaic=1", "bgr=0.5")
    assert other.code == 2 and "a study must stay the same search on the same data" in other.err
    said = " ".join(other.err.split())
    assert "setting bgr (not set then, 0.5 now)" in said and "setting mosaic (0.5 then, 1.0 now)" in said


def test_the_final_training_gets_them(study, tiny_data):
    shell, _ = study
    done = shell("export", "own", "--pick", "trial:0", "-o", "best.yaml")
    assert done.code == 0 and f"python -m nas_attn train best.yaml {WORDS} --data D.yaml --epochs 300" in done.err
    text = (shell.folder / "best.yaml").read_text()
    assert f"from scratch, with {WORDS}." in text
    (command,) = re.findall(r"# Train: python -m nas_attn (train .*)", text)
    assert command == f"train THIS_FILE {WORDS} --data D.yaml --epochs 300"
    words = [{"THIS_FILE": "best.yaml", "D.yaml": str(tiny_data), "300": "2"}.get(w, w) for w in shlex.split(command)]
    done = shell(*words, "--imgsz", 64, "--batch", 4, "--device", "cpu", "workers=0", "val=False")
    assert done.code == 0, done.err
    arguments = yaml.safe_load((shell.folder / "runs/train/best-seed0/args.yaml").read_text())
    assert {name: arguments[name] for name in ALL} == ALL


def test_the_card_of_a_bundle_has_them(study):
    shell, _ = study
    made = shell("export", "own", "--pick", "trial:0", "--bundle", "bundle", "--no-onnx")
    assert made.code == 0, made.err
    folder = shell.folder / "bundle"
    card = json.loads((folder / "card.json").read_text())
    assert card["train"] == ALL and card["study"]["recipe"]["mosaic"] == 0.5
    assert f"THIS_FILE {WORDS} --data" in (folder / "best.yaml").read_text()
    assert f"Train both to compare them, with {WORDS}." in (folder / "base.yaml").read_text()
    assert shell("export", "--verify", "bundle").code == 0


def test_an_ablation_uses_them(study, tmp_path):
    from nas_attn.ablation.report.words import about
    from nas_attn.ablation.run import planned
    from nas_attn.api.ablating import ablation_request

    runs, base = study[0].folder / "runs", {"base": "p3=lska(k_size=7)"}
    plan, view = planned(ablation_request("own", base, runs=runs), tmp_path, lambda text: None)
    recipe = plan.study.evaluator.recipe.as_dict()
    assert {name: recipe[name] for name in ALL} == ALL and plan.header["config"]["train"] == ALL
    assert f"start scratch, with {WORDS}." in about(view)
    assert study[0]("ablate", "own", "--base", base["base"], "cls=1", "--plan").code == 0
    with pytest.raises(StudyChanged, match=r"an ablation must have the training settings of its search.*mosaic \(0.5"):
        na.ablate("own", runs=runs, train={"mosaic": 0.75}, **base)


def test_an_ablation_without_a_study_takes_them(tiny_data, tmp_path):
    from nas_attn.ablation.run import planned
    from nas_attn.api.ablating import ablation_request

    options = {"base": "p3=lska", "data": tiny_data, "imgsz": 64, "train": {"mosaic": 1, "fliplr": 0.25}}
    plan, _ = planned(ablation_request("new", options, runs=tmp_path), tmp_path, lambda text: None)
    assert plan.study.evaluator.recipe.mosaic == 1.0 and plan.study.evaluator.recipe.fliplr == 0.25


def test_all_mistakes_are_named_at_once(capfd, tmp_path, tiny_data, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = ("mosaic=2", "mosiac=1", "seed=3", "pose=1", "hsv_h=[", "close_mosaic=1", "lr0=0.1")
    said = refused(capfd, "search", "mine", "--data", tiny_data, "--imgsz", 65, *wrong)
    assert "7 problems" in said, said
    for words in (
        "'mosaic=2' is an invalid value", "Did you mean 'mosaic'?", "each trial has its own seed. Use --seed",
        "'hsv_h=[' is of invalid type str", "`imgsz` must be a multiple", "Write `lr0` beside `train`",
    ):  # fmt: skip
        assert words in " ".join(said.split()), words
    said = refused(capfd, "search", "--data", tiny_data, "--epochs", 3, "pose=1", "close_mosaic=3", "mixup=0.1")
    assert "2 problems" in said and "only for the task pose" in said and "3 of 3 epochs" in said
    assert "form KEY=VALUE, but got 'more'" in refused(capfd, "search", "mine", "more", "--data", tiny_data)
    assert not list(tmp_path.glob("runs/*/records.jsonl"))


def test_words_may_stand_in_place_of_a_study(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(capfd, "search", "mosaic=2", "hsv_h=3")
    assert "2 problems in study 'demo'" in said and "'mosaic=2'" in said and "'hsv_h=3'" in said


def test_python_takes_a_mapping(tiny_data, tmp_path):
    with pytest.raises(UserError, match="`epochs` must not be set for trials") as wrong:
        na.run_search("new", data=tiny_data, runs=tmp_path, train={"epochs": 3, "mosaic": 0.5}, progress=False)
    assert "Use --epochs" in str(wrong.value)
