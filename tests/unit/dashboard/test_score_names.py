"""The name of the score: a study or an ablation by another score never calls what it compares mAP50-95."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from opposed_scores import OpposedScores
from rich.console import Console
from untrained_ablations import ablation_plan, run_ablation_plan
from untrained_searches import make_plan, run_plan, with_costs

import nas_attn as na
from nas_attn.ablation.report.files import csv_text, markdown
from nas_attn.ablation.report.latex import latex
from nas_attn.analysis.foresight import foresight
from nas_attn.api.ablation_progress import AblationReporter
from nas_attn.api.progress import Reporter
from nas_attn.bundle.comments import study_lines
from nas_attn.bundle.scores import scores
from nas_attn.cli.app import run
from nas_attn.dashboard.as_html import render
from nas_attn.dashboard.candidate_card import candidate_blocks
from nas_attn.dashboard.live_page import progress, study_page
from nas_attn.dashboard.report import report_html
from nas_attn.dashboard.source import load_shown
from nas_attn.evaluate.score import Score

CONFIG = {"modules": {"lska": None}, "trials": 14}
EVALUATOR = OpposedScores(effect_sd=0.02, noise_sd=0.004, test=True, planted=(("p3=lska", 0.05),))
# the liveness of slots is that of the mAP50-95, unless the score is the AP of a class
LIVENESS = r"mAP50-95 (lost|if zeroed)|zeroing it (costs|loses|raises) \S* ?mAP50-95|[Ll]oss of mAP50-95"
# the learning curves of a class show the mAP50-95, under this name: its AP is not measured at each epoch
CURVES = r"val mAP50-95|epoch %{x}: mAP50-95"


class Heard(Reporter):
    """The progress of a search, as text without a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.written = io.StringIO()
        self.console = Console(file=self.written, width=200)

    @property
    def text(self) -> str:
        return self.written.getvalue()


class HeardAblation(AblationReporter, Heard):  # type: ignore[misc]
    """The progress of an ablation, as text."""


@pytest.fixture(scope="module", params=["recall", "class:a", "map50"])
def found(request, tmp_path_factory):
    """(score, run folder, progress of its search)"""
    heard, folder = Heard(), tmp_path_factory.mktemp("runs") / "mine"
    plan = with_costs(make_plan(EVALUATOR, score=request.param, name="mine", **CONFIG))
    words = Score(request.param).words
    plan.header.update(data={"words": "two images"}, task="detect", notes=[], objective=f"box {words}")
    run_plan(plan, folder, observer=heard)
    return request.param, folder, heard


def texts(folder: Path, heard: Heard) -> dict[str, str]:
    """Everything that is said about the study, by place."""
    study = na.load_study(folder)
    view, best = study.view, study.pick("best")
    candidate = next(c for c in view.candidates() if "p3=lska" in c.key and c.mean is not None)
    return {
        "progress": heard.text,
        "foresight": foresight(view.header["config"], 14, view).words() + foresight(view.header["config"], 14).words(),
        "study": repr(study),
        "answer": study.answer(),
        "trial and candidate": f"{study.trials[0]} {best}",
        "lists": "\n".join(map(repr, (study.front(), study.picks(), study.modules(), study.slots(), study.effects()))),
        "effects": study.effects().conclusion,
        "figures": "".join(f.to_json() for f in (study.plot(), study.effects().plot())),
        "noise": repr(study.noise()) + (noise.sentence() if (noise := study.noise()) else ""),
        "difference": repr(study.difference(candidate.architecture)),
        "report": without_plotly(report_html(load_shown(folder), None)),
        "live": f"{study_page('mine', view.score)} {progress(view)}",
        "candidate": render(*candidate_blocks(view, candidate, None)),
        "export": "\n".join(study_lines(view, candidate)),
        "card": json.dumps(scores(view, candidate)),
    }


def without_plotly(page: str) -> str:
    """A page without the code of plotly and its templates."""
    return "".join(part for part in re.split(r"(?s)(<script.*?</script>)", page) if "plotly.js v" not in part[:400])


def test_every_place_names_the_score(found):
    score, folder, heard = found
    words = na.load_study(folder).view.score.words
    for place, text in texts(folder, heard).items():
        kept = re.sub(CURVES if score == "class:a" else LIVENESS, "", text)
        wrong = [kept[max(0, m.start() - 60) : m.end() + 60] for m in re.finditer("mAP50-95", kept)]
        assert not wrong, f"{place}: {wrong}"
        assert words in text or place in ("answer", "effects"), place  # they may name no score, as in other studies


def test_the_json_has_the_score_and_the_map(found):
    score, folder, _ = found
    told = na.load_study(folder).as_dict()
    assert told["score"] == score and told["not_searched_for"] is False
    trial = told["trials"][0]
    assert trial["score"] is not None and trial["map50_95"] is not None
    assert (trial["score"] == trial["map50_95"]) == (score == "class:a"), "class a follows the mAP50-95 here"
    assert {"score", "map50_95"} <= told["front"][0].keys()
    assert na.load_study(folder).frame()["score"].iloc[0] == trial["score"]


def test_reading_by_another_score_says_that_it_was_not_searched_for(found, tmp_path, capsys):
    _, folder, _ = found
    other = "map50_95"
    read = na.load_study(folder, score=other)
    own = na.load_study(folder).view.score.words
    said = f"Read by mAP50-95, which was not searched for: the search was by {own}."
    assert read.answer().startswith(said) and read.as_dict()["not_searched_for"] is True
    candidate = read.pick("best")
    assert said in study_lines(read.view, candidate)
    assert scores(read.view, candidate)["metric"] == "mAP50-95 of detect, on val, not searched for"
    page = tmp_path / "report.html"
    assert run(["report", str(folder), "--score", other, "-o", str(page)]) == 0
    assert said in page.read_text("utf-8") and f"mAP50-95, not searched for ({own} was)" in page.read_text("utf-8")
    assert run(["list", "--runs", str(folder.parent), "--score", other, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert listed[0]["score"] == other and listed[0]["not_searched_for"] is True
    assert run(["list", "--runs", str(folder.parent), "--score", "class:c"]) == 0
    assert "has no AP50-95 of c" in capsys.readouterr().out
    listed = na.studies(folder.parent, score=other).table
    assert dict(zip(listed.columns, listed.rows[0], strict=True))["score"] == "mAP50-95, not searched for"
    listed = na.studies(folder.parent).table
    assert dict(zip(listed.columns, listed.rows[0], strict=True))["score"] == own
    assert run(["report", str(folder), "--score", "class:c", "-o", str(page)]) == 2
    assert "Known: a, b" in capsys.readouterr().err


@pytest.mark.parametrize("score", ["recall", "class:a"])
def test_an_ablation_names_the_score_that_it_compares(score, tmp_path):
    heard = HeardAblation()
    view = run_ablation_plan(ablation_plan(tmp_path, EVALUATOR, score=score), observer=heard)
    words, key = view.score.words, view.score.key
    page = without_plotly(report_html(load_shown(tmp_path)))
    places = {"md": markdown(view), "tex": latex(view), "csv": csv_text(view), "progress": heard.text, "page": page}
    for place, text in places.items():
        kept = re.sub(LIVENESS, "", text) if score == "recall" else text
        assert "mAP50-95" not in kept and "map50_95" not in kept, place
    assert f"val {words}" in places["md"] and f"val_{key}_mean" in places["csv"] and f"{words} 0." in heard.text
    assert f"val {words}" in page and f"{words} on val (decides)" in page


def test_each_difference_knows_its_score(found):
    score, folder, _ = found
    study = na.load_study(folder)
    noise = study.noise()
    differences = [d for c in study.effects() for d in (c.effect, c.lead) if d is not None]
    assert differences and all(d.score.name == score for d in (*differences, noise.run, noise.spread))
