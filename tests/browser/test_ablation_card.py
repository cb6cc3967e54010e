"""The card of an ablation in a browser: plots, explanations, the way to the trials, and updates during a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fabricated_studies import fabricate
from served_dashboard import point_at, serving
from untrained_ablations import Stopped, StoppingEngine, ablation_plan, run_ablation_plan

from nas_attn.ablation.plan_record import plan_fields
from nas_attn.ablation.report.words import summary
from nas_attn.ablation.view import AblationView
from nas_attn.dashboard.report import write_report
from nas_attn.dashboard.source import load_shown
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.records import RecordLog

pytestmark = pytest.mark.browser
FULL = "p3=acmix(head=4,kernel_att=7) p4=lska(k_size=23) p5=lska(k_size=23)"
EVALUATOR = SyntheticEvaluator(
    effect_sd=0.0,
    noise_sd=0.002,
    seed_sd=0.02,
    test=True,
    dead=("p5",),
    planted=(("p3=acmix(head=4,kernel_att=7)", -0.03), ("p4=lska(k_size=23)", 0.02)),
)
CARD = "section[data-ablation='ablation']"
# screen position of the mark of a line, by its place in the forest plot
MARK = """([card, at]) => {
  const plot = document.querySelector(`${card} .js-plotly-plot`);
  plot.scrollIntoView({block: 'center'});
  const box = plot.getBoundingClientRect(), layout = plot._fullLayout;
  for (const trace of plot._fullData) {
    const i = trace.y.indexOf(at);
    if (i >= 0) {
      const axis = layout[trace.xaxis.replace('x', 'xaxis')];
      return {x: box.x + axis._offset + axis.d2p(trace.x[i]), y: box.y + layout.yaxis._offset + layout.yaxis.d2p(at)};
    }
  }
}"""
SEEN = f"""() => [...document.querySelectorAll("{CARD} tr[data-trial]")]
  .filter(r => !r.hidden).map(r => r.dataset.trial)"""


def plan(folder: Path):
    return ablation_plan(folder / "ablations" / "ablation", EVALUATOR, full=FULL, seeds=5)


def stop_after(folder: Path, trials: int) -> None:
    with pytest.raises(Stopped):
        run_ablation_plan(plan(folder), StoppingEngine(trials))


def view_of(folder: Path) -> AblationView:
    return AblationView.read(folder / "ablations" / "ablation")


def redesign(view: AblationView, names, first: tuple[str, ...] = ()) -> AblationView:
    """The same trials under another design: other names, and some comparisons moved to the front."""
    fields = plan_fields(view.design, view.looks)
    design = json.loads(names(json.dumps(fields["design"])))
    design["contrasts"].sort(key=lambda c: c["label"] not in first)
    RecordLog(view.folder).append("design", design=design, looks=fields["looks"], settings=view.settings)
    return AblationView.read(view.folder)


def behind(view: AblationView, name: str) -> list[str]:
    arms = (view.design.arm(name), view.design.base_of(None))
    trials = [view.trial(arm, seed) for arm in arms for seed in range(5)]
    return sorted((str(t.number) for t in trials if t is not None), key=int)


@contextmanager
def shown(watched, folder: Path) -> Iterator:
    """The page of a served folder, after the card's plot is drawn."""
    with serving(folder) as address:
        watched.page.goto(address)
        watched.page.wait_for_selector(f"{CARD} .scatterlayer .point")
        yield watched.page


def told_at(page, at: int) -> str:
    return point_at(page, MARK, [CARD, at], CARD)


def click_mark(page, at: int) -> None:
    told_at(page, at)
    page.mouse.down()
    page.mouse.up()


def place(view: AblationView, label: str) -> int:
    return [d.contrast.label for d in view.decisions if d.contrast.family == "base"].index(label)


def wait_for_trials(page, wanted: list[str]) -> None:
    sort = "(a, b) => a - b"
    page.wait_for_function(f"wanted => ({SEEN})().sort({sort}).join() === wanted", arg=",".join(wanted))


def test_report_leads_from_a_line_to_its_trials(watched, tmp_path):
    fabricate(tmp_path / "bccd", 6)
    view = run_ablation_plan(plan(tmp_path / "bccd"))
    write_report(load_shown(tmp_path / "bccd"), tmp_path / "r.html")
    page = watched.page
    page.context.set_offline(True)
    page.goto((tmp_path / "r.html").as_uri())
    page.wait_for_selector(f"{CARD} .scatterlayer .point")
    assert page.locator(f"{CARD} .answer").text_content() == summary(view)
    told = told_at(page, place(view, "p3 alone"))
    assert "p3=acmix(head=4,kernel_att=7)" in told and "worse" in told and "Δ on test" in told
    click_mark(page, place(view, "p3 alone"))
    wait_for_trials(page, behind(view, "p3 alone"))
    assert 'Trials of "p3 alone": 10 of' in page.locator(f"{CARD} .said").text_content()
    assert page.locator(f"{CARD} tr.picked td").first.text_content() == "p3 alone"
    assert "slot p5 is dead" in told_at(page, place(view, "p5 alone"))
    page.locator(f"{CARD} tr[data-trials]", has_text="p4 alone").first.click()
    wait_for_trials(page, behind(view, "p4 alone"))
    page.get_by_role("button", name="show all").click()
    wait_for_trials(page, [str(t.number) for t in view.trials])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert watched.outside("file:") == [] and watched.complaints == []


def test_dashboard_follows_an_ablation(watched, tmp_path):
    folder = tmp_path / "bccd"
    fabricate(folder, 6)
    with serving(folder) as address:
        page = watched.page
        page.goto(address)
        page.wait_for_selector("#pareto .scatterlayer .point")
        assert page.locator("section[data-ablation]").count() == 0
        stop_after(folder, 21)  # it begins while the page is open
        page.wait_for_selector(f"{CARD} .scatterlayer .point")
        assert page.locator(f"{CARD} .answer").text_content() == summary(view_of(folder))
        assert page.locator(f"{CARD} h2 .warn").text_content().startswith("PARTIAL")
        click_mark(page, place(view_of(folder), "p3 alone"))
        page.wait_for_function(f"""document.querySelector("{CARD} .trials p").textContent.includes('p3 alone')""")
        view = run_ablation_plan(plan(folder))
        now = summary(view)
        page.wait_for_function(f"""now => document.querySelector("{CARD} .answer").textContent === now""", arg=now)
        wait_for_trials(page, behind(view, "p3 alone"))  # what was picked stays, and grows
        page.wait_for_function(f"""document.querySelector("{CARD} tr.picked td")?.textContent === 'p3 alone'""")
        assert page.locator(f"{CARD} .warn").count() == 0
        page.locator(f"{CARD} tr[data-line]", has_text="p4 alone").first.click()
        wait_for_trials(page, behind(view, "p4 alone"))
        assert page.locator("#picked").count() == 0 or "Click a point" in page.locator("#candidate").text_content()
        page.get_by_role("button", name="show all").click()
        wait_for_trials(page, [str(t.number) for t in view.trials])
        click_mark(page, place(view, "p3 alone"))  # a second click on the same mark counts again
        wait_for_trials(page, behind(view, "p3 alone"))
        assert watched.outside(address) == [] and watched.complaints == []


def test_a_click_counts_while_the_card_is_drawn_again(watched, tmp_path):
    folder = tmp_path / "alone"
    stop_after(folder, 21)
    with shown(watched, folder) as page:
        slow = watched.hold('"part":"picked"')  # the answer to a click, on a busy machine
        click_mark(page, place(view_of(folder), "p3 alone"))
        view = run_ablation_plan(plan(folder))
        page.wait_for_function(f"""() => document.querySelectorAll("{CARD} .warn").length === 0""")
        slow.release()
        wait_for_trials(page, behind(view, "p3 alone"))


def test_a_card_that_shows_the_newest_is_not_drawn_again(watched, tmp_path):
    folder = tmp_path / "alone"
    stop_after(folder, 12)
    with shown(watched, folder) as page:
        slow = watched.hold("ablation-stamp.data")
        stop_after(folder, 16)
        slow.wait()
        run_ablation_plan(plan(folder))  # what is drawn for the held news is newer than they are
        drawn, news = watched.answers('"part":"body"'), watched.answers("ablation-stamp.data")
        slow.release()
        page.wait_for_function(f"""() => document.querySelectorAll("{CARD} .warn").length === 0""")
        watched.wait_until(lambda: len(news) == 4 and len(drawn) == 2)
        assert ["children" in r.text() for r in drawn] == [True, False]


def test_a_second_ablation_leaves_what_was_picked(watched, tmp_path):
    folder = tmp_path / "alone"
    view = run_ablation_plan(plan(folder))
    with shown(watched, folder) as page:
        page.locator(f"{CARD} tr[data-line]", has_text="p4 alone").first.click()
        wait_for_trials(page, behind(view, "p4 alone"))
        run_ablation_plan(ablation_plan(folder / "ablations" / "second", EVALUATOR, full=FULL, seeds=3))
        page.wait_for_selector("section[data-ablation='second'] .scatterlayer .point")
        assert page.locator(f"{CARD} tr.picked td").first.text_content() == "p4 alone"
        wait_for_trials(page, behind(view, "p4 alone"))
        assert watched.complaints == []


def test_a_picked_line_stays_picked_when_others_come_before_it(watched, tmp_path):
    folder = tmp_path / "alone"
    view = run_ablation_plan(plan(folder))
    wanted, odd = behind(view, "p4 alone"), """it's "p4".n_clicks} = <b> | {\\x} Δ `${1}` &amp; base"""
    redesign(view, lambda text: text.replace(json.dumps("p4 alone"), json.dumps(odd)))
    with shown(watched, folder) as page:
        at = place(view, "p4 alone")
        click_mark(page, at)
        wait_for_trials(page, wanted)
        view = redesign(view_of(folder), lambda text: text, first=("p5 alone",))
        assert place(view, odd) != at
        page.wait_for_function(
            f"""at => document.querySelectorAll("{CARD} table")[0].rows[at + 2]
          .cells[0].textContent === {json.dumps(odd)}""",
            arg=place(view, odd),
        )
        page.wait_for_function(
            f"""odd => document.querySelector("{CARD} tr.picked td")?.textContent === odd""", arg=odd
        )
        wait_for_trials(page, wanted)
        page.get_by_role("button", name="show all").click()
        wait_for_trials(page, [str(t.number) for t in view.trials])
        page.locator(f"{CARD} tr[data-line]", has_text="it's").first.click()
        wait_for_trials(page, wanted)
        assert watched.complaints == []
    write_report(load_shown(folder), tmp_path / "r.html")
    page.goto((tmp_path / "r.html").as_uri())
    page.wait_for_selector(f"{CARD} .scatterlayer .point")
    click_mark(page, place(view, odd))
    wait_for_trials(page, wanted)
    assert page.locator(f"{CARD} tr.picked td").first.text_content() == odd


@pytest.mark.parametrize("width", [1280, 600])
def test_dashboard_of_an_ablation_without_a_study(watched, tmp_path, width: int):
    folder = tmp_path / "alone"
    stop_after(folder, 12)
    page = watched.page
    page.set_viewport_size({"width": width, "height": 800})
    with serving(folder) as address:
        page.goto(address)
        page.wait_for_selector(f"{CARD} .scatterlayer .point")
        assert page.locator("h1").text_content() == "synthetic" and page.locator("#pareto").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        run_ablation_plan(plan(folder))
        page.wait_for_function(f"""document.querySelectorAll("{CARD} .warn").length === 0""")
        assert watched.complaints == []
