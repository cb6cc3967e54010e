"""Renders blocks as Dash components for the live page, without callbacks."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from nas_attn.dashboard.blocks import Block, Breakable, Element, Plot


def render(*blocks: Block) -> list[Any]:
    """The Dash components of the blocks."""
    return [_block(block) for block in blocks]


def _block(block: Block) -> Any:
    match block:
        case str():
            return block
        case Element(tag, content, attributes, pressed):
            properties = {"className" if name == "class" else name: value for name, value in attributes.items()}
            clicks = {"id": pressed, "n_clicks": 0} if pressed else {}
            return getattr(html, tag.capitalize())(render(*content), **properties, **clicks)
        case Breakable(text):
            return text.replace(",", ",\u200b")
        case Plot():
            return _plot(block)


def _plot(plot: Plot) -> Any:
    layout = plot.figure.layout
    size = {"height": layout.height, "width": layout.width, "minWidth": plot.min_width}
    style = {name: f"{pixels}px" for name, pixels in size.items() if pixels}
    graph = dcc.Graph(id=plot.live or plot.name, figure=plot.figure, config=plot.config, style=style)
    return html.Div(graph, className="scroll") if plot.scrolls else graph
