"""Studies by another score: what they search, what they read, and what belongs to their identity."""

from __future__ import annotations

from dataclasses import replace

import pytest
from opposed_scores import OpposedScores
from untrained_searches import make_plan, run_plan, with_costs

from nas_attn.analysis.front import judged, pick
from nas_attn.analysis.posterior import BETTER, WORSE, posterior, verdict
from nas_attn.errors import ConfigError, StudyChanged, UnknownName, UserError
from nas_attn.evaluate import Evaluation
from nas_attn.evaluate.score import MAP, Score
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.config import StudyConfig
from nas_attn.study.evidence import evidence_of
from nas_attn.study.identity import check_unchanged
from nas_attn.study.records import RecordLog
from nas_attn.study.view import StudyView

# lska raises the mAP50-95 by far more than the noise, so it lowers the recall by as much
EVALUATOR = OpposedScores(effect_sd=0.0, noise_sd=0.002, planted=(("p3=lska", 0.1),), test=True)
CONFIG = {"modules": {"lska": None, "acmix": None}, "first": ["p3=lska", "p3=acmix"]}


def searched(path, evaluator=EVALUATOR, **config) -> StudyView:
    plan = with_costs(make_plan(evaluator, **{**CONFIG, "trials": 14, **config}))
    plan.header["data"] = {"val_boxes": {"a": 12, "b": 9}}
    return run_plan(plan, path)


@pytest.fixture(scope="module")
def by_recall(tmp_path_factory) -> StudyView:
    return searched(tmp_path_factory.mktemp("recall"), score="recall")


@pytest.fixture(scope="module")
def by_map(tmp_path_factory) -> StudyView:
    return searched(tmp_path_factory.mktemp("map"), early_stop="off")


def of_lska(view: StudyView):
    return next(c for c in view.candidates() if "p3=lska" in c.key and c.mean is not None)


def test_everything_follows_the_score(by_recall, by_map):
    for view, sign, said in ((by_map, 1, BETTER), (by_recall, -1, WORSE)):
        found, candidate = posterior(view), of_lska(view)
        assert found.difference(candidate.architecture).mean == pytest.approx(0.1 * sign, abs=0.01)
        assert verdict(candidate, found) == said
    assert of_lska(by_recall).mean == pytest.approx(0.4, abs=0.01), "0.9 - (0.4 + 0.1)"
    assert by_recall.reference == pytest.approx(0.5, abs=0.01)
    assert "p3=lska" not in pick(by_recall, "best").candidate.key
    assert "p3=lska" in pick(by_map, "best").candidate.key


def test_a_judgement_has_the_score_and_the_map_beside_it(by_recall, by_map):
    told = judged(by_recall, of_lska(by_recall))
    assert told["score"] == pytest.approx(0.4, abs=0.01) and told["map50_95"] == pytest.approx(0.5, abs=0.01)
    assert told["delta"] < 0
    told = judged(by_map, of_lska(by_map))
    assert told["score"] == told["map50_95"] == pytest.approx(0.5, abs=0.01)


def test_early_stops_aim_at_the_front_of_the_score(tmp_path):
    """A low loss foretells a high mAP50-95, so here it foretells nothing good of the recall."""

    def stopped(score: str) -> list[str]:
        view = searched(tmp_path / score, score=score, trials=40, epochs=12)
        return [str(t.architecture) for t in view.trials if t.state == "stopped"]

    by_map, by_recall = stopped("map50_95"), stopped("recall")
    assert by_map and not any("p3=lska" in text for text in by_map)
    assert not by_recall, "the winners of the recall have the highest loss: a rule on the mAP50-95 would stop them"


def test_another_score_reads_the_same_trials(by_recall, by_map):
    read = by_map.read_by("recall")
    assert read.score == Score("recall") and read.searched_by == MAP
    assert read.caution == "Read by recall, which was not searched for: the search was by mAP50-95."
    assert [t.number for t in read.trials] == [t.number for t in by_map.trials]
    assert posterior(read).difference(of_lska(read).architecture).mean == pytest.approx(-0.1, abs=0.01)
    assert read.read_by(None) == by_map and read.read_by("map50_95") == by_map and not by_map.caution
    assert by_recall.read_by("class:a").caution.endswith("the search was by recall.")
    assert posterior(by_map) is not posterior(read), "no mixing in the cache"


def test_what_cannot_be_read_is_refused(by_map):
    with pytest.raises(UnknownName, match="Known: a, b"):
        by_map.read_by("class:c")
    with pytest.raises(UserError, match="got 9 boxes of 'b'"):
        by_map.read_by("class:b")
    with pytest.raises(UnknownName, match="recall"):
        by_map.read_by("recal")


def without_figures(view: StudyView, keep: int = 0) -> StudyView:
    """The study as an earlier release would have recorded it, but for some of its first trials."""

    def old(evaluation: Evaluation | None) -> Evaluation | None:
        return evaluation and replace(evaluation, scores={}, zeroed=None)

    trials = [t if i < keep else replace(t, evaluation=old(t.evaluation)) for i, t in enumerate(view.trials)]
    return replace(view, trials=tuple(trials))


def test_runs_of_earlier_releases_say_that_they_did_not_record_it(by_map):
    old = without_figures(by_map)
    with pytest.raises(UserError, match="recall, which no run recorded"):
        old.read_by("recall")
    assert old.read_by("map50").score == Score("map50"), "they recorded it on val"
    some = without_figures(by_map, keep=4).read_by("recall")
    left = [t for t in some.trials if t.usable]
    assert [t.number for t in left] == [0, 1, 2, 3]
    missing = sum(t.state == "complete" for t in some.trials) - 4
    assert f"not recorded by {missing} trials" in some.caution
    assert some.trials[-1].flags == ("recall not recorded",)


def test_a_class_decides_on_the_liveness_of_slots(tmp_path):
    whole = searched(tmp_path / "map", trials=6)
    assert whole.slots["live"] == ["p3", "p4", "p5"] and whole.slots["intact"] == pytest.approx(0.4, abs=0.01)
    found = searched(tmp_path / "b", score="class:b", trials=6)
    assert found.slots["live"] == found.slots["searched"] == ["p5"]
    assert found.slots["intact"] == pytest.approx(0.5, abs=0.01) and found.slots["zeroed"]["p5"] == 0.01
    recall = searched(tmp_path / "recall", score="recall", trials=6)
    assert recall.slots["drop"] == whole.slots["drop"], "the recall of a detector without a slot tells nothing"


def test_an_evaluator_without_the_score_fails_with_its_name(tmp_path):
    with pytest.raises(Exception, match="its evaluation has no AP50-95 of a, the score of the study"):
        searched(tmp_path, SyntheticEvaluator(), score="class:a")


def test_the_score_is_a_part_of_the_identity(by_map, by_recall):
    with pytest.raises(StudyChanged, match=r"score \(map50_95 then, recall now\)"):
        check_unchanged(by_map.header, {**by_map.header, "config": by_recall.header["config"]})
    config = {k: v for k, v in by_map.header["config"].items() if k != "score"}
    earlier = {**by_map.header, "config": config}
    check_unchanged(earlier, by_map.header)
    assert StudyView.of(by_map.folder, [{"kind": "study", **earlier}]).score == MAP


def test_a_stopped_search_continues_by_its_score(tmp_path, by_recall):
    searched(tmp_path, score="recall", trials=7)
    again = searched(tmp_path, score="recall", trials=14)
    assert [(t.architecture, t.seed, t.score) for t in again.trials] == [
        (t.architecture, t.seed, t.score) for t in by_recall.trials
    ]
    assert StudyView.read(tmp_path).score == again.score == Score("recall")


def test_evidence_counts_if_it_recorded_the_score(by_map):
    plan = with_costs(make_plan(EVALUATOR, **CONFIG, score="recall"))
    empty = StudyView.empty(by_map.folder)
    found = evidence_of(by_map, plan, empty)
    assert (
        len(found.trials) == sum(t.usable or t.stopped is not None for t in by_map.trials) and "score" in found.differs
    )
    assert all(t.score == Score("recall").of(t.evaluation) for t in found.trials if t.usable)
    old = evidence_of(without_figures(by_map), plan, empty)
    assert old.left_out["recall not recorded"] == sum(t.usable for t in by_map.trials)


def test_a_wrong_score_is_reported_with_the_other_mistakes():
    with pytest.raises(ConfigError) as error:
        StudyConfig.of({"score": "precision", "sampler": "tpx"}, where={"score": "mine.yaml", "sampler": "--sampler"})
    text = str(error.value)
    assert "the score must be a known one" in text and "mine.yaml" in text and "tpx" in text and "data" in text


def test_the_default_records_name_no_other_score(by_map):
    header = next(RecordLog(by_map.folder).read())
    assert header["config"]["score"] == "map50_95"
    assert all(t.score == t.map50_95 and t.test_score == t.evaluation.test_map50_95 for t in by_map.trials if t.usable)
