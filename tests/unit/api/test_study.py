"""A study in Python, from an untrained search to an exported YAML."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import yaml

import nas_attn as na
from nas_attn.analysis.front import judged
from nas_attn.errors import StudyChanged, UnknownName, UserError

EVALUATOR = na.SyntheticEvaluator(seed_sd=0.01, test=True)
SMALL: dict[str, Any] = {
    "model": "yolo11n.yaml",
    "width": 0.0625,
    "imgsz": 64,
    "final_imgsz": 320,
    "modules": {"acmix": {"head": [2], "kernel_att": [3, 5]}, "conv": None, "lska": {"k_size": [7, 23]}},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def study(runs) -> na.Study:
    return na.run_search(
        "dry", runs=runs, trials=14, evaluator=EVALUATOR, engine=na.InlineEngine(), progress=False, **SMALL
    )


def test_a_search_returns_what_load_study_reads(study, runs):
    read = na.load_study("dry", runs=runs)
    assert read.front() == study.front() and read.name == "dry" and read.folder == runs / "dry"
    assert len(read.trials) == 14 and read.trial(3).number == 3 and study.base == read.base
    assert json.loads(json.dumps(read.as_dict()))["trials"][5]["number"] == 5


def test_progress_is_told_and_can_be_silenced(runs, capsys):
    class Heard(na.Silent):
        def __init__(self):
            self.steps, self.ended = [], []

        def preparing(self, what):
            self.steps.append(what)

        def finished(self, view, trial):
            self.ended.append(trial.number)

    given = {"runs": runs, "evaluator": EVALUATOR, **SMALL}
    na.run_search("quiet", trials=3, engine=na.InlineEngine(), progress=False, **given)
    assert capsys.readouterr() == ("", "")
    heard = Heard()
    na.run_search("quiet", trials=4, engine=na.InlineEngine(), observer=heard, **given)
    assert heard.ended == [3] and "counting cost" in heard.steps and capsys.readouterr() == ("", "")
    na.run_search("quiet", trials=5, engine=na.InlineEngine(), **given)
    out, err = capsys.readouterr()
    assert out == "" and "continuing after 4 of 5 trials" in err and "   4  " in err


def test_a_pick_is_one_candidate_however_it_is_named(study):
    best = study.pick("best")
    assert best == study.pick(best) == study.pick(best.key) == study.pick(best.architecture)
    number = best.trials[0].number
    assert study.pick(f"trial:{number}") == best
    assert study.pick("best", max_gmacs=min(c.gmacs for c in study.front())) == study.front()[0]
    whole = [c for c in study.candidates() if c.state == "usable"]
    attended = [c for c in whole if {"acmix", "lska"} & {g.module for _, g in c.architecture}]
    assert study.pick("best", attention=True) == max(attended, key=lambda c: judged(study.view, c)["map50_95"])
    assert study.pick("trial:0", attention=True).architecture.is_base  # said by its number
    with pytest.raises(UnknownName, match="knee"):
        study.pick("kneee")
    with pytest.raises(UserError, match="must be a candidate of the study"):
        study.pick("p3=se")
    with pytest.raises(UserError, match="must be a candidate of the study"):
        study.pick(best.key, max_gmacs=0.0)


def test_a_study_judges_any_architecture_of_its_space(study):
    best = study.pick("best")
    found = study.difference(best.architecture)
    assert found == study.difference(best.key) and found.low < found.mean < found.high and 0 <= found.above <= 1
    new = na.Architecture.parse("p3=lska(k_size=23) p4=acmix(head=2,kernel_att=5) p5=lska(k_size=7)")
    assert new not in {c.architecture for c in study.candidates()}
    assert study.difference(new).high > study.difference(new).low
    with pytest.raises(UserError, match="must be in the search space"):
        study.difference("p3=se")
    begun = replace(study, view=replace(study.view, trials=study.view.trials[:2]))  # the base alone
    with pytest.raises(UserError, match=r"must have results.*fewer than two architectures"):
        begun.difference(new)


def test_picks_and_noise_are_plain_data_too(study):
    picks = study.picks()
    assert [p.rule for p in picks] == ["best", "knee", "simplest"]
    for picked, record in zip(picks, picks.records, strict=True):
        assert study.pick(picked.rule) == picked.candidate and record["pick"] == picked.rule
        assert record["architecture"] == picked.candidate.key and record["p_right"] == picked.right
        base = picked.candidate.architecture.is_base
        assert 0 <= picked.right <= 1 and record["delta"] == (None if base else picked.difference.mean)
    told = json.loads(json.dumps(study.as_dict()))
    assert told["picks"] == json.loads(json.dumps(picks.records)) and told["noise"]["run_sd"] == study.noise().run.mean
    assert [r["architecture"] for r in told["front"]] == [c.key for c in study.front()]
    figures = {"map50_95", "mean", "delta", "delta_low", "delta_high", "p_better", "p_front", "verdict", "gmacs"}
    assert figures <= set(told["front"][0])


def test_values_show_themselves(study):
    text = repr(study)
    assert "dry" in text and "14 of 14 trials" in text and "GMACs" in text and len(text) < 6000
    assert study.pick("best").key in repr(study.pick("best")) and len(repr(study.trials[0])) < 200
    assert str(study.noise()) in text.replace("\n", " ") or study.noise() is not None
    assert "<table>" in study._repr_html_() and "<table>" in study.front()._repr_html_()
    assert [s.slot for s in study.slots()] == ["p3", "p4", "p5"] and all(s.state == "live" for s in study.slots())
    assert {c.slot for c in study.effects()} == {"p3", "p4", "p5"}
    assert len(study.effects().plot().data) and len(study.plot().data)
    assert study.frame().shape[0] == 14


def test_a_candidate_is_exported_and_built(study, tmp_path):
    best = study.pick("best")
    path = study.export(best, tmp_path / "best.yaml")
    assert path.read_text(encoding="utf-8") == study.yaml(best)
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["nc"] == 3
    with pytest.raises(UserError, match="must not be overwritten"):
        study.export(best, path)
    assert study.export("knee", path, force=True) == path
    with pytest.raises(UserError, match=r"\.yaml"):
        study.export(best, tmp_path / "best.txt")
    with pytest.raises(UserError, match="must not name another model"):
        study.export(best, tmp_path / "yolov8x.yaml")
    assert study.report(tmp_path / "r.html").stat().st_size > 10_000


def test_a_model_starts_from_the_weights_of_its_base(study, tmp_path):
    import torch

    from nas_attn.detector.weights.start_model import save_start

    base = study.model("trial:0")
    with torch.no_grad():
        for value in base.model.parameters():
            value.add_(0.25)
    save_start(base.model, "detect", tmp_path / "base.pt")
    best = study.pick("best")
    assert not best.architecture.is_base
    model = study.model(best, weights=tmp_path / "base.pt")
    assert type(model).__module__.startswith("ultralytics") and model.task == "detect"
    theirs, ours = base.model.state_dict().values(), model.model.state_dict().values()
    carried = [v for v in theirs if v.dim() == 4 and any(v.shape == w.shape and torch.equal(v, w) for w in ours)]
    assert len(carried) == sum(v.dim() == 4 for v in theirs) > 50
    assert "nas_attn." in str(model.model.yaml)
    with pytest.raises(UserError):
        study.model(best, weights=tmp_path / "gone.pt")


def test_a_model_trains_and_its_results_go_to_the_working_directory(study, tmp_path, monkeypatch):
    from ultralytics.utils import SETTINGS

    from nas_attn import environment

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(environment.cache_root() / "ultralytics"))
    monkeypatch.setattr(environment, "_user_config", lambda: tmp_path / "nothing")
    before = dict(SETTINGS)
    model = study.model("best")
    assert SETTINGS["runs_dir"] == str(tmp_path / "runs")  # under pytest, Ultralytics itself takes another folder
    dict.update(SETTINGS, before)
    shared = {"epochs": 1, "imgsz": 64, "batch": 8, "fraction": 0.1, "workers": 0, "plots": False, "amp": False}
    model.train(data=study.view.header["data"]["path"], device="cpu", project=str(tmp_path), **shared)
    assert (tmp_path / "train" / "weights" / "best.pt").stat().st_size > 100_000


def test_an_ablation_of_a_study(study):
    given = {"seeds": 5, "kinds": "leave-one-out", "engine": na.InlineEngine(), "progress": False}
    found = na.ablate(study, pick="best", evaluator=EVALUATOR, **given)
    assert not found.partial and found.folder.parent == study.folder / "ablations"
    table = found.table()
    assert [r.label for r in table][:2] == ["base", "full"] and "(Holm)" in repr(table)
    assert found.frame()["family"].nunique() == len(found.families()) == len(found.tables())
    assert found.summary() in repr(found).replace("\n", " ") and len(found.plot().data)
    assert [a.name for a in study.ablations()] == [found.name]
    assert found.as_dict()["rows"] and all(f.exists() for f in found.files)
    with pytest.raises(UnknownName, match="base"):
        found.table("bass")
    with pytest.raises(UnknownName, match="Did you mean 'kinds'"):
        na.ablate(study, kind="swap")  # type: ignore[call-arg]
    with pytest.raises(StudyChanged, match="evaluator as its search"):
        na.ablate(study, name="other", **given)


def test_an_architecture_without_a_study_is_ablated(runs, study):
    small = {k: v for k, v in SMALL.items() if k != "modules"}
    demo = study.view.header["data"]["path"]
    found = na.ablate(
        "own", runs=runs, base=na.Architecture.parse("p3=se"), data=demo, seeds=2, kinds=["leave-one-out"],
        evaluator=EVALUATOR, engine=na.InlineEngine(), progress=False, **small,
    )  # fmt: skip
    assert "p3=se" in found.as_dict()["full"]


def test_a_study_is_continued_with_its_own_evaluator_only(runs, study):
    with pytest.raises(StudyChanged, match="the evaluator"):
        na.run_search("dry", runs=runs, trials=15, engine=na.InlineEngine(), progress=False)
    with pytest.raises(StudyChanged, match="the evaluator"):
        na.run_search(
            "dry", runs=runs, trials=15, evaluator=na.SyntheticEvaluator(), engine=na.InlineEngine(), progress=False
        )


def test_wrong_parts_are_refused_before_a_folder_is_made(tmp_path):
    for wrong in (
        {"engine": "local"},
        {"engine": na.InlineEngine},
        {"evaluator": 3},
        {"evaluator": na.SyntheticEvaluator},
    ):
        for call in (na.run_search, na.liveness):
            with pytest.raises(na.UserError, match="For example"):
                call("x", runs=tmp_path, **wrong) if call is na.run_search else call("demo", **wrong)
    assert not list(tmp_path.iterdir())


def test_an_evaluator_of_a_notebook_reaches_worker_processes(tmp_path):
    program = """
import nas_attn as na
known = na.SyntheticEvaluator()
def evaluator(*arguments, **keywords):
    return known(*arguments, **keywords)
sizes = {"width": 0.0625, "imgsz": 64, "final_imgsz": 320}
study = na.run_search("cell", trials=2, evaluator=evaluator, model="yolo11n.yaml", **sizes)
print([t.state for t in study.trials])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "['complete', 'complete']" in done.stdout, done.stderr


def test_the_seed_decides_the_initial_weights(study):
    import torch

    def state(seed):
        return study.model("best", seed=seed).model.state_dict()

    first, again, other = state(1), state(1), state(2)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)
    with pytest.raises(UserError, match="at least 0"):
        study.model("best", seed=-1)


def test_a_candidate_of_another_study_and_another_file_are_not_taken(study, runs, tmp_path):
    other = na.run_search(
        "other", runs=runs, trials=9, seed=5, evaluator=na.SyntheticEvaluator(seed=3), engine=na.InlineEngine(),
        progress=False, **SMALL,
    )  # fmt: skip
    assert study.pick(other.pick("trial:0")) == study.pick("trial:0")
    strange = [c for c in other.candidates() if c.architecture not in {k.architecture for k in study.candidates()}]
    for candidate in strange:
        with pytest.raises(UserError, match="must be a candidate of the study"):
            study.yaml(candidate)
    (tmp_path / "best.pt").write_bytes(b"junk")
    with pytest.raises(UserError, match="must not be overwritten"):
        study.report(tmp_path / "best.pt")
    with pytest.raises(UserError):
        study.model("best", weights=tmp_path / "best.pt")
    with pytest.raises(UserError, match="folder"):
        study.report(tmp_path)
    assert len({*study.candidates(), *study.candidates()}) == len(study.candidates()) and len({study, study}) == 1


def refused(architecture, fidelity, seed, *, checkpoint=None, liveness=False):
    raise SystemExit(3)


def test_an_evaluator_may_be_a_function_and_its_mishaps_are_the_trials(runs):
    from nas_attn.errors import EvaluationFailed

    with pytest.raises(EvaluationFailed, match="SystemExit"):
        na.run_search(
            "fails", runs=runs, trials=4, evaluator=refused, engine=na.InlineEngine(), progress=False, **SMALL
        )
    read = na.load_study("fails", runs=runs)
    assert {t.state for t in read.trials} == {"failed"}
    assert read.view.header["fingerprints"]["evaluator"].endswith(".refused")
    with pytest.raises(UserError, match="train_base"):
        na.run_search("b", runs=runs, start="base", evaluator=refused, engine=na.InlineEngine(), **SMALL)
    assert not (runs / "b").exists()
