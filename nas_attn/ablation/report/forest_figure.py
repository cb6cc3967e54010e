"""The forest plot of an ablation, as numbers and as a plotly figure. Each point carries its row's key for clicks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from nas_attn.ablation.decide import BETTER, DEAD, NO_DIFFERENCE, UNDECIDED, UNTESTED, WAITING, WORSE
from nas_attn.ablation.report.rows import ComparisonRow, family_rows
from nas_attn.ablation.report.tables import effect_size, estimate, p_value
from nas_attn.ablation.report.words import PARTIAL, level, ranges
from nas_attn.ablation.view import AblationView
from nas_attn.analysis.plot_style import GREY, INK, PALETTE, SOFT, template
from nas_attn.analysis.tables import number
from nas_attn.evaluate.score import MAP, Score
from nas_attn.lines import many
from nas_attn.statistics.paired import MIN_PAIRS, Paired

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# verdict -> colour, shape, size: better and worse are filled triangles; open verdicts are hollow
STYLES = {
    BETTER: (PALETTE[0], "triangle-right", 13),
    WORSE: (PALETTE[1], "triangle-left", 13),
    NO_DIFFERENCE: (INK, "square", 9),
    UNDECIDED: (GREY, "circle-open", 10),
    UNTESTED: (GREY, "diamond-open", 10),
    WAITING: ("#9aa5b1", "hourglass-open", 10),
    DEAD: ("#9aa5b1", "x-thin-open", 9),
}
BAND = "#eef1f4"
LABEL, WIDEST = 38, 4  # most characters in a line of a label, and most lines
LINE, TOP, BOTTOM = 15, 40, 72  # pixels
MIN_WIDTH = 760  # pixels; in a narrower card the plot scrolls
MOST_TRIALS, MOST_REMARK = 90, 110  # most characters in the hover box


@dataclass(frozen=True)
class ForestNumbers:
    """The numbers of the forest plot for one family.

    Attributes:
        lines: its rows, in the order of the table.
        difference: the smallest difference in the score that matters.
        level: the confidence of the intervals, e.g. `95 %`.
        partial: True until training is finished.
        score: the score.
    """

    lines: tuple[ComparisonRow, ...]
    difference: float
    level: str
    partial: bool
    score: Score = MAP

    @property
    def has_test(self) -> bool:
        """True if a test split was scored."""
        return any(line.test_result is not None for line in self.lines)


def forest_numbers(view: AblationView, family: str = "base") -> ForestNumbers:
    """The numbers of a family: one line per contrast, without the bases."""
    lines = tuple(row for row in family_rows(view, family) if row.decision is not None)
    return ForestNumbers(lines, float(view.settings["difference"]), level(view), view.partial, view.score)


def forest_figure(numbers: ForestNumbers) -> Figure:
    """The forest plot: one line per contrast with its Δ and interval, on val and, if scored, on test.

    A contrast without a pair has its mark at the left edge, so that nobody reads it as a difference of zero.
    """
    from plotly.subplots import make_subplots

    panels = 2 if numbers.has_test else 1
    figure = make_subplots(rows=1, cols=panels, shared_yaxes=True, horizontal_spacing=0.03)
    labels = [_label(line.label) for line in numbers.lines]
    row = 10 + LINE * max((text.count("<br>") + 1 for text in labels), default=1)
    for verdict, style in STYLES.items():
        mine = [(i, line) for i, line in enumerate(numbers.lines) if line.verdict == verdict]
        for panel in range(1, panels + 1):
            drawn = [(i, line, r) for i, line in mine if (r := (line.result, line.test_result)[panel - 1]) is not None]
            if drawn:
                first = panel == 1 or not any(line.result for _, line in mine)
                figure.add_trace(_points(verdict, style, drawn, numbers.level, legend=first), row=1, col=panel)
        empty = [(i, line) for i, line in mine if line.result is None]
        if empty:
            figure.add_trace(_gutter(verdict, style, empty, numbers.level, legend=len(empty) == len(mine)))
    _frame(figure, numbers, panels)
    count = len(numbers.lines)
    figure.update_yaxes(
        tickvals=list(range(count)), ticktext=labels, range=[count - 0.5, -0.5], fixedrange=True, automargin=True
    )
    figure.update_yaxes(tickfont={"size": 12})
    figure.update_layout(
        template=template(),
        height=TOP + BOTTOM + row * max(count, 2),
        margin={"l": 20, "r": 20, "t": TOP, "b": BOTTOM},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "yref": "container"},
        legend_itemclick=False,
        legend_itemdoubleclick=False,
        hovermode="closest",
        clickmode="event",
        uirevision="constant",
    )
    figure.update_xaxes(fixedrange=True)
    # invisible axis for the marks at the left edge; as wide as the panel of val
    figure.update_layout(xaxis9={"overlaying": "x", "anchor": "y", "range": [0, 1], "visible": False})
    figure.update_layout(xaxis9_domain=figure.layout.xaxis.domain, xaxis9_fixedrange=True)
    return figure


def _points(verdict: str, style: tuple[str, str, int], drawn: Sequence[Any], level: str, *, legend: bool) -> Any:
    import plotly.graph_objects as go

    color, symbol, size = style
    return go.Scatter(
        x=[r.mean for _, _, r in drawn],
        y=[i for i, _, _ in drawn],
        name=verdict,
        legendgroup=verdict,
        showlegend=legend,
        mode="markers",
        marker={"color": color, "symbol": symbol, "size": size, "opacity": 1, "line": {"width": 1.6, "color": color}},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [r.high - r.mean if r.high is not None else 0 for _, _, r in drawn],
            "arrayminus": [r.mean - r.low if r.low is not None else 0 for _, _, r in drawn],
            "color": color,
            "thickness": 1.6,
            "width": 4,
        },
        customdata=[[line.key] for _, line, _ in drawn],
        hovertext=[_hover(line, level) for _, line, _ in drawn],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _gutter(
    verdict: str, style: tuple[str, str, int], empty: Sequence[tuple[int, ComparisonRow]], level: str, *, legend: bool
) -> Any:
    """The marks at the left edge for contrasts without a pair, each with its verdict."""
    import plotly.graph_objects as go

    color, symbol, size = style
    return go.Scatter(
        x=[0.012] * len(empty),
        y=[i for i, _ in empty],
        xaxis="x9",
        yaxis="y",
        name=verdict,
        legendgroup=verdict,
        showlegend=legend,
        mode="markers+text",
        text=[f" {verdict}"] * len(empty),
        textposition="middle right",
        textfont={"size": 11, "color": SOFT},
        cliponaxis=False,
        marker={"color": color, "symbol": symbol, "size": size, "line": {"width": 1.6, "color": color}},
        customdata=[[line.key] for _, line in empty],
        hovertext=[_hover(line, level) for _, line in empty],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _frame(figure: Figure, numbers: ForestNumbers, panels: int) -> None:
    """Give each panel its title, the common range, the zero line and the band of differences that do not matter."""
    difference = numbers.difference
    low, high = _range(numbers)
    partial = f"<br><b>{PARTIAL}</b>" if numbers.partial else ""
    words = escape(numbers.score.words)
    titles = (f"Δ {words} on val (decides)", f"Δ {words} on test (for information)")
    for panel in range(1, panels + 1):
        where = {"row": 1, "col": panel}
        figure.add_vrect(x0=-difference, x1=difference, fillcolor=BAND, line_width=0, layer="below", **where)
        figure.add_vline(x=0, line={"color": INK, "width": 1.2}, layer="below", **where)
        figure.update_xaxes(
            title={"text": titles[panel - 1] + partial, "font": {"size": 12}},
            range=[low, high],
            tickformat="+.3f" if high - low < 0.05 else "+.2f",
            nticks=7,
            showline=True,
            ticks="outside",
            **where,
        )


def _range(numbers: ForestNumbers) -> tuple[float, float]:
    """The ends of the x axis: wide enough for the band, all differences, and the intervals of all tested contrasts.

    The interval of two seeds is so wide that it would hide the others, so it may leave the panel.
    """
    results = [r for line in numbers.lines for r in (line.result, line.test_result) if r is not None]
    ends = [v for r in results for v in _ends(r)] + [numbers.difference, -numbers.difference]
    low, high = min(ends), max(ends)
    air = 0.06 * (high - low)
    return low - air, high + air


def _ends(r: Paired) -> tuple[float, ...]:
    return (r.mean,) if r.low is None or r.high is None or r.n < MIN_PAIRS else (r.low, r.high)


def _label(text: str) -> str:
    """The label in a few lines, broken after commas and spaces."""
    lines = wrap(re.sub(r"([,(])", "\\1\u200b ", text), LABEL) if len(text) > LABEL else [text]
    lines = [line.replace("\u200b ", "").replace("\u200b", "") for line in lines]
    if len(lines) > WIDEST:
        lines = [*lines[: WIDEST - 1], lines[WIDEST - 1] + "…"]
    return "<br>".join(escape(line) for line in lines)


def _hover(line: ComparisonRow, level: str) -> str:
    inserted = [escape(gene) for gene in line.inserted.split()]
    parts = [f"<b>{escape(line.label)}</b>", *inserted, *(escape(part) for part in wrap(line.words, 70))]
    if line.decision is not None and (val := line.result) is not None:
        p = "not tested" if line.decision.p is None else f"p (Holm) {escape(p_value(line.decision.p))}"
        seeds = many(val.n, "seed")
        parts += [f"Δ on val {_interval(val, level)}, {seeds}", f"{p}; d {effect_size(val)}"]
    if line.test_result is not None:
        parts.append(f"Δ on test {_interval(line.test_result, level)}")
    if line.cost and line.result is not None:
        parts.append(f"{number(line.cost.get('gmacs'), 3)} GMACs, {number(line.cost.get('params_m'), 3)} M parameters")
    if line.trials:
        parts.append(f"ablation trials {_short(ranges(line.trials), MOST_TRIALS)}")
    parts += [escape(_short(text, MOST_REMARK)) for text in line.remarks[:3]]
    if len(line.remarks) > 3:
        parts.append(f"and {len(line.remarks) - 3} more remarks")
    return "<br>".join(parts)


def _interval(result: Paired, level: str) -> str:
    return estimate(result) + (f" ({level} interval)" if result.low is not None else "")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
