"""Draws figures of a study with plotly. Each point carries the key of its candidate, so that clicks can find it."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from nas_attn.analysis.difference import percent
from nas_attn.analysis.figure_numbers import (
    CurveNumbers,
    LivenessNumbers,
    ParetoNumbers,
    Point,
    curve_numbers,
    liveness_numbers,
    pareto_numbers,
)
from nas_attn.analysis.plot_style import GREY, INK, PALETTE, SOFT, template
from nas_attn.analysis.tables import estimated, genes

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from nas_attn.evaluate.score import Score

__all__ = [
    "curve_figure",
    "curve_numbers",
    "liveness_figure",
    "liveness_numbers",
    "pareto_figure",
    "pareto_numbers",
]

SHAPES = ("circle", "square", "triangle-up", "pentagon", "triangle-down", "hexagon", "star-triangle-up", "bowtie")
EXPECTED = {"stopped": "expected to end at", "together": "expected of a run of its own:"}  # without a mean of runs
CONTROLS = {"base": (INK, "star", 17), "conv control": (INK, "diamond", 13)}


def pareto_figure(numbers: ParetoNumbers) -> Figure:
    """The Pareto plot: the score against cost for all candidates, with the front, controls and the noise of a run."""
    import plotly.graph_objects as go

    figure, score = go.Figure(), numbers.scored_by
    measured = [p for p in numbers.points if p.score is not None]
    _noise_band(figure, numbers)
    _front_line(figure, numbers, measured)
    for group, style in _styles(numbers.groups).items():
        points = [p for p in measured if p.group == group and p.state == "usable"]
        if points:
            figure.add_trace(_group_trace(group, style, points, score))
    stopped = [p for p in measured if p.state == "stopped"]
    if stopped:
        expected = [p.score for p in stopped]
        figure.add_trace(_hollow("stopped early (expected)", "triangle-down-open", stopped, expected, score))
    grouped = [p for p in measured if p.state == "together"]
    if grouped:
        expected = [p.score for p in grouped]
        figure.add_trace(_hollow("trained together (expected)", "square-open", grouped, expected, score))
    flagged = [p for p in measured if p.state == "flagged"]
    if flagged:
        figure.add_trace(_hollow("not comparable", "circle-open", flagged, [p.score for p in flagged], score))
    failed = [p for p in numbers.points if p.score is None and p.state not in EXPECTED]
    if failed:
        floor = _floor(measured)
        figure.add_trace(_hollow("failed (no score)", "x-thin-open", failed, [floor] * len(failed), score))
    _layout(figure, height=520)
    figure.update_xaxes(title_text="cost of the final model (GMACs: 10⁹ multiply-accumulates per image)")
    figure.update_yaxes(title_text=f"{estimated(numbers.scored_by)} on val", tickformat=".3f")
    figure.update_layout(hovermode="closest", clickmode="event", legend=_legend_below())
    return figure


def curve_figure(numbers: CurveNumbers) -> Figure:
    """The learning curves: training loss and score per epoch; base trials are grey and dashed."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    seeds = {seed: i for i, seed in enumerate(sorted({c.seed for c in numbers.curves}))}
    for curve in numbers.curves:
        i = seeds[curve.seed] % len(PALETTE)
        color = GREY if curve.is_base else PALETTE[i]
        for row, series, unit in ((1, curve.loss, "loss"), (2, curve.score, numbers.scored_by.words)):
            figure.add_trace(
                go.Scatter(
                    x=[x for x, _ in series],
                    y=[y for _, y in series],
                    name=curve.label,
                    legendgroup=curve.label,
                    showlegend=row == 1,
                    mode="lines+markers",
                    line={"color": color, "width": 2, "dash": "dash" if curve.is_base else "solid"},
                    marker={"symbol": SHAPES[i], "size": 6, "color": color},
                    hovertemplate=f"{escape(curve.label)} (trial {curve.number})<br>epoch %{{x}}: {unit} %{{y:.4f}}"
                    "<extra></extra>",
                ),
                row=row,
                col=1,
            )
    _layout(figure, height=380)
    figure.update_yaxes(title_text="training loss", row=1, col=1)
    figure.update_yaxes(title_text=f"val {escape(numbers.scored_by.words)}", row=2, col=1)
    figure.update_xaxes(title_text="epoch", row=2, col=1)
    figure.update_layout(legend=_legend_below(-0.2))
    return figure


def liveness_figure(numbers: LivenessNumbers) -> Figure:
    """The liveness plot: one bar per slot, and a line at the threshold of a live slot."""
    import plotly.graph_objects as go

    names, words = [slot for slot, _ in numbers.drop], numbers.scored_by.words
    figure = go.Figure(
        go.Bar(
            x=names,
            y=[lost for _, lost in numbers.drop],
            marker={"color": [PALETTE[0] if s in numbers.live else "#c3cad1" for s in names]},
            text=[f"{lost:+.4f}" for _, lost in numbers.drop],
            textposition="outside",
            cliponaxis=False,
            width=0.5,
            hovertemplate=f"%{{x}}: zeroing it loses %{{y:+.4f}} {escape(words)}<extra></extra>",
        )
    )
    figure.add_hline(y=numbers.threshold, line={"color": PALETTE[1], "dash": "dash", "width": 1.5})
    figure.add_annotation(
        text=f"dashed: a live slot loses at least {numbers.threshold:g}",
        font={"color": PALETTE[1], "size": 12},
        showarrow=False,
        x=1,
        y=1.02,
        xref="paper",
        yref="paper",
        xanchor="right",
        yanchor="bottom",
    )
    values = [lost for _, lost in numbers.drop]
    low, high = min(0.0, *values), max(numbers.threshold, *values)
    room = 0.18 * (high - low)
    _layout(figure, height=300)
    figure.update_xaxes(title_text="slot", type="category")
    figure.update_yaxes(title_text=f"{escape(words)} lost", range=[low - room if low < 0 else 0, high + room])
    return figure


def _styles(groups: tuple[str, ...]) -> dict[str, tuple[str, str, int]]:
    searched = [g for g in groups if g not in CONTROLS]
    styles = {g: (PALETTE[i % len(PALETTE)], SHAPES[i % len(SHAPES)], 10) for i, g in enumerate(searched)}
    return {**styles, **{g: CONTROLS[g] for g in groups if g in CONTROLS}}  # controls are drawn last, on top


def _uid(name: str) -> str:
    """The identity of a trace in a live plot, made of letters and digits, because plotly uses it as a CSS class."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", name)


def _group_trace(group: str, style: tuple[str, str, int], points: list[Point], score: Score) -> Any:
    import plotly.graph_objects as go

    color, symbol, size = style
    named = group in CONTROLS
    return go.Scatter(
        x=[p.gmacs for p in points],
        y=[p.score for p in points],
        name=group,
        uid=_uid(f"group {group}"),
        mode="markers+text" if named else "markers",
        text=[f"<b>{group.removesuffix(' control')}</b>"] * len(points) if named else None,
        textposition="bottom center",
        textfont={"color": INK, "size": 12},
        marker={
            "color": color,
            "symbol": symbol,
            "size": size,
            "opacity": 1.0 if named else 0.9,
            "line": {
                "width": [2 if p.on_front else 0.8 for p in points],
                "color": [INK if p.on_front else "white" for p in points],
            },
        },
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [_above(p) if p.on_front else 0.0 for p in points],
            "arrayminus": [_below(p) if p.on_front else 0.0 for p in points],
            "color": color,
            "thickness": 1.2,
            "width": 4,
            "visible": any(p.on_front and p.low is not None for p in points),
        },
        customdata=[[p.key] for p in points],
        hovertext=[_hover(p, score) for p in points],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _hollow(name: str, symbol: str, points: list[Point], heights: list[float | None], score: Score) -> Any:
    import plotly.graph_objects as go

    return go.Scatter(
        x=[p.gmacs for p in points],
        y=heights,
        name=name,
        uid=_uid(name),
        mode="markers",
        marker={"color": GREY, "symbol": symbol, "size": 10, "line": {"width": 2, "color": GREY}},
        customdata=[[p.key] for p in points],
        hovertext=[_hover(p, score) for p in points],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _noise_band(figure: Figure, numbers: ParetoNumbers) -> None:
    if numbers.base_score is None:
        return
    base = numbers.base_score
    if numbers.noise is not None:
        figure.add_hrect(
            y0=base - numbers.noise,
            y1=base + numbers.noise,
            fillcolor="#9aa5b1",
            opacity=0.18,
            line_width=0,
            layer="below",
            annotation={
                "text": f"noise of one run around the base (± {numbers.noise:.4f}, one standard deviation)",
                "font": {"size": 11, "color": SOFT},
            },
            annotation_position="bottom right",
        )
    figure.add_hline(y=base, line={"color": GREY, "dash": "dot", "width": 1.2}, layer="below")


def _front_line(figure: Figure, numbers: ParetoNumbers, measured: list[Point]) -> None:
    import plotly.graph_objects as go

    by_key = {p.key: p for p in measured}
    points = [by_key[k] for k in numbers.front]
    if not points:
        return
    right = max(p.gmacs for p in measured)
    figure.add_trace(
        go.Scatter(
            x=[*(p.gmacs for p in points), right],
            y=[*(p.score for p in points), points[-1].score],
            name="Pareto front",
            uid="front",
            mode="lines",
            line={"color": INK, "width": 1.6, "shape": "hv"},
            hoverinfo="skip",
        )
    )


def _hover(p: Point, score: Score) -> str:
    named = "<br>".join(f"<b>{escape(part)}</b>" for part in genes(p.key))
    lines = [named]
    if p.score is not None:
        word = "seed" if len(p.seeds) == 1 else "seeds"
        if p.delta is not None:
            lines.append(f"{escape(estimated(score))} {p.score:.4f}")
        told = EXPECTED.get(p.state, "mean of its runs")
        lines.append(f"{told} {p.mean:.4f} ({word} {', '.join(map(str, p.seeds))})")
    if p.delta is not None and p.group != "base":
        lines.append(f"Δ to base {p.delta:+.4f}")
    if p.front is not None:
        lines.append(f"on the front with {percent(p.front)}")
    lines.append(f"{p.gmacs:.3f} GMACs")
    front = ", on the front" if p.on_front else ""
    lines.append(escape(p.verdict if len(p.verdict) <= 120 else p.verdict[:119] + "…") + front)
    return "<br>".join(lines)


def _above(p: Point) -> float:
    return p.high - p.score if p.high is not None and p.score is not None else 0.0


def _below(p: Point) -> float:
    return p.score - p.low if p.low is not None and p.score is not None else 0.0


def _floor(measured: list[Point]) -> float:
    values = [p.score for p in measured if p.score is not None]
    if not values:
        return 0.0
    return min(values) - 0.08 * ((max(values) - min(values)) or 0.1)


def _legend_below(y: float = -0.17) -> dict[str, Any]:
    return {"orientation": "h", "yanchor": "top", "y": y, "x": 0, "xanchor": "left", "bgcolor": "rgba(0,0,0,0)"}


def _layout(figure: Figure, *, height: int) -> None:
    figure.update_layout(
        template=template(),
        margin={"l": 76, "r": 24, "t": 28, "b": 60},
        height=height,
        uirevision="constant",  # a redraw with new data keeps zoom and hidden traces
    )
    figure.update_xaxes(ticks="outside", showline=True)
    figure.update_yaxes(ticks="outside", showline=True)
