"""The runs of trackers: what a trial and a study become, against the records of a search without training."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from untrained_searches import make_plan, run_plan, with_costs

from nas_attn.analysis.front import judged, pick
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import NONE
from nas_attn.tracking.runs import ended, offered, shortened, study_key, study_run, trial_id, trial_run, verdicts

FAILING = "p3=lska(k_size=23) p4=none p5=none"


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    known = {"effect_sd": 0.002, "noise_sd": 0.002, "planted": (("p4=acmix", 0.15),)}
    evaluator = SyntheticEvaluator(test=True, fail_on=(FAILING,), **known)
    plan = with_costs(make_plan(evaluator, trials=16, first=[FAILING, "p4=acmix"], early_stop="off"))
    return run_plan(plan, tmp_path_factory.mktemp("runs"))


def test_a_trial_is_told_as_it_is_recorded(view):
    said = verdicts(view)
    assert len(ended(view)) == 16 == view.counted
    for trial in ended(view):
        run = trial_run(view, trial, said)
        assert run.id == run.key == trial_id(trial) == f"trial-{trial.number:04d}"
        assert run.failed == (trial.state == "failed") == (str(trial.architecture) == FAILING)
        genes = [f"{slot}={gene}" for slot, gene in trial.architecture if gene != NONE]
        assert run.group == run.settings["architecture"] == (" ".join(genes) or "the base")
        assert {k: v for k, v in run.settings.items() if k.startswith("slot_")} == {
            f"slot_{slot}": str(gene) for slot, gene in trial.architecture if gene != NONE
        }
        assert (run.settings["seed"], run.settings["trial"]) == (trial.seed, trial.number)
        assert {k: run.figures[k] for k in trial.cost} == trial.cost
        if trial.evaluation is None:
            assert run.labels["reason"] == trial.reason and run.rows == ()
            continue
        assert [step for step, _ in run.rows] == [row["epoch"] for row in trial.evaluation.curve]
        for (_, values), row in zip(run.rows, trial.evaluation.curve, strict=True):
            assert {**values, "epoch": 0} == {**values, **row, "epoch": 0}, "nothing of the curve is lost"
        scores = {"map50_95": trial.evaluation.map50_95, "map50": trial.evaluation.map50}
        assert scores.items() <= run.rows[-1][1].items()
        assert run.figures["test_map50_95"] == trial.evaluation.test_map50_95


def test_the_verdict_is_that_of_the_study(view):
    for candidate in view.candidates():
        wanted = "" if candidate.architecture.is_base else judged(view, candidate)["verdict"] or ""
        for trial in candidate.trials:
            assert trial_run(view, trial, verdicts(view)).labels.get("verdict", "") == wanted
    assert "better than base" in set(verdicts(view).values()), "what was planted is seen"


def test_what_is_no_number_is_left_out(view):
    trial = next(t for t in ended(view) if t.evaluation is not None)
    curve = ({"epoch": 1, "loss": math.nan, "lr": None}, {"epoch": 3, "loss": 1.5, "map50": math.inf})
    odd = replace(trial, evaluation=replace(trial.evaluation, curve=curve, map50_95=0.25, map50=0.5))
    assert trial_run(view, odd, {}).rows == ((1, {}), (3, {"loss": 1.5, "map50_95": 0.25, "map50": 0.5}))
    bare = replace(trial, evaluation=replace(trial.evaluation, curve=(), map50_95=0.25, map50=0.5, epochs=7))
    assert trial_run(view, bare, {}).rows == ((7, {"map50_95": 0.25, "map50": 0.5}),)


def test_the_run_of_the_study_has_its_figures_and_its_pick(view):
    run = study_run(view)
    chosen = offered(view)
    assert run.key == study_key(view) == "study-0016" and run.id == "study"
    ((step, figures),) = run.rows
    assert step == 16 and (figures["complete_trials"], figures["failed_trials"]) == (15, 1)
    assert figures["base_map50_95"] == view.reference
    assert chosen is not None and not chosen.candidate.architecture.is_base
    assert figures["pick_map50_95"] == judged(view, chosen.candidate)["map50_95"]
    assert figures["pick_gmacs"] == chosen.candidate.gmacs
    assert "acmix" in run.labels["pick"] and run.labels["verdict"] == "better than base"
    assert run.labels["answer"] in run.texts["study.md"] and "| best |" in run.texts["study.md"]
    assert "plotly" in run.texts["front.html"]
    # the base of this plan is a fake: the reason stands where the YAML would be
    assert "pick.yaml" not in run.texts and "The YAML of the pick could not be made:" in run.texts["study.md"]


def test_the_pick_is_the_one_that_the_command_offers(tmp_path):
    harmful = SyntheticEvaluator(noise_sd=0.001, effect_sd=0.0, planted=tuple((f"p{i}=lska", -0.1) for i in (3, 4, 5)))
    view = run_plan(make_plan(harmful, trials=12, modules={"lska": None}), tmp_path)
    assert pick(view, "simplest").candidate.architecture.is_base
    assert (found := offered(view)) is not None and found.rule == "best"


def test_a_study_without_results_has_no_pick(tmp_path):
    view = run_plan(make_plan(trials=1), tmp_path)
    nothing = replace(view, trials=())
    assert offered(nothing) is None and "there is no pick" in study_run(nothing).texts["study.md"]


def test_a_long_name_is_cut_and_stays_its_own():
    long = "p3=lska(k_size=23) " * 20
    assert len(shortened(long, 128)) == len(shortened(f"{long}p5=se", 128)) == 128
    assert shortened(long, 128) != shortened(f"{long}p5=se", 128) and shortened(long, 400) == long
