"""The live page before its callbacks fill it, and the progress bar of the study."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from nas_attn.analysis.answer import answer
from nas_attn.analysis.plot_style import PLOT_CONFIG
from nas_attn.analysis.tables import DEMO, counts, estimates
from nas_attn.dashboard.ablation_card import ABOUT
from nas_attn.evaluate.score import Score
from nas_attn.study.view import StudyView

REFRESH_MS = 2000


def study_page(name: str, score: Score, *cards: Any) -> Any:
    """The empty page of a study.

    Args:
        name: the study's name.
        score: the score by which it is read.
        cards: further cards, shown below the plot.
    """
    plot = dcc.Graph(id="pareto", config=PLOT_CONFIG, style={"height": "520px"})
    means = html.P(estimates(score), className="soft")
    first = _card("Accuracy against cost", plot, means, html.P(id="noise", className="soft"))
    return _page(
        *(dcc.Store(id=name) for name in ("stamp", "picked", "shown", "drawn")),
        html.H1(name),
        html.Div(id="progress"),
        html.Div([first, _card("Candidate", html.Div(id="candidate"))], className="columns"),
        *cards,
        _card("Front and controls", html.Div(id="picks"), html.Div(id="front")),
        _card("Newest trials", html.Div(id="trials")),
    )


def ablation_page(name: str, *cards: Any) -> Any:
    """The empty page of a run folder that has ablations only."""
    return _page(html.H1(name), html.P(ABOUT, className="soft"), *cards)


def progress(view: StudyView) -> Any:
    """The progress of a study: its answer so far, a bar, and one chip per state of trials."""
    found = counts(view)
    done = sum(t.state not in ("running", "refused") and not t.origin for t in view.trials)
    config = view.header.get("config", {})
    words = [f"{done} of {max(done, view.target)} trials done", *(f"{n} {state}" for state, n in found.items())]
    share = min(100.0, 100.0 * done / view.target)
    source = " · ".join(str(v) for v in (config.get("model") or view.header.get("base"), config.get("data")) if v)
    parts = [
        html.Div(source, className="soft"),
        html.P(answer(view), className="answer"),
        html.Div([html.Span(word, className="chip") for word in words], className="chips"),
        html.Div(html.Div(style={"width": f"{share:.1f}%"}), className="bar"),
    ]
    if config.get("demo"):
        note = DEMO
        parts.append(html.Div(note, className="note"))
    return parts


def _page(*content: Any) -> Any:
    return html.Div([dcc.Interval(id="tick", interval=REFRESH_MS), *content], className="page")


def _card(title: str, *content: Any) -> Any:
    return html.Section([html.H2(title), *content], className="card")
