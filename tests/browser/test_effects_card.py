"""The card of effects in a browser: plots, hover texts, and updates after each trial."""

from __future__ import annotations

import pytest
from fabricated_studies import Fabricator
from served_dashboard import point_at

from nas_attn.analysis.effects.conclusion import effects_sentence
from nas_attn.analysis.effects.estimate import effect_numbers
from nas_attn.dashboard.effects_card import TITLE
from nas_attn.dashboard.report import write_report
from nas_attn.study.view import StudyView

pytestmark = pytest.mark.browser

# screen position of the middle of a cell
CELL = """([id, column, row]) => {
  const plot = document.querySelector(`#${id} .js-plotly-plot`) || document.querySelector(`#${id}`);
  plot.scrollIntoView({block: 'center'});
  const box = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
  return {x: box.x + xaxis._offset + xaxis.d2p(column), y: box.y + yaxis._offset + yaxis.d2p(row)};
}"""


def sentence(study: Fabricator) -> str:
    return effects_sentence(effect_numbers(StudyView.read(study.folder)))


def told_at(page, plot: str, column: int, row: int) -> str:
    return point_at(page, CELL, [plot, column, row], f"#{plot}")


def test_report(watched, study: Fabricator, tmp_path):
    write_report(StudyView.read(study.folder), tmp_path / "r.html")
    page = watched.page
    page.context.set_offline(True)
    page.goto((tmp_path / "r.html").as_uri())
    page.wait_for_selector("#effects-map .heatmaplayer")
    card = page.locator("section.card", has_text=TITLE)
    assert sentence(study) in card.text_content()
    numbers = effect_numbers(StudyView.read(study.folder))
    blank = next(c for c in numbers.cells if c.effect is None and c.why)
    told = told_at(page, "effects-map", numbers.slots.index(blank.slot), numbers.modules.index(blank.module))
    assert blank.why.split(",")[0] in told
    assert "dead" in page.locator("#effects-map .xaxislayer-above").text_content()
    assert page.locator("#importance-bars .bars .point").count() > 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert watched.complaints == []


def test_dashboard_follows_trials_that_end(watched, served: str, study: Fabricator):
    page = watched.page
    page.goto(served)
    page.wait_for_selector("#effects-map .heatmaplayer")
    page.wait_for_selector("#importance-bars .bars .point", state="attached")
    assert page.locator("#effects .answer").text_content() == sentence(study)
    old = page.locator("#effects .answer").text_content()
    page.evaluate("document.querySelector('#effects .answer').dataset.seen = 'yes'")
    study.start("p3=lka(k_size=53) p4=none p5=none")  # nobody's result
    page.wait_for_function("document.querySelector('#trials').textContent.includes('lka(k_size=53)')")
    assert page.locator("#effects .answer").get_attribute("data-seen") == "yes"
    for seed in range(3):
        study.complete("p3=none p4=lska(k_size=23) p5=none", 0.36 + 0.001 * seed, seed=seed)
    page.wait_for_function("old => document.querySelector('#effects .answer').textContent !== old", arg=old)
    page.wait_for_function("now => document.querySelector('#effects .answer').textContent === now", arg=sentence(study))
    # a row of the table leads to its candidate, as in every table
    page.locator("#effects tr[data-key]").first.click()
    key = page.locator("#effects tr[data-key]").first.get_attribute("data-key")
    page.wait_for_function("key => document.querySelector('#yaml')?.textContent.includes(key)", arg=key)
    assert watched.outside(served) == []
    assert watched.complaints == []


@pytest.mark.parametrize("width", [1280, 600])
def test_it_scrolls_within_its_card(watched, served: str, width: int):
    page = watched.page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(served)
    page.wait_for_selector("#effects-map .heatmaplayer")
    page.wait_for_selector("#importance-bars .bars .point", state="attached")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
