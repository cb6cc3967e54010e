"""The static report: one HTML file that opens anywhere, offline, and asks nobody for anything."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from nas_attn.analysis.figures import PLOT_CONFIG, liveness_figure, liveness_numbers, pareto_figure, pareto_numbers
from nas_attn.analysis.front import front
from nas_attn.analysis.noise import noise_words
from nas_attn.analysis.tables import alias_table, facts, front_table, genes, liveness_table, trials_table
from nas_attn.atomic_files import write_text_atomic
from nas_attn.dashboard import ablation, as_html, effects_card
from nas_attn.dashboard.ablation_card import AblationCard
from nas_attn.dashboard.source import Shown
from nas_attn.dashboard.style import CSS
from nas_attn.errors import NasAttnError
from nas_attn.study.view import Candidate, StudyView

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

DEMO = (
    "This is the built-in demonstration on generated pictures. Its ranking of modules does not carry over to real "
    "data: run the search on your own data set before drawing any conclusion."
)
CAUTION = (
    "The verdicts compare one candidate at a time; among many candidates about one in twenty passes by luck. All runs "
    "of one seed share one base run, so a lucky or unlucky base moves them together. The front is chosen on val; "
    "where the data set has a test split, that column was not used for choosing. Confirm a winner with more seeds "
    "before you rely on it."
)
# a click on a point leads to its row, a click on a row marks it
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


def write_report(shown: StudyView | Shown, path: Path, yaml_of: Callable[[Candidate], str] | None = None) -> None:
    """Write a study and its ablations as one self-contained HTML file, whole or not at all.

    Args:
        shown: the study, or what `load_shown` found.
        path: the file; an older one is replaced.
        yaml_of: gives a candidate's model YAML; where given, the front's are included.

    Raises:
        UserError: the file cannot be written.
    """
    write_text_atomic(Path(path), report_html(shown, yaml_of))


def report_html(shown: StudyView | Shown, yaml_of: Callable[[Candidate], str] | None = None) -> str:
    """The report's text."""
    from plotly.offline import get_plotlyjs

    if isinstance(shown, StudyView):
        shown = Shown.of(shown)
    title = f"nas_attn: {shown.name}"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{CSS}</style>'
        f"<script>{get_plotlyjs()}</script>"
    )
    body = as_html.element("div", *_parts(shown, yaml_of), class_="page")
    script = _SCRIPT + ablation.SCRIPT
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}<script>{script}</script></body></html>\n'


def _parts(shown: Shown, yaml_of: Callable[[Candidate], str] | None) -> list[str]:
    cards = [ablation.ablation_card(AblationCard(view), i) for i, view in enumerate(shown.ablations)]
    if not shown.searched:
        about = as_html.text("p", ablation.ABOUT, class_="soft")
        return [as_html.text("h1", shown.name), about, *cards]
    view = shown.study
    parts = [
        as_html.text("h1", view.name),
        as_html.text("p", "Attention modules at the neck of a YOLO detector: accuracy against cost", class_="soft"),
    ]
    if view.header.get("config", {}).get("demo"):
        parts.append(as_html.text("div", DEMO, class_="note"))
    parts += [
        _card("What was run", as_html.facts(facts(view))),
        _card(
            "Accuracy against cost",
            _plot(pareto_figure(pareto_numbers(view)), "pareto"),
            as_html.text(
                "p",
                "Bars: ± one standard deviation over seeds. A dark rim marks the front. Click a point to find its row.",
                class_="soft",
            ),
        ),
        *cards,
        _card(effects_card.TITLE, *effects_card.effects_card(view)),
        _card(
            "Front and controls",
            as_html.table(front_table(view)),
            as_html.element("br"),
            as_html.text("p", noise_words(view)),
            as_html.text("p", CAUTION, class_="soft"),
        ),
        _card("Which slots are alive", *_liveness(view)),
    ]
    if yaml_of is not None:
        parts.append(_card("Model YAML of the front", *(_yaml(c, yaml_of) for c in front(view))))
    parts.append(_card("All trials", as_html.table(trials_table(view), tall=True)))
    aliases = alias_table(view)
    if aliases is not None:
        summary = as_html.text("summary", f"{len(aliases.rows)} settings that coincide at this image size")
        why = as_html.text(
            "p",
            "On this study's maps these compute the same function as a cheaper setting, which stands "
            "for them in the search.",
        )
        parts.append(_card("Collapsed settings", as_html.element("details", summary, why, as_html.table(aliases))))
    return parts


def _card(title: str, *content: str) -> str:
    return as_html.element("section", as_html.text("h2", title), *content, class_="card")


def _liveness(view: StudyView) -> list[str]:
    numbers, table = liveness_numbers(view), liveness_table(view)
    if numbers is None or table is None:
        return [as_html.text("p", "Not measured yet: this is done once the base is trained.")]
    words = (
        "mAP50-95 that the trained base loses on val when a slot's output is zeroed. Attention cannot matter where "
        "nothing is lost."
    )
    columns = as_html.element(
        "div", as_html.table(table), _plot(liveness_figure(numbers), "liveness"), class_="columns"
    )
    return [as_html.text("p", words), columns]


def _plot(figure: Figure, name: str) -> str:
    return figure.to_html(
        full_html=False, include_plotlyjs=False, include_mathjax=False, div_id=name, config=PLOT_CONFIG
    )


def _yaml(candidate: Candidate, yaml_of: Callable[[Candidate], str]) -> str:
    try:
        content = yaml_of(candidate)
    except NasAttnError as error:
        content = str(error)
    return as_html.element(
        "details", as_html.text("summary", " ".join(genes(candidate.key))), as_html.text("pre", content)
    )
