"""Real searches by another score: the records, the identity, the exported file, and wrong scores in words."""

from __future__ import annotations

import json

import pytest

import nas_attn as na
from nas_attn.data.check import check_data
from nas_attn.data.demo import write_data

SPLITS = {"train": 12, "val": 24, "test": 4}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data.yaml whose classes have more or fewer than ten boxes in val."""
    return write_data(tmp_path_factory.mktemp("scored"), SPLITS, 64, ((14, 20), (20, 28), (30, 50)))


@pytest.fixture(scope="module")
def by_class(data, tmp_path_factory, write_study, shell_in):
    """(shell, name of the class, result) of one finished search by the AP of a class."""
    info = check_data(data)
    name = info.names[max(range(info.nc), key=lambda k: info.of_class["val"][k])]
    folder = tmp_path_factory.mktemp("search")
    write_study(folder / "tiny.yaml", data=str(data), trials=5, control_seeds=1, score=f"class:{name}")
    shell = shell_in(folder)
    return shell, name, shell("search", "tiny.yaml", "--json")


def test_every_run_records_all_scores(by_class):
    shell, name, done = by_class
    assert done.code == 0, done.err
    assert f"the objective is the box AP50-95 of {name}" in done.err
    study = na.load_study(shell.folder / "runs" / "tiny")
    assert study.score == f"class:{name}" and len(study.trials) == 5
    for trial in study.trials:
        val, test = (trial.evaluation.scores[split] for split in ("val", "test"))
        assert val["map50_95"] == trial.map50_95 and test["map50_95"] == trial.evaluation.test_map50_95
        assert val["map50"] == trial.evaluation.map50
        assert {"precision", "recall", "classes"} <= val.keys() == test.keys()
        assert sum(val["classes"].values()) / len(val["classes"]) == pytest.approx(trial.map50_95, abs=2e-5)
        assert trial.score == val["classes"][name] and trial.test_score == test["classes"].get(name)
    base = study.trials[0].evaluation
    assert base.zeroed.keys() == base.liveness.keys()
    assert all(figures["map50_95"] == base.liveness[slot] for slot, figures in base.zeroed.items())
    assert study.view.slots["zeroed"] == {slot: f["classes"][name] for slot, f in base.zeroed.items()}
    told = json.loads(done.out)
    assert told["score"] == study.score and told["trials"][0]["map50_95"] == study.trials[0].map50_95


def test_the_score_stays(by_class):
    shell, name, _ = by_class
    done = shell("search", "tiny.yaml", "--score", "recall")
    assert done.code == 2 and f"score (class:{name} then, recall now)" in done.err
    assert shell("search", "tiny.yaml", "--trials", 5).code == 0


def test_a_file_says_what_it_was_picked_by(by_class):
    shell, name, _ = by_class
    assert shell("export", "tiny", "--pick", "best", "-o", "own.yaml").code == 0
    own = (shell.folder / "own.yaml").read_text("utf-8")
    assert f"# Proxy AP50-95 of {name} on val: " in own and "mAP50-95" not in own
    done = shell("export", "tiny", "--pick", "best", "--score", "recall", "-o", "other.yaml")
    said = f"Read by recall, which was not searched for: the search was by AP50-95 of {name}."
    assert done.code == 0 and said in done.err
    other = (shell.folder / "other.yaml").read_text("utf-8")
    assert f"# {said}" in other and "# Proxy recall on val: " in other


def test_wrong_scores_are_told_before_anything_is_trained(by_class, data, tmp_path, shell_in):
    info, shell = check_data(data), shell_in(tmp_path)
    own = ("search", "new", "--data", data)
    done = shell(*own, "--score", "class:hexagon", "--imgsz", 63)
    assert done.code == 2 and f"Known: {', '.join(sorted(info.names))}" in done.err and "imgsz" in done.err
    done = shell(*own, "--score", "precision")
    assert done.code == 2 and "Known: class:NAME, map50, map50_95, recall" in done.err
    rare = write_data(tmp_path / "rare", {"train": 8, "val": 2, "test": 2}, 64, ((14, 20), (20, 28), (30, 50)))
    few = check_data(rare)
    k = min(range(few.nc), key=lambda i: few.of_class["val"][i])
    done = shell("search", "new", "--data", rare, "--score", f"class:{few.names[k]}")
    assert done.code == 2 and f"got {few.of_class['val'][k]} boxes of '{few.names[k]}'" in done.err
    assert not (tmp_path / "runs" / "new").exists()
