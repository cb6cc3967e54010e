"""The heat map, the bars and the report's card show the numbers and escape all text."""

from __future__ import annotations

import dataclasses
import re
from html import escape

import numpy as np
import pytest
from fabricated_studies import BASE, Fabricator, fabricate
from known_effects import random_rows, study_of

from nas_attn.analysis.difference import Difference
from nas_attn.analysis.effects.conclusion import change, effects_sentence
from nas_attn.analysis.effects.estimate import Cell, effect_numbers
from nas_attn.analysis.effects.heat_map import heat_map
from nas_attn.analysis.importance.figure import MOST, drawn, importance_figure
from nas_attn.analysis.importance.numbers import importance_numbers
from nas_attn.dashboard import effects_card
from nas_attn.dashboard.as_html import render
from nas_attn.dashboard.report import report_html
from nas_attn.study.view import StudyView

LIVE = {"drop": {"p3": 0.3, "p4": 0.1, "p5": 0.0}, "live": ["p3", "p4"], "searched": ["p3", "p4"]}


@pytest.fixture(scope="module")
def numbers():
    rows = random_rows(np.random.default_rng(5), 80, effect={("p3", "lska"): 0.04, ("p4", "se"): -0.04})
    return effect_numbers(study_of([(f"{text} p5=none", *rest) for text, *rest in rows], slots=LIVE))


def card_html(view: StudyView) -> str:
    return render(*effects_card.effects_blocks(view), *effects_card.importance_blocks(view))


def layer(figure, name):
    return next(t for t in figure.data if t.name == name)


def test_cells_say_estimate_interval_and_trials(numbers):
    figure = heat_map(numbers)
    words = layer(figure, "words")
    assert list(words.x) == ["p3", "p4", "p5<br><b>dead</b>"] and list(words.y) == list(numbers.modules)
    assert numbers.modules == ("acmix", "lska", "se", "conv")  # the control last
    for i, module in enumerate(numbers.modules):
        for j, slot in enumerate(numbers.slots):
            cell, text = numbers.cell(slot, module), words.text[i][j]
            if cell.effect is None:
                assert text == ("dead" if slot == "p5" else "")
            else:
                assert change(cell.effect.mean) in text and f"n={cell.trials}<" in text
                assert f"[{change(cell.effect.low)}, {change(cell.effect.high)}]" in text
                assert ("<b>" in text) is bool(cell.sign or cell.lead_sign)


def test_only_what_is_claimed_has_full_colour_and_a_frame(numbers):
    figure = heat_map(numbers)
    claimed = {(c.slot, c.module) for c in numbers.cells if c.sign or c.lead_sign}
    assert claimed >= {("p3", "lska"), ("p4", "se")} and len(claimed) < len(numbers.measured)
    full, pale = layer(figure, "shown"), layer(figure, "not shown")
    places = [(i, j) for i in range(len(numbers.modules)) for j in range(len(numbers.slots))]
    coloured = [(i, j) for i, j in places if (numbers.slots[j], numbers.modules[i]) in claimed]
    measured = [(i, j) for i, j in places if numbers.cell(numbers.slots[j], numbers.modules[i]).effect is not None]
    assert [at for at in places if full.z[at[0]][at[1]] is not None] == coloured
    assert [at for at in places if pale.z[at[0]][at[1]] is not None] == [at for at in measured if at not in coloured]
    assert pale.opacity < 0.5 < full.opacity
    frames = [(s.x0 + s.x1, s.y0 + s.y1) for s in figure.layout.shapes if s.type == "rect"]
    assert sorted(frames) == sorted((2 * j, 2 * i) for i, j in coloured)
    # centred on no difference
    assert full.zmin == -full.zmax == pale.zmin == -max(abs(c.effect.mean) for c in numbers.measured)


def test_a_claim_on_the_lead_alone_is_framed_too(numbers):
    """A search seldom leaves a good slot empty, so this is all that it can claim there."""
    own = next(c for c in numbers.measured if not c.sign and not c.lead_sign)
    cells = tuple(dataclasses.replace(c, lead_sign=1 if c is own else 0, sign=0) for c in numbers.cells)
    figure = heat_map(dataclasses.replace(numbers, cells=cells))
    i, j = numbers.modules.index(own.module), numbers.slots.index(own.slot)
    assert [(s.x0 + s.x1, s.y0 + s.y1) for s in figure.layout.shapes if s.type == "rect"] == [(2 * j, 2 * i)]
    assert layer(figure, "words").hovertext[i][j].endswith("better than others")


def test_dead_slots_are_hatched_and_never_coloured(numbers):
    figure = heat_map(numbers)
    column = numbers.slots.index("p5")
    assert [s for s in figure.layout.shapes if s.type == "path"] != []
    assert [row[column] for row in layer(figure, "ground").z] == [1.0] * len(numbers.modules)
    kept = dataclasses.replace(numbers, dead=("p3",))
    for name in ("shown", "not shown"):
        assert {row[0] for row in layer(heat_map(kept), name).z} == {None}
    assert "lska at p3 (a dead slot): +0.0" in effects_sentence(kept)
    assert any("dead: <b>+0.0" in row[0] for row in layer(heat_map(kept), "words").text)


def test_the_hover_text_says_both_differences_and_the_verdict(numbers):
    hover = layer(heat_map(numbers), "words").hovertext[numbers.modules.index("lska")][0]
    cell = numbers.cell("p3", "lska")
    lines = hover.split("<br>")
    assert lines[0] == "<b>lska at p3</b>"
    assert lines[1] == f"{cell.trials} trials, {cell.seeds} seeds, {cell.architectures} architectures"
    effect = f"{cell.effect.mean:+.4f} mAP50-95, 95 % interval {cell.effect.low:+.4f} to {cell.effect.high:+.4f}"
    assert lines[2] == f"against nothing there: {effect}; above 0 with >99 %"
    assert lines[3].startswith(f"against the other choices there: {cell.lead.mean:+.4f} mAP50-95")
    assert lines[4:] == ["better"]


def test_a_blank_cell_says_why_when_pointed_at(numbers):
    hover = layer(heat_map(numbers), "words").hovertext
    blank = hover[numbers.modules.index("conv")][2].split("<br>")
    assert blank == ["<b>conv at p5</b>", "a dead slot: the trained base does not need its output", "never trained"]
    broken = study_of([("p3=lka(k=5) p4=none", 0.4, 0)], state="failed")
    failed = dataclasses.replace(broken.trials[0], number=999)
    known = study_of(random_rows(np.random.default_rng(5), 30))
    found = effect_numbers(dataclasses.replace(known, trials=(*known.trials, failed)))
    text = layer(heat_map(found), "words").hovertext[found.modules.index("lka")]
    assert text[0].endswith("no usable trial: failed or not comparable") and text[1].endswith("never trained")


@pytest.mark.parametrize(("slots", "modules"), [(1, 1), (2, 2), (3, 6), (17, 31)])
def test_cells_keep_room_for_their_words(slots, modules):
    names, kinds = [f"p{i}" for i in range(slots)], [f"m{i}" for i in range(modules)]
    effect = Difference(0.01, -0.01, 0.03, 0.8)
    cells = tuple(Cell(s, m, 3, 1, 2, effect, effect) for s in names for m in kinds)
    known = effect_numbers(study_of([("p0=none", 0.4, 0)]))
    figure = heat_map(dataclasses.replace(known, slots=tuple(names), modules=tuple(kinds), cells=cells))
    margin = figure.layout.margin
    assert (figure.layout.width - margin.l - margin.r) / slots >= 138
    assert (figure.layout.height - margin.t - margin.b) / modules >= 40


def test_bars_mark_what_is_beyond_chance():
    rows = random_rows(
        np.random.default_rng(0), 200, modules=tuple(f"m{i}" for i in range(9)), settings=3, effect={("p3", "m1"): 0.05}
    )
    found = importance_numbers(study_of(rows), resamples=20)
    figure = importance_figure(found)
    shown = drawn(found)
    assert [c.name for c in shown[:2]] == ["p3", "p4"] and sum(not c.is_slot for c in shown) <= MOST
    for measure, bars in zip(("main", "ped"), [t for t in figure.data if t.type == "bar"], strict=True):
        shares = [getattr(c, measure) for c in shown]
        assert list(bars.x) == [s.value for s in shares] and list(bars.y) == [c.label for c in shown]
        assert len({bars.marker.color[i] for i, s in enumerate(shares) if s.clear}) == 1
        assert not {bars.marker.color[i] for i, s in enumerate(shares) if s.clear} & {
            bars.marker.color[i] for i, s in enumerate(shares) if not s.clear
        }
    assert found.choices[0].main.clear


def test_the_report_answers_before_it_draws(tmp_path):
    view = StudyView.read(fabricate(tmp_path, 30).folder)
    text = report_html(view)
    places = [
        text.index(s)
        for s in (
            effects_card.TITLE,
            effects_sentence(effect_numbers(view)),
            'id="effects-map"',
            escape(effects_card.BEST),
            'id="importance-bars"',
        )
    ]
    assert places == sorted(places)


def test_a_study_that_has_only_begun(tmp_path):
    study = Fabricator(tmp_path)
    study.start(BASE, role="base")
    card = card_html(StudyView.read(tmp_path))
    assert "no usable trial has a module" in card and "plotly" not in card


@pytest.mark.parametrize(
    "rows", [[("p3=a p4=b", 0.4, 0), ("p3=none p4=none", 0.4, 0)], [("p3=a p4=b", 0.4, 0)]], ids=["equal", "too few"]
)
def test_a_map_of_blanks_is_not_drawn(rows):
    view = study_of(rows)
    card = card_html(view)
    assert 'id="effects-map"' not in card and "<span>not measured</span>" in card
    assert escape(effect_numbers(view).obstacle) in card


def test_names_are_escaped(numbers, monkeypatch):
    wild = "<img src=x onerror=alert(1)>"
    cells = tuple(dataclasses.replace(c, module=wild if c.module == "lska" else c.module) for c in numbers.cells)
    modules = tuple(wild if m == "lska" else m for m in numbers.modules)
    hostile = dataclasses.replace(numbers, cells=cells, modules=modules)
    monkeypatch.setattr(effects_card, "effect_numbers", lambda _: hostile)
    card = card_html(study_of(random_rows(np.random.default_rng(5), 30)))
    markup = re.sub(r"<script.*?</script>", "", card, flags=re.DOTALL)
    assert "<img" not in markup and "&lt;img" in markup
    figure = heat_map(hostile)
    assert "<img" not in str(layer(figure, "words").hovertext) + str(layer(figure, "words").y)
