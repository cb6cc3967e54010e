"""The numbers of the figures, and the drawings that show them."""

from __future__ import annotations

import re

import pytest
from fabricated_studies import BASE, CONV, FAILED, FLAGGED, HOSTILE, RUNNING, Fabricator, fabricate

from nas_attn.analysis.difference import percent
from nas_attn.analysis.figure_numbers import module_group
from nas_attn.analysis.figures import (
    curve_figure,
    curve_numbers,
    liveness_figure,
    liveness_numbers,
    pareto_figure,
    pareto_numbers,
)
from nas_attn.analysis.front import front
from nas_attn.analysis.noise import noise
from nas_attn.analysis.posterior import posterior, verdict
from nas_attn.analysis.tables import estimated
from nas_attn.evaluate.score import MAP
from nas_attn.space import Architecture
from nas_attn.study.view import StudyView


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> StudyView:
    return StudyView.read(fabricate(tmp_path_factory.mktemp("runs") / "bccd").folder)


def test_pareto_numbers_say_what_the_study_found(study):
    numbers = pareto_numbers(study)
    points = {p.key: p for p in numbers.points}
    assert set(points) == {c.key for c in study.candidates()} - {RUNNING}
    assert numbers.front == tuple(c.key for c in front(study))
    assert {k for k, p in points.items() if p.on_front} == set(numbers.front)
    assert numbers.noise == noise(study).run.mean
    assert numbers.base_score == points[BASE].score
    assert points[BASE].seeds == (0, 1, 2)
    assert points[CONV].group == "conv control"


def test_points_show_the_posterior_beside_the_plain_mean(study):
    found, numbers = posterior(study), pareto_numbers(study)
    points = {p.key: p for p in numbers.points}
    for i, (c, d) in enumerate(zip(found.candidates, found.differences, strict=True)):
        p = points[c.key]
        assert (p.score, p.delta, p.front, p.mean) == pytest.approx((found.means[i], d.mean, found.on_front[i], c.mean))
        assert (p.score - p.low, p.high - p.score) == pytest.approx((d.mean - d.low, d.high - d.mean))
        assert p.verdict == ("the base itself" if c.key == BASE else verdict(c, found)) and p.seeds == c.seeds
    assert {p.key for p in numbers.points if p.delta is None} == {FAILED, FLAGGED}
    assert (points[BASE].low, points[BASE].high) == pytest.approx((points[BASE].score,) * 2)


def test_without_a_posterior_points_are_plain_means(tmp_path):
    study = Fabricator(tmp_path)
    for seed, value in enumerate((0.3, 0.32)):
        study.complete(BASE, value, seed=seed, role="base")
    study.fail(FAILED, "boom")
    numbers = pareto_numbers(StudyView.read(tmp_path))
    base = numbers.points[0]
    assert base.score == base.mean == numbers.base_score == pytest.approx(0.31)
    assert (base.low, base.high, base.delta, base.front, numbers.noise) == (None,) * 5 and base.on_front
    figure = pareto_figure(numbers)
    own = next(t for t in figure.data if t.name == "base")
    assert not own.error_y.visible and "mean of its runs 0.3100 (seeds 0, 1)" in own.hovertext[0]
    assert "estimated" not in own.hovertext[0] and len(figure.layout.shapes) == 1  # the line of the base, no band


def test_a_flagged_base_is_no_reference(tmp_path):
    study = Fabricator(tmp_path)
    study.complete(BASE, 0.3, role="base", flags=["batch halved"])
    for value, text in ((0.31, CONV), (0.32, "p3=conv p4=none p5=none")):
        study.complete(text, value)
    numbers = pareto_numbers(StudyView.read(tmp_path))
    assert numbers.base_score is None and numbers.noise is not None
    assert not pareto_figure(numbers).layout.shapes


def test_mishaps_are_shown_hollow_and_off_the_front(study):
    points = {p.key: p for p in pareto_numbers(study).points}
    assert points[FAILED].state == "failed" and points[FAILED].score is None
    assert points[FLAGGED].state == "flagged" and points[FLAGGED].score == 0.333
    assert points[FLAGGED].verdict == "not comparable: batch halved"
    hollow = {
        k for t in pareto_figure(pareto_numbers(study)).data if "open" in str(t.marker.symbol) for (k,) in t.customdata
    }
    assert hollow == {FAILED, FLAGGED}


def test_every_point_carries_its_key_and_hover_escapes(study):
    figure = pareto_figure(pareto_numbers(study))
    traces = [t for t in figure.data if t.customdata is not None]
    assert sorted(k for t in traces for (k,) in t.customdata) == sorted(p.key for p in pareto_numbers(study).points)
    hover = "".join(h for t in traces for h in t.hovertext)
    assert HOSTILE[:11] not in hover and "&lt;b&gt;CUDA" in hover
    assert "p3=conv" in hover


def test_bars_are_intervals_of_the_front(study):
    points = {p.key: p for p in pareto_numbers(study).points}
    drawn = [t for t in pareto_figure(pareto_numbers(study)).data if t.error_y.array is not None]
    longest = 0.0
    for trace in drawn:
        own = [points[k] for (k,) in trace.customdata]
        above = [p.high - p.score if p.on_front else 0.0 for p in own]
        below = [p.score - p.low if p.on_front else 0.0 for p in own]
        assert list(trace.error_y.array) == pytest.approx(above) and list(trace.error_y.arrayminus) == pytest.approx(
            below
        )
        assert trace.error_y.visible == any(p.on_front for p in own) and not trace.error_y.symmetric
        longest = max(longest, *above)
    assert longest > 0.001 and sum(len(t.customdata) for t in drawn) == sum(
        p.state == "usable" for p in points.values()
    )


def test_the_band_is_the_noise_of_one_run_around_the_base(study):
    numbers = pareto_numbers(study)
    figure = pareto_figure(numbers)
    band, line = figure.layout.shapes
    assert (band.y0, band.y1) == (numbers.base_score - numbers.noise, numbers.base_score + numbers.noise)
    assert line.y0 == line.y1 == numbers.base_score
    assert any(f"± {numbers.noise:.4f}" in a.text for a in figure.layout.annotations)
    assert figure.layout.yaxis.title.text == f"{estimated(MAP)} on val"


def test_a_point_says_how_sure_the_study_is(study):
    points = {p.key: p for p in pareto_numbers(study).points}
    figure = pareto_figure(pareto_numbers(study))
    hover = {
        k: h for t in figure.data if t.customdata is not None for (k,), h in zip(t.customdata, t.hovertext, strict=True)
    }
    conv = points[CONV]
    for said in (f"{estimated(MAP)} {conv.score:.4f}", f"mean of its runs {conv.mean:.4f} (seeds 0, 1, 2)"):
        assert said in hover[CONV]
    assert f"Δ to base {conv.delta:+.4f}" in hover[CONV] and f"on the front with {percent(conv.front)}" in hover[CONV]
    assert "Δ to base" not in hover[BASE] and "on the front with >99 %" in hover[BASE]
    assert ", on the front" in hover[BASE] and ", on the front" not in hover[CONV]
    assert "the front" not in hover[FAILED] and "mean of its runs" in hover[FLAGGED]


def test_front_is_a_step_line_to_the_right_edge(study):
    numbers = pareto_numbers(study)
    line = next(t for t in pareto_figure(numbers).data if t.name == "Pareto front")
    assert line.line.shape == "hv"
    assert line.x[-1] == max(p.gmacs for p in numbers.points if p.score is not None)
    assert list(line.y) == sorted(line.y)
    heights = {p.key: p.score for p in numbers.points}
    assert list(line.y[:-1]) == [heights[k] for k in numbers.front]


@pytest.mark.parametrize(
    ("text", "group"),
    [
        (BASE, "base"),
        ("p3=lka(k_size=7) p4=none", "lka"),
        ("p3=lka(k_size=7) p4=lka(k_size=11)", "lka"),
        ("p3=lka(k_size=7) p4=conv", "mixed"),
    ],
)
def test_groups(text, group):
    assert module_group(Architecture.parse(text)) == group


def test_colours_stay_when_the_study_grows(tmp_path):
    study = Fabricator(tmp_path)

    def colours():
        figure = pareto_figure(pareto_numbers(StudyView.read(study.folder)))
        return {t.name: t.marker.color for t in figure.data if t.customdata is not None}

    study.complete(BASE, 0.3, role="base")
    study.complete("p3=lska(k_size=7) p4=none p5=none", 0.3)
    before = colours()
    study.complete("p3=acmix(head=4) p4=none p5=none", 0.3)
    after = colours()
    assert {k: after[k] for k in before} == before
    assert len(set(after.values())) == len(after)


def test_plotly_can_look_for_every_trace_by_its_class(study):
    """A removed trace stopped the live page if its identity had brackets: `.cbfailed (no mAP)` is no selector."""
    uids = [t.uid for t in pareto_figure(pareto_numbers(study)).data if t.uid]
    assert len(uids) > 5 and len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", uid) for uid in uids)


def test_curves_stand_beside_the_base_of_the_same_seed(study):
    conv = next(c for c in study.candidates() if c.key == CONV)
    numbers = curve_numbers(study, conv)
    assert [(c.seed, c.is_base) for c in numbers.curves] == [(s, b) for b in (False, True) for s in (0, 1, 2)]
    assert [e for e, _ in numbers.curves[0].score] == [3, 6, 9, 12, 15]
    assert [e for e, _ in numbers.curves[0].loss] == list(range(1, 16))
    assert numbers.curves[0].score[-1][1] == pytest.approx(conv.trials[0].map50_95)
    assert len(curve_figure(numbers).data) == 12


def test_the_base_has_no_reference_but_itself(study):
    base = study.candidates()[0]
    assert [c.number for c in curve_numbers(study, base).curves] == [0, 1, 2]


def test_liveness(study):
    numbers = liveness_numbers(study)
    assert numbers.drop == (("p3", 0.303), ("p4", 0.169), ("p5", 0.0005))
    assert numbers.live == ("p3", "p4") and numbers.threshold == 0.003
    figure = liveness_figure(numbers)
    assert list(figure.data[0].y) == [0.303, 0.169, 0.0005]
    assert figure.layout.shapes[0].y0 == 0.003


def test_a_study_that_has_only_begun_still_draws(tmp_path):
    study = Fabricator(tmp_path)
    study.start(BASE, role="base")
    begun = StudyView.read(tmp_path)
    assert liveness_numbers(begun) is None
    assert pareto_numbers(begun).points == ()
    assert len(pareto_figure(pareto_numbers(begun)).data) == 0


def test_frame_has_a_row_per_trial_and_units_in_names(study):
    table = study.frame()
    assert list(table["number"]) == [t.number for t in study.trials]
    assert list(table.columns[-3:]) == ["p3", "p4", "p5"]
    flagged = table[table.architecture == FLAGGED].iloc[0]
    assert (flagged["flags"], flagged["comparable"], flagged["map50_95"]) == ("batch halved", False, 0.333)
    assert table[table.state == "refused"].map50_95.isna().all()
    assert table.gmacs[3] == study.trial(3).gmacs
