"""The tables of an ablation: traceable figures, LaTeX that compiles, and safe handling of any text."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from scipy import stats
from untrained_ablations import Stopped, StoppingEngine, ablated, ablation_plan, run_ablation_plan

from nas_attn.ablation.design import FAMILIES
from nas_attn.ablation.report.files import csv_columns, csv_text, figures, markdown, write_tables
from nas_attn.ablation.report.forest_figure import forest_figure, forest_numbers
from nas_attn.ablation.report.latex import DOCUMENT, _tex, latex
from nas_attn.ablation.report.rows import family_rows
from nas_attn.ablation.report.tables import ablation_tables, p_value
from nas_attn.ablation.report.words import method, ranges
from nas_attn.ablation.view import AblationView
from nas_attn.api import Ablation
from nas_attn.dashboard.ablation_card import AblationCard, whole_card
from nas_attn.dashboard.as_html import render
from nas_attn.evaluate.score import MAP
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import Architecture

__all__ = ["ablated"]
EVERYTHING = ("leave-one-out", "add-one-in", "swap", "sweep", "placement", "scale", "factorial", "a/a")
WORLD = SyntheticEvaluator(
    effect_sd=0.0, noise_sd=0.003, planted=(("p3=acmix(head=4,kernel_att=7)", -0.02),), dead=("td.p4",), test=True
)
HOSTILE = "\n\x7f\x1b gołąb Ə ǽ \N{COMBINING OGONEK}" + r"50% & more_{x} #1 $2 ~ ^ \input{/etc/passwd} | <b> – Δ 中"


@pytest.fixture
def large(ablated) -> AblationView:
    """A view of an ablation with every kind of comparison."""
    return ablated(WORLD, kinds=EVERYTHING, scales=("yolo11s.yaml",), controls=True, seeds=4)


def compiled(folder):
    if shutil.which("pdflatex") is None:
        pytest.skip("missing part: pdflatex (apt-get install texlive-latex-base texlive-latex-recommended)")
    return subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "ablation.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
    )


def test_latex_compiles_as_it_is(large, tmp_path):
    write_tables(large, tmp_path)
    done = compiled(tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout and "Float too large" not in done.stdout and "undefined" not in done.stdout
    text = (tmp_path / "ablation_tables.tex").read_text()
    assert r"\toprule" in text and r"\bottomrule" in text and "continued" in text
    assert (tmp_path / "ablation.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("kind", ["table", "table*"])
def test_latex_compiles_in_a_paper_of_two_columns(large, tmp_path, kind):
    write_tables(large, tmp_path)
    tables = (tmp_path / "ablation_tables.tex").read_text()
    (tmp_path / "ablation_tables.tex").write_text(tables.replace("{table}", f"{{{kind}}}"))
    paper = DOCUMENT.replace("{article}", "[twocolumn]{article}").replace("a4paper,landscape", "a4paper")
    (tmp_path / "ablation.tex").write_text(paper)
    assert compiled(tmp_path).returncode == 0


def test_latex_survives_any_text(ablated, tmp_path):
    view = ablated(WORLD, seeds=3)
    view.header["name"] = HOSTILE
    write_tables(view, tmp_path)
    done = compiled(tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
    text = "\n".join(x for x in latex(view).splitlines() if not x.startswith("%"))
    assert r"\input{/etc" not in text and r"50\% \& more\_\{x\} \#1 \$2" in text


def floats_of(text: str) -> list[str]:
    return re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.DOTALL)


def words_of(text: str) -> str:
    return text.replace(r"\allowbreak{}", "")


def test_latex_says_what_was_trained_once_and_what_each_arm_inserts_beside_it(large):
    floats = [words_of(f) for f in floats_of(latex(large))]
    config = large.header["config"]
    for part in (
        f"Full architecture: {large.header['ablation']['full']}.",
        f"Base model: {large.header['base']}.",
        "Data: the generated data set.",
        f"{config['epochs']} epochs at {config['imgsz']} px, start {config['start']}.",
        "Seeds: 4, from seed 100 on.",
    ):
        assert part in markdown(large)
        assert [_tex_words(part) in f for f in floats] == [True] + [False] * (len(floats) - 1)
    rows = [r for r in family_rows(large, "base") if r.inserted]
    assert len(rows) > 20
    for row in rows:
        (mine,) = [f for f in floats if f"\\emph{{{_tex_words(row.label)}}}: {_tex_words(row.inserted)}" in f]
        assert f"\n{_tex_words(row.label)} & " in mine


def _tex_words(text: str) -> str:
    return words_of(_tex(text))


def test_latex_fits_its_pages_with_many_slots_long_names_and_long_notes(large, tmp_path):
    gene = "acmix(head=4,kernel_att=7,residual=scaled)"
    full = Architecture.parse(" ".join(f"backbone.p{i}={gene}" for i in range(16)))
    arms = [a if a.architecture.is_base else replace(a, architecture=full) for a in large.design.arms]
    view = replace(large, design=replace(large.design, arms=tuple(arms)))
    view.header["ablation"]["full"], view.header["config"]["data"] = str(full), "/" + "x" * 300 + HOSTILE
    view.header["name"] = "y" * 200
    failed = replace(large, trials=tuple(replace(t, state="failed", reason="no memory " * 20) for t in large.trials))
    for found in (view, failed):
        write_tables(found, tmp_path)
        done = compiled(tmp_path)
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Overfull" not in done.stdout and "Float too large" not in done.stdout
        assert sum("Seeds: 4" in f for f in floats_of(latex(found))) == 1


def test_every_row_names_its_trials(large):
    by_family = {t.family: t.table.rows for t in ablation_tables(large)}
    numbers = {t.number for t in large.trials}
    for family, rows in by_family.items():
        found = family_rows(large, family)
        assert len(found) == len(rows)
        for row in found:
            assert set(row.trials) <= numbers
            if row.decision is None or row.decision.result is not None:
                assert row.trials
    base = next(r for r in family_rows(large, "base") if r.label == "full")
    assert len(base.trials) == 2 * 4  # its own and the base's, four seeds each
    for line in markdown(large).splitlines():
        if line.startswith("| full |"):
            assert line.endswith(f"| {ranges(base.trials)} |")


def test_csv_has_every_contrast_at_full_precision(large):
    rows = list(csv.DictReader(csv_text(large).splitlines()))
    assert tuple(rows[0]) == csv_columns(MAP)
    assert len(rows) == len(large.design.contrasts) + 2  # and the two bases
    full = next(r for r in rows if r["comparison"] == "full" and r["family"] == "base")
    decision = next(d for d in large.decisions if d.contrast.label == "full")
    assert float(full["val_delta"]) == decision.result.mean and float(full["p_corrected"]) == decision.p
    assert full["verdict"] == decision.verdict and full["test_delta"] != ""


def test_a_scales_base_stands_before_its_arms(large):
    labels = [row[0] for row in next(t for t in ablation_tables(large) if t.family == "base").table.rows]
    assert labels[:2] == ["base", "full"]
    assert labels[-2:] == ["base on yolo11s", "full on yolo11s"]


def test_the_method_says_how_many_comparisons_were_corrected_for(large):
    for t in ablation_tables(large):
        counted = sum(d.contrast.family == t.family and d.verdict != "dead" for d in large.decisions)
        assert counted > 0
        assert (f"Holm-corrected for {counted} comparisons" in t.method) == (counted > 1)


def test_a_partial_table_is_marked_everywhere(tmp_path):
    plan = ablation_plan(tmp_path / "a", WORLD, seeds=4)
    with pytest.raises(Stopped):
        run_ablation_plan(plan, StoppingEngine(9))
    view = AblationView.read(plan.request.folder)
    assert "PARTIAL" in markdown(view) and "PARTIAL" in latex(view)
    assert {r["partial"] for r in csv.DictReader(csv_text(view).splitlines())} == {"True"}
    assert all(r["p_corrected"] == "" for r in csv.DictReader(csv_text(view).splitlines()))


def test_markdown_cells_stay_cells(ablated):
    view = ablated(SyntheticEvaluator(fail_on=("p3=none p4=lska(k_size=23) p5=none",)), seeds=3)
    lines = [x for x in markdown(view).splitlines() if x.startswith("|")]
    widths = {x.replace(r"\|", "").count("|") for x in lines if not x.startswith("| comparison") and "---" not in x}
    assert len(widths) == 2  # one for each table


def test_without_test_split_there_are_no_test_columns(ablated):
    view = ablated(SyntheticEvaluator(), seeds=3)
    assert not any("test" in c for t in ablation_tables(view) for c in t.table.columns)


def test_numbers_in_short():
    assert ranges((0, 1, 2, 5, 7, 8)) == "0-2, 5, 7-8" and ranges(()) == ""
    assert (p_value(None), p_value(0.00001), p_value(0.0042), p_value(0.042)) == ("–", "< 0.0001", "0.0042", "0.042")


def confidence_of(r) -> float:
    """The confidence of an interval, computed from the interval."""
    return 1 - 2 * stats.t.sf((r.high - r.mean) / (r.sd / r.n**0.5), r.n - 1)


@pytest.mark.parametrize(("options", "wanted", "said"), [({"max_seeds": 20}, 0.9875, "98.75 %"), ({}, 0.95, "95 %")])
def test_every_interval_has_one_level_and_all_writings_name_it(ablated, options, wanted, said):
    view = ablated(WORLD, **options)
    rows = [r for family in FAMILIES for r in family_rows(view, family) if r.decision is not None]
    found = [confidence_of(x) for r in rows for x in (r.decision.result, r.test_result)]
    assert len(found) > 8 and found == pytest.approx([wanted] * len(found))
    columns = [c for t in ablation_tables(view) for c in t.table.columns if "Δ" in c]
    columns += [c for t in Ablation(view).tables() for c in t.table.columns if "Δ" in c]
    assert all(f"[{said}]" in " ".join(repr(t).split()) for t in Ablation(view).tables())
    assert len(columns) == 8 and all(c.endswith(f"[{said}]") for c in columns)
    assert f"Δ to base [{said}]" in markdown(view)
    assert rf"$\Delta$ to base [{_tex(said)}]" in latex(view) and rf"$\Delta$ on test [{_tex(said)}]" in latex(view)
    told = {r["comparison"]: r["confidence"] for r in figures(view) if r["family"] == "base"}
    assert told.pop("base") is None and set(told.values()) == {wanted}
    written = {r["confidence"] for r in csv.DictReader(csv_text(view).splitlines())}
    assert {float(x) for x in written if x} == {wanted}
    assert f"with its {said} interval" in AblationCard(view).reading
    assert f"with its {said} interval" in render(whole_card(AblationCard(view), 0))
    assert all(f"with its {said} confidence interval" in t.method for t in ablation_tables(view))
    hovers = [h for t in forest_figure(forest_numbers(view)).data for h in t.hovertext]
    assert hovers and all(h.count(f"({said} interval)") == 2 for h in hovers)


APART = "Δ can differ from the difference of the means, because"


def test_a_table_without_a_test_speaks_of_none(ablated):
    assert "p: none, because no test was possible." in method(ablated(WORLD, seeds=2), "base")


def test_a_table_of_dead_slots_corrects_for_nothing(ablated):
    dead = SyntheticEvaluator(effect_sd=0.0, noise_sd=0.003, dead=("p3", "p4"))
    view = ablated(dead, seeds=4)
    assert {d.verdict for d in view.decisions} == {"dead"}
    for t in ablation_tables(view):
        assert "Holm" not in t.method and "over 0" not in t.method and "none, because no test was possible" in t.method


def test_a_table_that_waits_says_so(tmp_path):
    plan = ablation_plan(tmp_path / "a", WORLD, seeds=4)
    with pytest.raises(Stopped):
        run_ablation_plan(plan, StoppingEngine(9))
    told = method(AblationView.read(plan.request.folder), "base")
    assert "p: none yet." in told and "Holm" not in told


def test_the_method_says_where_a_difference_is_not_that_of_the_means(ablated, tmp_path):
    whole = ablated(WORLD, seeds=4)
    assert APART not in method(whole, "base") and APART not in method(whole, "full")
    ended = whole.trial(whole.design.arm("without p3"), 2)
    trials = [replace(t, state="failed") if t is ended else t for t in whole.trials]
    failed = replace(whole, trials=tuple(trials))
    assert f"{APART} some trials failed or cannot be compared." in method(failed, "base")
    assert "numbers of seeds" not in method(failed, "base")
    some = SyntheticEvaluator(effect_sd=0.0, noise_sd=0.004, planted=(("p3=acmix(head=4,kernel_att=7)", 0.05),))
    early = run_ablation_plan(ablation_plan(tmp_path / "e", some, max_seeds=20))
    looks = {d.looks for d in early.decisions}
    assert len(looks) > 1
    assert f"{APART} comparisons have different numbers of seeds." in method(early, "full")
    early = run_ablation_plan(ablation_plan(tmp_path / "s", replace(some, noise_sd=0.01), max_seeds=20))
    looks = {d.looks for d in early.decisions}
    assert f"{APART} comparisons have different numbers of seeds." in method(early, "base")
    row = next(r for r in family_rows(early, "base") if r.decision is not None and r.decision.looks == min(looks))
    base = family_rows(early, "base")[0]
    assert row.val.n < base.val.n and row.val.mean - base.val.mean != pytest.approx(row.decision.result.mean)


def test_an_exclusion_is_told_to_be_uncorrected_where_there_is_one(ablated, tmp_path):
    said = "interval of each comparison, which is not corrected for the number of comparisons"
    quiet = ablated(SyntheticEvaluator(effect_sd=0.0, noise_sd=0.0005), seeds=5)
    assert "no difference shown" in {d.verdict for d in quiet.decisions} and said in method(quiet, "base")
    loud = run_ablation_plan(ablation_plan(tmp_path / "l", SyntheticEvaluator(effect_sd=0.0, noise_sd=0.05), seeds=4))
    assert {d.verdict for d in loud.decisions} == {"undecided"} and said not in method(loud, "base")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ([0.01], "0.03, set after results had been seen; before, it was 0.01."),
        ([0.01, 0.02], "0.03, set after results had been seen; before, it was 0.01, then 0.02."),
        ([], "0.03."),
    ],
)
def test_a_threshold_chosen_after_the_results_is_told(ablated, before, said):
    view = ablated(WORLD, seeds=3)
    view = replace(view, settings={**view.settings, "difference": 0.03, "difference_before": before})
    assert f"Smallest difference that matters: {said}" in method(view, "base")
    assert f"Smallest difference that matters: {said}" in markdown(view)
