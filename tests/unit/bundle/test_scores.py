"""The scores on the card of a bundle: what the posterior says, beside every run."""

from __future__ import annotations

import json

import pytest
from fabricated_studies import BASE, CONV, FLAGGED, Fabricator, fabricate

from nas_attn.analysis.front import judged
from nas_attn.analysis.noise import noise_figures, noise_words
from nas_attn.analysis.posterior import posterior, verdict
from nas_attn.bundle.scores import scores
from nas_attn.study.view import StudyView


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> StudyView:
    return StudyView.read(fabricate(tmp_path_factory.mktemp("runs") / "bccd", 12).folder)


def told(study: StudyView, key: str) -> dict:
    found = scores(study, next(c for c in study.candidates() if c.key == key))
    assert json.loads(json.dumps(found)) == found
    return found


def test_the_difference_is_that_of_the_posterior(study):
    found = posterior(study)
    conv = next(c for c in study.candidates() if c.key == CONV)
    d, card = found.differences[found.index(conv)], told(study, CONV)
    assert card["difference_to_base"] == {
        "mean": d.mean, "interval_95": [d.low, d.high], "p_better": d.above, "seeds": 3
    }  # fmt: skip
    assert card["verdict"] == verdict(conv, found) and card["seed_noise"] == noise_words(study)
    judgement = {k: v for k, v in judged(study, conv).items() if k != "verdict"}
    assert card["posterior"] == {**judgement, **noise_figures(study)}
    assert card["posterior"]["run_sd"] > 0 and card["posterior"]["map50_95"] == pytest.approx(card["mean"], abs=0.02)


def test_every_run_stands_beside_the_base_with_its_seed(study):
    card, base = told(study, CONV), told(study, BASE)
    scored = {t["seed"]: t["map50_95"] for t in base["trials"]}
    assert [t["seed"] for t in card["trials"]] == [0, 1, 2]
    for trial in card["trials"]:
        assert trial["base_map50_95"] == scored[trial["seed"]]


def test_the_base_is_not_compared_with_itself(study):
    card = told(study, BASE)
    assert card["verdict"] == "the base itself"
    assert card["difference_to_base"] == {"mean": None, "interval_95": None, "p_better": None, "seeds": 3}
    assert card["posterior"]["p_front"] == 1


def test_without_a_judgement_the_figures_are_empty(study, tmp_path):
    nothing = {"mean": None, "interval_95": None, "p_better": None}
    flagged = told(study, FLAGGED)
    assert flagged["difference_to_base"] == {**nothing, "seeds": 0} and flagged["verdict"] is None
    writer = Fabricator(tmp_path)
    writer.complete(CONV, 0.3)
    alone = told(StudyView.read(tmp_path), CONV)
    assert alone["difference_to_base"] == {**nothing, "seeds": 1} and alone["posterior"]["map50_95"] == 0.3
    assert alone["posterior"]["run_sd"] is None and "Nothing can be said" in alone["seed_noise"]
