"""The score as a value: its grammar, its words, and its figure in an evaluation of this and of earlier releases."""

from __future__ import annotations

import pytest
from opposed_scores import OpposedScores

from nas_attn.errors import UnknownName, UserError
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.evaluate.score import MAP, NAMES, WORDS, Score
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import Architecture
from nas_attn.study.record_kinds import KINDS

NONE = Architecture.parse("p3=none p4=none p5=none")
FIDELITY = Fidelity(5, 128)


@pytest.mark.parametrize("name", [*WORDS, "class:car", "class:traffic light", "class:a:b"])
def test_a_score_is_its_name(name):
    score = Score.parse(name)
    assert score.name == name and Score(name) == score and " " not in score.key
    assert len({Score(n).words for n in (*WORDS, name)}) == len({*WORDS, name})


@pytest.mark.parametrize("text", ["", "map", "mAP50-95", "class", "class:", "Recall"])
def test_another_name_is_refused_with_all_that_exist(text):
    with pytest.raises(UnknownName) as error:
        Score.parse(text)
    assert all(name in str(error.value) for name in NAMES)


def test_the_words_name_what_is_compared():
    assert [Score(n).words for n in WORDS] == ["mAP50-95", "mAP50", "recall"]
    score = Score("class:traffic light")
    assert score.class_name == "traffic light" and score.words == "AP50-95 of traffic light"
    assert score.key == "ap50_95_of_traffic_light"


def test_each_score_reads_its_own_figure():
    found = OpposedScores(noise_sd=0.0, test=True)(NONE, FIDELITY, 0, liveness=True)
    found = Evaluation.from_dict(found.as_dict())
    assert found.map50_95 == 0.4 == found.test_map50_95
    expected = {"map50_95": 0.4, "map50": 0.6, "recall": 0.5, "class:a": 0.4, "class:b": 0.5}
    assert {n: Score(n).of(found) for n in expected} == pytest.approx(expected)
    assert Score("map50").of(found, "test") == pytest.approx(0.48), "of test, it stands among the figures"
    assert Score("class:c").of(found) is None
    assert MAP.zeroed(found, ("p4", "p3")) == {"p4": 0.2, "p3": 0.2}
    assert Score("class:b").zeroed(found, ("p5", "p3")) == {"p5": 0.01, "p3": 0.5}
    assert Score("class:b").zeroed(found, ("p3", "td.p4")) is None and Score("class:c").zeroed(found, ("p3",)) is None


def test_liveness_is_measured_by_the_ap_of_the_same_objects():
    assert all(Score(name).of_a_slot == MAP for name in WORDS)
    assert Score("class:a").of_a_slot == Score("class:a")


def test_an_evaluation_of_an_earlier_release_has_the_two_maps_only():
    whole = SyntheticEvaluator(test=True)(NONE, FIDELITY, 0).as_dict()
    del whole["scores"], whole["zeroed"]
    found = Evaluation.from_dict(whole)
    told = {name: (Score(name).of(found), Score(name).of(found, "test")) for name in (*WORDS, "class:a")}
    assert told["map50_95"] == (found.map50_95, found.test_map50_95) and told["map50"] == (found.map50, None)
    assert told["recall"] == told["class:a"] == (None, None)


def test_records_keep_the_figures_and_refuse_wrong_ones():
    found = OpposedScores()(NONE, FIDELITY, 0, liveness=True).as_dict()
    record = {"kind": "finished", "number": 0, "state": "complete", "evaluation": found}
    KINDS["finished"].model_validate(record)
    wrong = {**found, "scores": {"val": {"recall": "high"}}}
    with pytest.raises(ValueError, match="recall"):
        KINDS["finished"].model_validate({**record, "evaluation": wrong})


def test_a_class_must_exist_and_have_boxes():
    score, classes = Score("class:cat"), ("car", "cat", "dog")
    score.check_class(classes, {"cat": 10})
    score.check_class(classes, None)
    with pytest.raises(UserError, match=r"at least 10 boxes in val.*got 9 boxes of 'cat'"):
        score.check_class(classes, {"cat": 9})
    with pytest.raises(UnknownName, match=r"Did you mean 'cat'\? Known: car, cat, dog"):
        Score("class:cats").check_class(classes, {})
    with pytest.raises(UserError, match="several 'cat'"):
        score.check_class(("cat", "cat"), {})
    Score("recall").check_class((), {})
