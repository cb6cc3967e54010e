"""Report and dashboard in a real browser, without a network."""

from __future__ import annotations

import pytest
from fabricated_studies import BASE, CONV, Fabricator
from served_dashboard import point_at, serving

from nas_attn.dashboard.report import write_report
from nas_attn.study.view import StudyView

pytestmark = pytest.mark.browser

# screen position of the point whose candidate is `key`, taken from the plot itself
LOCATE = """key => {
  const plot = document.querySelector('#pareto .js-plotly-plot') || document.querySelector('#pareto');
  plot.scrollIntoView({block: 'center'});
  const box = plot.getBoundingClientRect();
  for (const trace of plot._fullData) {
    const i = (trace.customdata || []).findIndex(d => d[0] === key);
    if (i >= 0) {
      const {xaxis, yaxis} = plot._fullLayout;
      return {x: box.x + xaxis._offset + xaxis.d2p(trace.x[i]), y: box.y + yaxis._offset + yaxis.d2p(trace.y[i])};
    }
  }
}"""
POINTS = "#pareto .scatterlayer .point"
RANGE = """() => (document.querySelector('#pareto .js-plotly-plot') || document.querySelector('#pareto'))
  ._fullLayout.xaxis.range.map(v => +v.toFixed(6))"""


def hover(page, key: str) -> str:
    return point_at(page, LOCATE, key, "#pareto")


def click(page, key: str) -> None:
    hover(page, key)
    page.mouse.down()
    page.mouse.up()


def test_report_opens_offline_and_answers(watched, study: Fabricator, tmp_path):
    path = tmp_path / "report.html"
    write_report(StudyView.read(study.folder), path, lambda c: f"# yaml of {c.key}")
    page = watched.page
    page.context.set_offline(True)
    page.goto(path.as_uri())
    page.wait_for_selector(POINTS)
    assert "p3=conv" in hover(page, CONV)
    click(page, CONV)
    page.wait_for_selector("tr.picked")
    assert page.locator("tr.picked").first.get_attribute("data-key") == CONV
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    buttons = page.evaluate("[...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title || b.title)")
    assert "Reset axes" in buttons and not [b for b in buttons if "Share" in b or "Cloud" in b]
    assert watched.outside("file:") == []
    assert watched.complaints == []


def test_dashboard_shows_what_a_click_points_at(watched, served: str):
    page = watched.page
    page.goto(served)
    page.wait_for_selector(POINTS)
    assert "Click a point" in page.locator("#candidate").text_content()
    assert "p3=conv" in hover(page, CONV)
    click(page, CONV)
    page.wait_for_selector("#yaml")
    assert page.locator("#yaml").text_content().startswith(f"# yaml of {CONV}")
    assert "val mAP50-95" in page.locator("#candidate").text_content()
    page.wait_for_selector("#curves .scatterlayer .trace")
    assert page.locator("#curves .scatterlayer .trace").count() == 12
    # a table's row leads to its candidate too, and a click on the same point leads back
    page.locator("#front tr[data-key]").first.click()
    page.wait_for_function("key => !document.querySelector('#yaml').textContent.includes(key)", arg=CONV)
    click(page, CONV)
    page.wait_for_function("key => document.querySelector('#yaml').textContent.includes(key)", arg=CONV)
    assert page.evaluate("window.hacked") is None
    assert watched.outside(served) == []
    assert watched.complaints == []


def test_a_click_counts_while_the_page_is_drawn_again(watched, served: str, study: Fabricator):
    page = watched.page
    page.goto(served)
    page.wait_for_selector(POINTS)
    slow = watched.hold("picked.data")  # the answer to a click, on a busy machine
    click(page, CONV)
    study.complete("p3=lka(k_size=53) p4=none p5=none", 0.4)
    page.wait_for_function("document.querySelector('#trials').textContent.includes('lka(k_size=53)')")
    slow.release()
    page.wait_for_function("key => document.querySelector('#yaml')?.textContent.includes(key)", arg=CONV)


def test_a_new_record_appears_and_the_zoom_stays(watched, served: str, study: Fabricator):
    page = watched.page
    page.goto(served)
    page.wait_for_selector(POINTS)
    box = page.locator("#pareto .nsewdrag").first.bounding_box()
    whole = page.evaluate(RANGE)
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_function(f"before => JSON.stringify(({RANGE})()) !== JSON.stringify(before)", arg=whole)
    zoomed = page.evaluate(RANGE)
    files = sorted(p.name for p in study.folder.iterdir())
    study.complete("p3=lka(k_size=53) p4=none p5=none", 0.4)
    page.wait_for_function("document.querySelector('#trials').textContent.includes('lka(k_size=53)')")
    page.wait_for_function(f"key => !!({LOCATE})(key)", arg="p3=lka(k_size=53) p4=none p5=none")
    assert page.evaluate(RANGE) == zoomed
    page.locator("#pareto .nsewdrag").first.dblclick()
    page.wait_for_function(f"before => ({RANGE})()[0] === before", arg=whole[0])
    study.complete("p3=lka(k_size=41) p4=none p5=none", 0.4)
    page.wait_for_function(f"key => !!({LOCATE})(key)", arg="p3=lka(k_size=41) p4=none p5=none")
    assert page.evaluate(RANGE)[0] == whole[0]
    assert sorted(p.name for p in study.folder.iterdir()) == files
    assert watched.complaints == []


def test_a_candidate_that_failed_and_then_trained_moves_to_its_point(watched, tmp_path):
    """If the trace of failed candidates disappears, plotly must remove all its parts."""
    study = Fabricator(tmp_path / "s")
    for seed in range(2):
        study.complete(BASE, 0.3, seed=seed, role="base")
    key = "p3=acmix(head=4) p4=none p5=none"
    study.fail(key, "CUDA out of memory")
    page = watched.page
    with serving(study.folder) as address:
        page.goto(address)
        page.wait_for_selector(POINTS)
        study.complete(key, 0.35, seed=1)
        traces = "document.querySelector('#pareto .js-plotly-plot')._fullData.map(t => t.name).join()"
        page.wait_for_function(f"{traces} === 'Pareto front,acmix,base'")
        page.wait_for_function(f"document.querySelectorAll('{POINTS}').length === 2")
        assert watched.complaints == []


@pytest.mark.parametrize("width", [1280, 600])
def test_dashboard_fits_its_window(watched, served: str, width: int):
    page = watched.page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(served)
    page.wait_for_selector(POINTS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
