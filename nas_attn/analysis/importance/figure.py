"""Draws the importance of choices as bars with plotly."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from nas_attn.analysis.importance.numbers import Importance, ImportanceNumbers, Share
from nas_attn.analysis.plot_style import INK, PALETTE, template

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NOISE = "#c3cad1"
MOST = 16  # most settings in the figure
PANELS = (("main", "share of variance (main effect)"), ("ped", "PED-ANOVA (share of the sum)"))


def drawn(numbers: ImportanceNumbers) -> list[Importance]:
    """The choices in the figure: all slots, and as many settings as fit, the clear and largest first."""
    slots = [c for c in numbers.choices if c.is_slot]
    settings = [c for c in numbers.choices if not c.is_slot]
    first = sorted(settings, key=lambda c: (not _clear(c), -c.main.value, c.name))[:MOST]
    return [*slots, *(c for c in settings if c in first)]


def importance_figure(numbers: ImportanceNumbers) -> Figure:
    """The importance plot: a row per choice, a panel per measure, each bar with its 95 % bootstrap interval.

    A tick marks the limit of shuffled results. A bar is coloured if the choice is beyond chance, otherwise grey.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    rows = drawn(numbers)
    panels = [p for p in PANELS if p[0] == "main" or any(c.ped for c in rows)]
    figure = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.05)
    names = [escape(c.label) for c in rows]
    for column, (measure, title) in enumerate(panels, 1):
        shares: list[Share] = [getattr(c, measure) for c in rows]
        figure.add_trace(
            go.Bar(
                x=[s.value for s in shares],
                y=names,
                orientation="h",
                marker={"color": [PALETTE[0] if s.clear else NOISE for s in shares]},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [max(0.0, s.high - s.value) for s in shares],
                    "arrayminus": [max(0.0, s.value - s.low) for s in shares],
                    "color": INK,
                    "thickness": 1.1,
                    "width": 3,
                },
                name=title,
                showlegend=False,
                hovertext=[_hover(c, s) for c, s in zip(rows, shares, strict=True)],
                hovertemplate="%{hovertext}<extra></extra>",
            ),
            row=1,
            col=column,
        )
        figure.add_trace(
            go.Scatter(
                x=[s.chance for s in shares],
                y=names,
                mode="markers",
                marker={"symbol": "line-ns", "size": 15, "line": {"color": PALETTE[1], "width": 2}},
                name="limit of shuffled results (95 %, all choices together)",
                showlegend=column == 1,
                hoverinfo="skip",
            ),
            row=1,
            col=column,
        )
        figure.update_xaxes(title_text=title, tickformat=".0%", rangemode="tozero", row=1, col=column)
    figure.update_layout(
        template=template(),
        height=120 + 26 * len(rows),
        margin={"l": 20, "r": 20, "t": 36, "b": 50},
        bargap=0.35,
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
    )
    figure.update_xaxes(fixedrange=True)
    figure.update_yaxes(type="category", autorange="reversed", fixedrange=True, automargin=True, showgrid=False)
    return figure


def _clear(choice: Importance) -> bool:
    return choice.main.clear or bool(choice.ped and choice.ped.clear)


def _hover(choice: Importance, share: Share) -> str:
    return "<br>".join(
        [
            f"<b>{escape(choice.label)}</b>",
            f"{share.value:.1%}, 95 % interval {share.low:.1%} to {share.high:.1%}",
            f"shuffled results stay below {share.chance:.1%}",
            "beyond chance" if share.clear else "not beyond chance",
            f"{choice.candidates} architectures, {choice.levels} values",
        ]
    )
