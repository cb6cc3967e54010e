"""Renders blocks as HTML for the report. All text is escaped here and nowhere else."""

from __future__ import annotations

from html import escape

from nas_attn.dashboard.blocks import Block, Breakable, Element, Plot


def render(*blocks: Block) -> str:
    """The HTML of the blocks in order."""
    return "".join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case str():
            return escape(block)
        case Element(tag, content, attributes):
            written = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
            return f"<{tag}{written}>{render(*content)}</{tag}>"
        case Breakable(text):
            return escape(text).replace(",", ",<wbr>")
        case Plot():
            return _plot(block)


def _plot(plot: Plot) -> str:
    drawn = plot.figure.to_html(
        full_html=False, include_plotlyjs=False, include_mathjax=False, div_id=plot.name, config=plot.config
    )
    if plot.min_width:
        drawn = f'<div style="min-width:{plot.min_width}px">{drawn}</div>'
    return f'<div class="scroll">{drawn}</div>' if plot.scrolls else drawn
