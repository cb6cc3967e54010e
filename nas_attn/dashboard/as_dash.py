"""The dashboard's pieces as Dash components: view -> component, without callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dash import dcc, html

from nas_attn.analysis.figures import PLOT_CONFIG, curve_figure, curve_numbers
from nas_attn.analysis.noise import noise, verdict
from nas_attn.analysis.tables import EMPTY, MANY_SLOTS, PAIRED, Table, counts, genes, number, signed
from nas_attn.dashboard.ablation import ABOUT
from nas_attn.dashboard.as_html import CLASSES
from nas_attn.errors import NasAttnError
from nas_attn.study.view import Candidate, StudyView

REFRESH_MS = 2000
CLICK_HINT = "Click a point, or a row of a table, to see its settings, learning curves and model YAML."
NO_YAML = "The model YAML is shown where the detector package is at hand: start this page with `nas_attn dashboard`."


def page(name: str, *cards: Any) -> Any:
    """The empty page; callbacks fill it.

    Args:
        name: the study's name.
        cards: more of them, shown below the plot.
    """
    return html.Div(
        [
            dcc.Interval(id="tick", interval=REFRESH_MS),
            dcc.Store(id="stamp"),
            dcc.Store(id="picked"),
            dcc.Store(id="shown"),
            dcc.Store(id="drawn"),
            html.H1(name),
            html.Div(id="progress"),
            html.Div(
                [
                    html.Section(
                        [
                            html.H2("Accuracy against cost"),
                            dcc.Graph(id="pareto", config=PLOT_CONFIG, style={"height": "520px"}),
                            html.P(id="noise", className="soft"),
                        ],
                        className="card",
                    ),
                    html.Section([html.H2("Candidate"), html.Div(id="candidate")], className="card"),
                ],
                className="columns",
            ),
            *cards,
            html.Section([html.H2("Front and controls"), html.Div(id="front")], className="card"),
            html.Section([html.H2("Newest trials"), html.Div(id="trials")], className="card"),
        ],
        className="page",
    )


def ablation_page(name: str, *cards: Any) -> Any:
    """The empty page of ablations without a study."""
    tick = dcc.Interval(id="tick", interval=REFRESH_MS)
    return html.Div([tick, html.H1(name), html.P(ABOUT, className="soft"), *cards], className="page")


def progress(view: StudyView) -> Any:
    """How far the study is: a bar and one chip per state."""
    found = counts(view)
    done = sum(n for state, n in found.items() if state not in ("running", "refused"))
    config = view.header.get("config", {})
    words = f"{done} of {max(done, view.target)} trials done"
    share = min(100.0, 100.0 * done / view.target)
    source = " · ".join(str(v) for v in (config.get("model") or view.header.get("base"), config.get("data")) if v)
    parts = [
        html.Div(source, className="soft"),
        html.Div(
            [html.Span(words, className="chip"), *(html.Span(f"{n} {s}", className="chip") for s, n in found.items())],
            className="chips",
        ),
        html.Div(html.Div(style={"width": f"{share:.1f}%"}), className="bar"),
    ]
    if config.get("demo"):
        note = "Built-in demonstration on generated pictures: its ranking does not carry over to real data."
        parts.append(html.Div(note, className="note"))
    return parts


def details(view: StudyView, candidate: Candidate | None, yaml_of: Callable[[Candidate], str] | None) -> Any:
    """Settings, results, learning curves and model YAML of one candidate."""
    if candidate is None:
        return html.P(CLICK_HINT, className="soft")
    settings = _settings(candidate)
    curves = curve_numbers(view, candidate)
    return [
        _pairs([*settings, *_results(view, candidate)]),
        html.Details(
            [html.Summary("Learning curves"), _curves(curves) if curves.curves else html.P("No trial has ended yet.")],
            open=True,
        ),
        html.Details([html.Summary("Model YAML"), _yaml(candidate, yaml_of)], open=True),
    ]


def table(content: Table, kind: str, *, tall: bool = False, rows: Sequence[Mapping[str, Any]] | None = None) -> Any:
    """A table whose rows, where they are about a candidate, can be clicked.

    Args:
        content: the rows.
        kind: tells this table's row ids from another's.
        tall: scroll within a fixed height.
        rows: properties of the rows, where a click on them means something else.
    """
    lines = []
    for i, (key, row) in enumerate(zip(content.keys, content.rows, strict=True)):
        cells = [_cell(column, value) for column, value in zip(content.columns, row, strict=True)]
        identity: Any = {"kind": kind, "row": i, "key": key} if key else f"{kind}-{i}"
        wildcard: dict[str, Any] = {"data-key": key} if key else {}
        properties = rows[i] if rows is not None else {"id": identity, "n_clicks": 0, **wildcard}
        lines.append(html.Tr(cells, **properties))
    head = html.Thead(html.Tr([html.Th(c) for c in content.columns]))
    return html.Div(html.Table([head, html.Tbody(lines)]), className="tall" if tall else "scroll")


def _cell(column: str, value: str) -> Any:
    kind = CLASSES.get(column)
    if kind is None:
        return html.Td(value)
    parts = genes(value) if kind == "key" else [value]
    return html.Td([html.Span(part.replace(",", ",\u200b")) for part in parts], className=kind)


def _settings(candidate: Candidate) -> list[tuple[str, str]]:
    """(slot, gene); of many slots only those that hold something."""
    every = [(slot, str(gene)) for slot, gene in candidate.architecture]
    filled = [(slot, gene) for slot, gene in every if gene != "none"]
    if len(every) <= MANY_SLOTS or len(filled) == len(every):
        return every
    return [*filled, ("other slots" if filled else "slots", f"none in all {len(every) - len(filled)}")]


def _results(view: StudyView, candidate: Candidate) -> list[tuple[str, str]]:
    spread = f" ± {candidate.sd:.4f}" if candidate.sd is not None else ""
    seeds = ", ".join(map(str, candidate.seeds)) or EMPTY
    rows = [(PAIRED, number(candidate.score)), ("val mAP50-95", number(candidate.mean) + spread), ("seeds", seeds)]
    if not candidate.architecture.is_base and candidate.score is not None:
        rows.append(("Δ to base", f"{signed(candidate.delta)} ({verdict(candidate, noise(view))})"))
    rows.append(("cost", f"{candidate.gmacs:.3f} GMACs, {number(candidate.cost.get('params_m'), 3)} M parameters"))
    trials = [f"{t.number} ({t.state})" for t in candidate.trials]
    rows.append(("trials", ", ".join(trials)))
    flags = dict.fromkeys(f for t in candidate.trials if t.evaluation for f in t.evaluation.flags)
    if flags:
        rows.append(("not comparable", ", ".join(flags)))
    rows += [(f"trial {t.number} failed", t.reason) for t in candidate.trials if t.state == "failed"]
    return rows


def _curves(numbers: Any) -> Any:
    return dcc.Graph(id="curves", figure=curve_figure(numbers), config=PLOT_CONFIG, style={"height": "380px"})


def _yaml(candidate: Candidate, yaml_of: Callable[[Candidate], str] | None) -> Any:
    if yaml_of is None:
        return html.P(NO_YAML, className="soft")
    try:
        return html.Pre(yaml_of(candidate), id="yaml")
    except NasAttnError as error:
        return html.P(str(error))


def _pairs(pairs: list[tuple[str, str]]) -> Any:
    items = [part for k, v in pairs for part in (html.Dt(k), html.Dd(v))]
    return html.Dl(items, className="facts one")
