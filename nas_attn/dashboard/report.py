"""The report: one HTML file that opens offline and loads no other file."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

from nas_attn.analysis import tables
from nas_attn.analysis.answer import answer
from nas_attn.analysis.figures import liveness_figure, liveness_numbers, pareto_figure, pareto_numbers
from nas_attn.analysis.front import front
from nas_attn.analysis.noise import noise_words
from nas_attn.atomic_files import check_free, write_text_atomic
from nas_attn.dashboard.ablation_card import ABOUT, LIVENESS_TITLE, AblationCard, whole_card
from nas_attn.dashboard.as_html import render
from nas_attn.dashboard.blocks import Block, Plot, card, details, element, facts, table, text
from nas_attn.dashboard.candidate_card import picks_blocks, yaml_block
from nas_attn.dashboard.effects_card import TITLE, effects_blocks, importance_blocks
from nas_attn.dashboard.source import Shown
from nas_attn.dashboard.style import CSS
from nas_attn.study.view import Candidate, StudyView

CAUTION = (
    "Verdicts hold for all candidates together: at most 5 % of studies have a wrong one. P(better) is the probability "
    "that a candidate is better than the base, P(front) that no trained candidate is as cheap and as good, and "
    "P(right) that a pick is truly the best, the knee, or within one standard error of the best. The front is chosen "
    "on val only; test, if the data set has it, is shown for information. Before you rely on a winner, confirm it with "
    "an ablation."
)
BARS = (
    "Bars: 95 % interval of the difference to the base, for the front. A dark border marks the front. Click a point to "
    "find its row."
)
LIVENESS = (
    "Loss of {score} on val if the slot's output is set to zero in the trained base. If nothing is lost, attention "
    "cannot help at that slot."
)
ALIASES = (
    "At this image size, these settings compute the same function as a cheaper setting. The search uses the cheaper "
    "one only."
)
# a click on a point scrolls to its row; a click on a row marks it
_SCRIPT = """
const rows = [...document.querySelectorAll('tr[data-key]')];
function mark(key, scroll) {
  const hits = rows.filter(r => r.dataset.key === key);
  rows.forEach(r => r.classList.toggle('picked', r.dataset.key === key));
  if (scroll && hits.length) { hits[0].scrollIntoView({block: 'center'}); }
}
rows.forEach(r => r.addEventListener('click', () => mark(r.dataset.key, false)));
document.getElementById('pareto')?.on('plotly_click', e => {
  const data = e.points[0].customdata;
  if (data) { mark(data[0], true); }
});
"""
# a click on a line hides all other trials in the card's list; the rows hold the numbers of their trials
_ABLATION_SCRIPT = """
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
    said.textContent = line ? `Trials of "${line.cells[0].textContent}": ${trials.filter(r => !r.hidden).length} of ` +
      `${trials.length}.` : `All ${trials.length} trials.`;
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


def check_report(path: Path, force: bool, option: str = "-o") -> None:
    """Refuse to write a report over another kind of file; an older report is replaced.

    Raises:
        UserError: the path is a folder, or a file that is no report and `force` is not set.
    """
    check_free([path] if path.is_dir() or path.suffix.lower() not in (".html", ".htm") else [], force, option)


def write_report(shown: StudyView | Shown, path: Path, yaml_of: Callable[[Candidate], str] | None = None) -> None:
    """Write a study and its ablations as one HTML file, complete or not at all.

    Args:
        shown: the study, or what `load_shown` found.
        path: the file; an older one is replaced.
        yaml_of: returns the model YAML of a candidate; if given, the YAMLs of the front are included.

    Raises:
        UserError: the file cannot be written.
    """
    write_text_atomic(Path(path), report_html(shown, yaml_of))


def report_html(shown: StudyView | Shown, yaml_of: Callable[[Candidate], str] | None = None) -> str:
    """The HTML text of the report."""
    from plotly.offline import get_plotlyjs

    if isinstance(shown, StudyView):
        shown = Shown.of(shown)
    title = f"nas_attn: {shown.name}"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{CSS}</style>'
        f"<script>{get_plotlyjs()}</script>"
    )
    body = render(element("div", *_blocks(shown, yaml_of), kind="page"))
    script = _SCRIPT + _ABLATION_SCRIPT
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}<script>{script}</script></body></html>\n'


def _blocks(shown: Shown, yaml_of: Callable[[Candidate], str] | None) -> list[Block]:
    ablations = [whole_card(AblationCard(view), i) for i, view in enumerate(shown.ablations)]
    if not shown.searched:
        return [element("h1", shown.name), text(ABOUT, "soft"), *ablations]
    view = shown.study
    blocks: list[Block] = [
        element("h1", view.name),
        text("Attention modules in the neck of a YOLO detector: accuracy against cost", "soft"),
        text(answer(view), "answer"),
        *([element("div", tables.DEMO, kind="note")] if view.header.get("config", {}).get("demo") else []),
        card("Conditions", facts(tables.facts(view))),
        card(
            "Accuracy against cost",
            Plot(pareto_figure(pareto_numbers(view)), "pareto", tools=True),
            text(f"{BARS} {tables.estimates(view.score)}", "soft"),
        ),
        *ablations,
        card(TITLE, *effects_blocks(view), *importance_blocks(view)),
        card(
            "Front and controls",
            *picks_blocks(view),
            table(tables.front_table(view)),
            element("br"),
            text(noise_words(view)),
            text(CAUTION, "soft"),
        ),
        card(LIVENESS_TITLE, *_liveness(view)),
    ]
    if yaml_of is not None:
        yamls = (details(" ".join(tables.genes(c.key)), yaml_block(c, yaml_of)) for c in front(view))
        blocks.append(card("Model YAML of the front", *yamls))
    blocks.append(card("All trials", table(tables.trials_table(view), tall=True)))
    aliases = tables.alias_table(view)
    if aliases is not None:
        summary = f"{len(aliases.rows)} settings that equal a cheaper one at this image size"
        blocks.append(card("Equal settings", details(summary, text(ALIASES), table(aliases))))
    return blocks


def _liveness(view: StudyView) -> list[Block]:
    numbers, slots = liveness_numbers(view), tables.liveness_table(view)
    if numbers is None or slots is None:
        return [text("Not measured yet; it needs a trained base.")]
    plot = Plot(liveness_figure(numbers), "liveness", tools=True)
    return [text(LIVENESS.format(score=numbers.scored_by.words)), element("div", table(slots), plot, kind="columns")]
