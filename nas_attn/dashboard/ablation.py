"""The report's card on an ablation: answer, forest plot, tables, and the trials behind every figure."""

from __future__ import annotations

from nas_attn.ablation.report.forest_figure import MIN_WIDTH, forest_figure
from nas_attn.ablation.report.trials import trials_table
from nas_attn.analysis.figures import PLOT_CONFIG
from nas_attn.dashboard import as_html
from nas_attn.dashboard.ablation_card import OWN_NUMBERS, AblationCard, Section

ABOUT = "An architecture taken apart: every arm trained with the same seeds as the base"
# a line's click leaves only its trials in the card's own list; the rows of the card hold them as numbers
SCRIPT = """
document.querySelectorAll('section[data-ablation]').forEach(card => {
  const lines = [...card.querySelectorAll('tr[data-trials]')];
  const trials = [...card.querySelectorAll('tr[data-trial]')];
  const said = card.querySelector('.said'), every = card.querySelector('button');
  const list = card.querySelector('.trials');
  function show(line) {
    const kept = line ? new Set(line.dataset.trials.split(' ')) : null;
    lines.forEach(r => r.classList.toggle('picked', r === line));
    trials.forEach(r => { r.hidden = kept !== null && !kept.has(r.dataset.trial); });
    every.hidden = line === null;
    said.textContent = line ? `Behind "${line.cells[0].textContent}": ${trials.filter(r => !r.hidden).length} of ` +
      `${trials.length} trials.` : `All ${trials.length} trials.`;
    if (line) { list.scrollIntoView({block: 'nearest'}); }
  }
  lines.forEach(r => r.addEventListener('click', () => show(r)));
  every.addEventListener('click', () => show(null));
  const plot = card.querySelector('.js-plotly-plot');
  if (plot) { plot.on('plotly_click', e => {
    const data = e.points[0].customdata;
    if (data) { show(lines.find(r => r.dataset.line === data[0])); }
  }); }
});
"""


def ablation_card(card: AblationCard, number: int) -> str:
    """The card as HTML.

    Args:
        card: its content.
        number: tells its plot from those of other cards on the page.
    """
    parts = [
        as_html.element("h2", as_html.text("span", card.title), _mark(card)),
        as_html.text("p", card.summary, class_="answer"),
        as_html.facts(card.facts),
    ]
    if card.forest.lines:
        parts += [_plot(card, f"forest-{number}"), as_html.text("p", card.reading, class_="soft")]
    for section in card.sections:
        parts += _section(card, section)
    parts += [as_html.text("h3", "Which slots are alive"), as_html.text("p", card.liveness), _trials(card)]
    return as_html.element("section", *parts, class_="card", data_ablation=card.key)


def _mark(card: AblationCard) -> str:
    return as_html.text("span", card.mark, class_="chip warn") if card.mark else ""


def _section(card: AblationCard, section: Section) -> list[str]:
    rows = [
        {"data_trials": " ".join(map(str, numbers)), "data_line": key}
        for key, numbers in zip(section.lines, section.trials, strict=True)
    ]
    return [
        as_html.element("h3", as_html.text("span", section.title), _mark(card)),
        as_html.table(section.table, tall=section.tall, rows=rows),
        as_html.text("p", section.method, class_="soft"),
    ]


def _trials(card: AblationCard) -> str:
    table = trials_table(card.view)
    rows = [{"data_trial": str(key)} for key in table.keys]
    every = as_html.element("button", "show all", type="button", hidden="hidden")
    said = as_html.element("p", as_html.text("span", f"All {len(rows)} trials.", class_="said"), " ", every)
    return as_html.element(
        "div",
        as_html.text("h3", "Trials of this ablation"),
        as_html.text("p", OWN_NUMBERS, class_="soft"),
        said,
        as_html.table(table, tall=True, rows=rows),
        class_="trials",
    )


def _plot(card: AblationCard, name: str) -> str:
    config = {**PLOT_CONFIG, "displayModeBar": False}
    figure = forest_figure(card.forest)
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, include_mathjax=False, div_id=name, config=config)
    return as_html.element("div", as_html.element("div", drawn, style=f"min-width:{MIN_WIDTH}px"), class_="scroll")
