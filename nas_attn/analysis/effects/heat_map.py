"""Draws the heat map of modules and slots with plotly."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from nas_attn.analysis.difference import Difference, percent
from nas_attn.analysis.effects.conclusion import change, verdict_at
from nas_attn.analysis.effects.estimate import Cell, EffectNumbers
from nas_attn.analysis.plot_style import FONT, INK, template
from nas_attn.lines import many

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

WORSE, BETTER, DEAD, BLANK = "#ee9c63", "#5fa8d8", "#e4e7eb", "#f8f9fb"  # text is readable on all of them
ROW, TOP, LEFT, RIGHT = 48, 62, 170, 16  # pixels
FAINT = 0.22  # opacity of a cell without a claim


def heat_map(numbers: EffectNumbers) -> Figure:
    """The heat map: a row per module, a column per slot; each cell has its effect, interval and number of trials.

    Full colour and a frame mark modules that are claimed to be better or worse. Dead slots are hatched. A cell without
    an estimate is blank; its hover text gives the reason. The size is fixed, so that many slots scroll.
    """
    import plotly.graph_objects as go

    slots, modules = numbers.slots, numbers.modules
    grid = [[numbers.cell(s, m) for s in slots] for m in modules]
    names = [f"{escape(s)}<br><b>dead</b>" if s in numbers.dead else escape(s) for s in slots]
    labels = [escape(m) for m in modules]
    top = max((abs(c.effect.mean) for c in numbers.cells if c.effect is not None), default=0) or 0.01
    colours = [[0, WORSE], [0.5, "#ffffff"], [1, BETTER]]
    figure, framed = go.Figure(), set(numbers.shown)

    def layer(name: str, z: Sequence[Sequence[float | None]], **more: Any) -> None:
        figure.add_trace(go.Heatmap(x=names, y=labels, z=z, name=name, xgap=3, ygap=3, showscale=False, **more))

    ground = [[float(c.slot in numbers.dead) for c in row] for row in grid]
    layer("ground", ground, zmin=0, zmax=1, colorscale=[[0, BLANK], [1, DEAD]], hoverinfo="skip")
    for shown, opacity in ((False, FAINT), (True, 1.0)):
        z = [[_mean(c) if (c in framed) is shown and c.slot not in numbers.dead else None for c in row] for row in grid]
        name = "shown" if shown else "not shown"
        layer(name, z, zmin=-top, zmax=top, colorscale=colours, opacity=opacity, hoverinfo="skip")
    layer(
        "words",
        [[0.0] * len(slots) for _ in grid],
        colorscale=[[0, "rgba(0,0,0,0)"], [1, "rgba(0,0,0,0)"]],
        text=[[_text(c, numbers) for c in row] for row in grid],
        texttemplate="%{text}",
        textfont={"size": 13, "color": INK, "family": FONT},
        hovertext=[[_hover(c, numbers) for c in row] for row in grid],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    column = min(190, max(138, 1080 // max(1, len(slots))))
    figure.update_layout(
        template=template(),
        width=LEFT + RIGHT + column * len(slots),
        height=TOP + 12 + ROW * len(modules),
        margin={"l": LEFT, "r": RIGHT, "t": TOP, "b": 12},
        shapes=[*(_hatch(s, numbers) for s in numbers.dead), *(_frame(c, numbers) for c in numbers.shown)],
    )
    figure.update_xaxes(side="top", type="category", fixedrange=True, showgrid=False, tickangle=0)
    figure.update_yaxes(type="category", autorange="reversed", fixedrange=True, showgrid=False)
    return figure


def _mean(cell: Cell) -> float | None:
    """The figure that gives a cell its colour: the lead, if only the lead is claimed."""
    if cell.lead_sign and not cell.sign and cell.lead is not None:
        return cell.lead.mean
    return cell.effect.mean if cell.effect is not None else None


def _text(cell: Cell, numbers: EffectNumbers) -> str:
    dead = cell.slot in numbers.dead
    if cell.effect is None:
        return "dead" if dead else ""
    small, effect = '<span style="font-size:11px">', cell.effect
    value = f"<b>{change(effect.mean)}</b>" if cell.sign or cell.lead_sign else change(effect.mean)
    interval = f"[{change(effect.low)}, {change(effect.high)}]"
    return f"{'dead: ' if dead else ''}{value} {small}n={cell.trials}</span><br>{small}{interval}</span>"


def _hover(cell: Cell, numbers: EffectNumbers) -> str:
    lines = [f"<b>{escape(cell.module)} at {escape(cell.slot)}</b>"]
    if cell.slot in numbers.dead:
        lines.append("a dead slot: the trained base does not need its output")
    if cell.trials:
        lines.append(f"{many(cell.trials, 'trial')}, {many(cell.seeds, 'seed')}, {_count(cell)}")
    for what, difference in (("nothing there", cell.effect), ("the other choices there", cell.lead)):
        if difference is not None:
            lines.append(f"against {what}: {_told(difference)}")
    if cell.effect is not None:
        lines.append(verdict_at(cell))
    if cell.why:
        lines.append(escape(cell.why))
    return "<br>".join(lines)


def _told(difference: Difference) -> str:
    interval = f"95 % interval {difference.low:+.4f} to {difference.high:+.4f}"
    return f"{difference.mean:+.4f} {difference.score.words}, {interval}; above 0 with {percent(difference.above)}"


def _count(cell: Cell) -> str:
    return many(cell.architectures, "architecture")


def _frame(cell: Cell, numbers: EffectNumbers) -> dict[str, Any]:
    x, y = numbers.slots.index(cell.slot), numbers.modules.index(cell.module)
    line = {"color": INK, "width": 2}
    return {"type": "rect", "x0": x - 0.48, "x1": x + 0.48, "y0": y - 0.46, "y1": y + 0.46, "line": line}


def _hatch(slot: str, numbers: EffectNumbers) -> dict[str, Any]:
    """The hatching of a slot's column: diagonal lines, as one path."""
    x, rows = numbers.slots.index(slot), len(numbers.modules)
    path = [f"M{x - 0.5 + i / 6},{y + 0.5} L{x - 0.5 + (i + 1) / 6},{y - 0.5}" for y in range(rows) for i in range(6)]
    return {"type": "path", "path": " ".join(path), "line": {"color": "#cdd3da", "width": 1}}
