"""Ablations in the report and on the live page: figure, tables, trials; partial, dead, hostile, without a study."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fabricated_studies import HOSTILE, fabricate
from untrained_ablations import FULL, Stopped, StoppingEngine, ablated, ablation_plan, run_ablation_plan

from nas_attn.ablation.decide import BETTER, DEAD, UNTESTED, WAITING, WORSE
from nas_attn.ablation.report.forest_figure import STYLES, forest_figure, forest_numbers
from nas_attn.ablation.report.trials import trials_table
from nas_attn.ablation.report.words import summary
from nas_attn.ablation.view import AblationView, load_ablations
from nas_attn.analysis.tables import Table, front_table
from nas_attn.cli.app import run
from nas_attn.dashboard import as_html
from nas_attn.dashboard.ablation_card import AblationCard, whole_card
from nas_attn.dashboard.blocks import table, text
from nas_attn.dashboard.candidate_card import settings as settings_of
from nas_attn.dashboard.report import report_html
from nas_attn.dashboard.source import LiveAblations, Shown, load_shown
from nas_attn.errors import UserError
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.records import RecordLog
from nas_attn.study.view import StudyView

__all__ = ["ablated"]
ACMIX, LSKA = "p3=acmix(head=4,kernel_att=7)", "p4=lska(k_size=23)"
QUIET = {"effect_sd": 0.0, "noise_sd": 0.002, "seed_sd": 0.02}
PLANTED = {**QUIET, "planted": ((ACMIX, -0.03), (LSKA, 0.02)), "test": True}
THREE = f"{ACMIX} {LSKA} p5=lska(k_size=23)"


def evaluator(**more) -> SyntheticEvaluator:
    return SyntheticEvaluator(**{**PLANTED, **more})


def stopped(folder: Path, after: int, **more) -> AblationView:
    """An ablation whose process ended after some trials; one more is running."""
    plan = ablation_plan(folder, evaluator(), seeds=6, **more)
    with pytest.raises(Stopped):
        run_ablation_plan(plan, StoppingEngine(after))
    return AblationView.read(folder)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> AblationView:
    """An ablation with better and worse arms, a dead slot and a failed arm."""
    fails = f"p3=none {LSKA} p5=lska(k_size=23)"
    folder = tmp_path_factory.mktemp("runs") / "x" / "ablations" / "ablation"
    found = evaluator(dead=("p5",), fail_on=(fails,))
    return run_ablation_plan(ablation_plan(folder, found, full=THREE, seeds=6))


def card_html(view: AblationView) -> str:
    return as_html.render(whole_card(AblationCard(view), 0))


def rows_of(text: str, mark: str) -> list[str]:
    return re.findall(rf'<tr {mark}="([^"]*)"', text)


def traces(figure, verdict: str) -> list:
    return [t for t in figure.data if t.name == verdict]


# the figure


def test_forest_numbers_are_those_of_the_table(full):
    numbers = forest_numbers(full)
    found = {line.label: line for line in numbers.lines}
    assert [d.contrast.label for d in full.decisions if d.contrast.family == "base"] == list(found)
    assert found["p3 alone"].verdict == WORSE and found["p4 alone"].verdict == BETTER
    assert found["p5 alone"].verdict == DEAD and found["p5 alone"].result is None and not found["p5 alone"].trials
    assert found["without p3"].verdict == UNTESTED and "failed" in found["without p3"].remarks[0]
    assert found["p3 alone"].cost == {"gmacs": 3.0, "params_m": 2.6}
    assert numbers.has_test and numbers.difference == 0.01 and not numbers.partial
    base, arm = full.design.base_of(None), full.design.arm("p3 alone")
    expected = {full.trial(a, i).number for a in (base, arm) for i in range(6)}
    assert set(found["p3 alone"].trials) == expected


def test_every_verdict_has_its_own_look():
    assert len({color_shape[:2] for color_shape in STYLES.values()}) == len(STYLES)


def test_forest_draws_val_and_test_on_one_scale(full):
    numbers = forest_numbers(full)
    figure = forest_figure(numbers)
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range
    low, high = figure.layout.xaxis.range
    for line in numbers.lines:
        assert line.result is None or low < line.result.low < line.result.high < high
    val, test = traces(figure, WORSE)
    lines = [(i, line) for i, line in enumerate(numbers.lines) if line.verdict == WORSE]
    assert list(val.x) == [line.result.mean for _, line in lines] and list(val.y) == [i for i, _ in lines]
    assert list(test.x) == [line.test_result.mean for _, line in lines]
    assert val.error_x.arrayminus[0] == pytest.approx(lines[0][1].result.mean - lines[0][1].result.low)
    assert [d[0] for d in val.customdata] == [line.key for _, line in lines]
    assert val.showlegend and not test.showlegend
    bands = [(s.x0, s.x1) for s in figure.layout.shapes if s.type == "rect"]
    assert bands == [(-0.01, 0.01)] * 2


def test_what_has_no_figure_stands_in_the_gutter_and_not_at_zero(full):
    figure = forest_figure(forest_numbers(full))
    (dead,) = traces(figure, DEAD)
    assert dead.xaxis == "x9" and dead.showlegend and "dead" in dead.text[0]
    assert "slot p5 is dead" in dead.hovertext[0]


@pytest.mark.parametrize("kinds", [("add-one-in",), ("swap", "sweep", "placement", "leave-one-out", "add-one-in")])
def test_forest_from_few_lines_to_many(ablated, kinds):
    view = ablated(evaluator(), full=THREE, kinds=kinds, seeds=3)
    numbers = forest_numbers(view)
    figure = forest_figure(numbers)
    assert len(figure.layout.yaxis.ticktext) == len(numbers.lines)
    assert figure.layout.height / len(numbers.lines) >= 24
    assert all(len(line) <= 60 for text in figure.layout.yaxis.ticktext for line in text.split("<br>"))


def test_a_dead_slot_that_was_trained_is_drawn_as_dead(ablated):
    view = ablated(evaluator(dead=("p4",)), seeds=6, dead_slots="keep")
    line = next(x for x in forest_numbers(view).lines if x.label == "without p3")
    assert line.verdict == DEAD and line.result is not None
    assert [t.xaxis for t in traces(forest_figure(forest_numbers(view)), DEAD)] == ["x", "x2"]


def test_partial_ablations_wait(tmp_path):
    view = stopped(tmp_path, 13)
    numbers = forest_numbers(view)
    assert numbers.partial and {line.verdict for line in numbers.lines} == {WAITING}
    figure = forest_figure(numbers)
    assert all("PARTIAL" in axis.title.text for axis in (figure.layout.xaxis, figure.layout.xaxis2))
    # three seeds' intervals are shown whole, those of two may run out of the panel
    assert figure.layout.xaxis.range[1] - figure.layout.xaxis.range[0] < 0.2


# the report's card


def test_card_says_what_the_tables_say(full):
    card = card_html(full)
    assert as_html.render(text(summary(full), "answer")) in card
    assert "PARTIAL" not in card
    assert (
        "Holm-corrected for" in card
        and "Each arm compared with the base" in card
        and "Contribution of each part" in card
    )
    skipped = sum(d.verdict == DEAD for d in full.decisions)
    assert f"{skipped} comparison" in card and "left out, because only such slots differ" in card and skipped > 0
    assert "Dead slots: p5" in card
    assert "is not trial 3 of a search" in card


def test_rows_lead_to_their_trials(full):
    text = card_html(full)
    listed = set(rows_of(text, "data-trial"))
    assert listed == {str(t.number) for t in full.trials}
    named = [set(numbers.split()) for numbers in rows_of(text, "data-trials")]
    assert len(named) > 8 and all(numbers <= listed for numbers in named)
    lines = re.findall(r'data-line="([^"]+)"', text)
    assert {line.key for line in forest_numbers(full).lines} < set(lines) and len(lines) == len(set(lines))


def test_a_line_is_known_by_its_name_and_not_by_its_place(tmp_path):
    kinds = ("placement", "leave-one-out", "add-one-in")
    few = run_ablation_plan(ablation_plan(tmp_path / "a", evaluator(), kinds=kinds[2:], seeds=3))
    many = run_ablation_plan(ablation_plan(tmp_path / "b", evaluator(), kinds=kinds, seeds=3))
    before, after = AblationCard(few), AblationCard(many)
    keys = [line.key for line in before.forest.lines]
    assert before.sections[0].lines.index(keys[-1]) != after.sections[0].lines.index(keys[-1])
    for key in keys:
        for view, card in ((few, before), (many, after)):
            name, trials = card.line(key)
            assert f"base {name}" == key and {r[2] for r in trials_table(view, trials).rows} == {"base", name}
    assert after.line("full p4 alone") is None and after.line("") is None


def test_trials_bear_their_arm_and_a_pick_sorts_by_seed(full):
    table = trials_table(full)
    arms = dict(zip((int(r[0]) for r in table.rows), (r[2] for r in table.rows), strict=True))
    assert table.columns[0] == "ablation trial" and arms[0] == "base"
    assert set(arms.values()) == {a.name for a in full.design.arms} - {"p5 alone"}
    picked = trials_table(full, [0, 1, 2, 9, 11])
    assert [r[3] for r in picked.rows] == sorted(r[3] for r in picked.rows) and len(picked.rows) == 5


def test_partial_is_marked_at_every_table(tmp_path):
    view = stopped(tmp_path, 13)
    card = AblationCard(view)
    assert card_html(view).count("PARTIAL: training is not finished</span>") == 1 + len(card.sections)
    assert ("trials", f"13 complete, 1 running; {len(view.left)} left") in card.facts


def test_before_anything_is_trained(tmp_path):
    view = stopped(tmp_path, 0)
    text = card_html(view)
    assert "waiting: 0 of 6 seeds" in text and "is not measured yet" in text


def test_a_base_that_learned_nothing_tells_nothing_of_its_slots(full):
    untrained = {**full.views[None].slots, "intact": 0.001}
    view = replace(full, views={**full.views, None: replace(full.views[None], slots=untrained)})
    assert "could not be measured: the base reaches only 0.0010 mAP50-95" in AblationCard(view).liveness


def test_what_came_from_outside_is_escaped(tmp_path):
    view = stopped(tmp_path, 3)
    running = next(t for t in view.trials if t.state == "running")
    RecordLog(tmp_path).append("finished", number=running.number, state="failed", reason=HOSTILE)
    view = AblationView.read(tmp_path)
    text = card_html(view)
    assert "window.hacked" in text and HOSTILE not in text
    assert "<script>window.hacked" not in text and "</script><script>window" not in text
    points = forest_figure(forest_numbers(view)).data
    assert any("&lt;b&gt;CUDA" in h for t in points for h in t.hovertext) and "<b>CUDA" not in str(points)


def test_the_verdict_stands_beside_the_name(full):
    for section in AblationCard(full).sections:
        assert section.table.columns[1] == "verdict" and section.table.columns[-1] == "trials"
        assert ("remarks" in section.table.columns) == any("failed" in "".join(r) or "dead: " in "".join(r)
                                                           for r in section.table.rows)  # fmt: skip
        assert len(section.trials) == len(section.table.rows)


def test_many_slots_are_shown_by_what_they_hold():
    key = " ".join(f"s{i}=none" for i in range(16)) + " p5=lska(k_size=7)"
    written = as_html.render(table(Table(("architecture",), ((key,),), (key,))))
    assert written.count("<span>") == 1 and "p5=lska(k_size=7)" in written and f'data-key="{key}"' in written


def test_details_of_many_slots_name_what_is_filled():
    from nas_attn.space import Architecture
    from nas_attn.study.view import Candidate

    def settings(text: str) -> list[tuple[str, str]]:
        return settings_of(Candidate(Architecture.parse(text), "search", (), None, None, None, None, None))

    none = " ".join(f"s{i}=none" for i in range(9))
    assert settings(f"{none} p5=se") == [("p5", "se"), ("other slots", "none in all 9")]
    assert settings(none) == [("slots", "none in all 9")]
    assert settings("p3=none p4=se") == [("p3", "none"), ("p4", "se")]


def test_arms_are_no_controls(full):
    places = {row[0]: row[1] for row in front_table(StudyView.read(full.folder)).rows}
    assert {p for p in places.values() if "control" in p} <= {"base (control)", "front, base (control)"}


# pages


def test_a_study_with_several_ablations_shows_them_oldest_first(tmp_path):
    study = fabricate(tmp_path, 4)
    stopped(tmp_path / "ablations" / "zebra", 5)
    stopped(tmp_path / "ablations" / "ablation", 5)
    text = report_html(StudyView.read(study.folder))
    assert re.findall(r'data-ablation="(\w+)"', text) == ["zebra", "ablation"]
    assert "<span>Ablation: zebra</span>" in text and "<span>Ablation</span>" in text
    assert 'id="forest-0"' in text and 'id="forest-1"' in text and "Accuracy against cost" in text
    assert [v.folder.name for v in load_ablations(tmp_path)] == ["zebra", "ablation"]


def test_a_study_without_ablation_has_no_card(tmp_path):
    assert "<section data-ablation" not in report_html(StudyView.read(fabricate(tmp_path, 4).folder)).split("<h1>")[1]


def test_an_ablation_without_a_study(full, tmp_path, capsys):
    runs = full.folder.parents[2]
    page, csv = tmp_path / "r.html", tmp_path / "r.csv"
    assert run(["report", "x", "--runs", str(runs), "-o", str(page), "--csv", str(csv)]) == 0
    text = page.read_text()
    assert "<h1>synthetic</h1>" in text and text.count('class="card"') == 1
    assert csv.read_text().startswith("ablation,model,number") and csv.read_text().count("\n") == 1 + len(full.trials)
    assert run(["report", str(full.folder), "-o", str(page)]) == 0  # its own folder
    assert 'data-ablation="ablation"' in page.read_text()
    assert run(["report", "y", "--runs", str(runs), "-o", str(page)]) == 2
    assert "a study or an ablation" in capsys.readouterr().err


def test_scales_are_in_the_csv_with_their_model(tmp_path):
    plan = ablation_plan(tmp_path, evaluator(), kinds=("scale",), scales=("yolo11s.yaml",), seeds=3)
    view = run_ablation_plan(plan)
    frame = load_shown(tmp_path).frame()
    assert len(frame) == len(view.trials) and set(frame["model"]) == {"yolo11n", "yolo11s"}
    assert {r[2] for r in trials_table(view).rows} == {"base", "full", "base on yolo11s", "full on yolo11s"}


def test_what_is_shown(tmp_path):
    with pytest.raises(UserError, match="a study or an ablation"):
        load_shown(tmp_path)
    stopped(tmp_path / "ablations" / "ablation", 4)
    assert not load_shown(tmp_path).searched and load_shown(tmp_path).name == "synthetic"
    own = Shown.of(StudyView.read(tmp_path / "ablations" / "ablation"))
    assert not own.searched and len(own.ablations) == 1
    fabricate(tmp_path, 4)
    assert load_shown(tmp_path).searched and len(load_shown(tmp_path).ablations) == 1


def test_cards_are_computed_once_per_state_and_new_ablations_appear(tmp_path):
    fabricate(tmp_path, 4)
    live = LiveAblations(tmp_path)
    assert live.cards() == [] and live.stamp() == ""
    plan = ablation_plan(tmp_path / "ablations" / "ablation", evaluator(), seeds=4)
    with pytest.raises(Stopped):
        run_ablation_plan(plan, StoppingEngine(6))
    (card,) = live.cards()
    stamp, before = live.stamp(), card.summary
    assert live.cards()[0] is card and live.card("ablation") is card and live.card("other") is None
    run_ablation_plan(plan)
    assert live.stamp() != stamp and live.cards()[0].summary != before
    stopped(tmp_path / "ablations" / "second", 3)
    assert [c.key for c in live.cards()] == ["ablation", "second"]


def test_a_log_without_a_design_is_not_shown_yet(tmp_path):
    fabricate(tmp_path, 4)
    folder = tmp_path / "ablations" / "ablation"
    folder.mkdir(parents=True)
    RecordLog(folder).append("study", name="x", ablation={"name": "ablation", "full": FULL, "seed": 0}, config={})
    assert LiveAblations(tmp_path).cards() == [] and load_ablations(tmp_path) == []


def test_reading_needs_neither_torch_nor_optuna(full, tmp_path):
    program = (
        "import sys; from pathlib import Path; sys.modules['optuna'] = None  # as if it were not installed\n"
        "from nas_attn.dashboard.source import load_shown; from nas_attn.dashboard.report import write_report\n"
        "from nas_attn.dashboard.app import build_app\n"
        "write_report(load_shown(Path(sys.argv[1])), Path(sys.argv[2])); build_app(Path(sys.argv[1]))\n"
        "sys.exit(sorted({'torch', 'ultralytics', 'fvcore'} & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", program, str(full.folder), str(tmp_path / "r.html")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "data-ablation" in (tmp_path / "r.html").read_text()
