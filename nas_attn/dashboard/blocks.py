"""Blocks: cards as values. `as_html` renders them for the report, `as_dash` for the live page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nas_attn.analysis.plot_style import PLOT_CONFIG
from nas_attn.analysis.tables import Table, genes

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# name of a column -> CSS class of its cells
CLASSES = {
    **dict.fromkeys(("architecture", "inserted"), "key"),
    **dict.fromkeys(("remark", "remarks", "verdict", "trials"), "wide"),
    **dict.fromkeys(("arm", "comparison"), "label"),
}


@dataclass(frozen=True)
class Element:
    """An HTML element.

    Attributes:
        tag: its tag.
        content: the blocks inside it; the renderer escapes texts.
        attributes: its HTML attributes.
        pressed: its id on the live page, if it can be clicked there.
    """

    tag: str
    content: Sequence[Block] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    pressed: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Breakable:
    """A text with a possible line break after each comma."""

    text: str


@dataclass(frozen=True)
class Plot:
    """A figure. It scrolls if it can be wider than its card.

    Attributes:
        figure: the figure.
        name: its id in the report, and on the live page if `live` is not given.
        tools: show plotly's buttons.
        min_width: smallest width in pixels; 0 for no limit.
        live: its id on the live page.
    """

    figure: Figure
    name: str
    tools: bool = False
    min_width: int = 0
    live: Mapping[str, Any] | None = None

    @property
    def scrolls(self) -> bool:
        """True if the figure can be wider than its card."""
        return bool(self.min_width or self.figure.layout.width)

    @property
    def config(self) -> dict[str, Any]:
        """Plotly's configuration of this figure."""
        buttons = {} if self.tools else {"displayModeBar": False}
        return {**PLOT_CONFIG, **buttons, "responsive": self.figure.layout.width is None}


@dataclass(frozen=True)
class Row:
    """The HTML attributes of a table row, and its id on the live page, if it can be clicked there."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    pressed: Mapping[str, Any] | None = None


Block = str | Element | Breakable | Plot


def element(tag: str, *content: Block, kind: str = "", **attributes: str) -> Element:
    """An element with a CSS class."""
    return Element(tag, content, {"class": kind, **attributes} if kind else attributes)


def text(words: str, kind: str = "") -> Element:
    """A paragraph; `kind` is `answer`, `soft` or nothing."""
    return element("p", words, kind=kind)


def facts(pairs: Sequence[tuple[str, str]], kind: str = "facts") -> Element:
    """A list of named values."""
    return element("dl", *(item for k, v in pairs for item in (element("dt", k), element("dd", v))), kind=kind)


def details(summary: str, *content: Block, **attributes: str) -> Element:
    """Blocks that a click on the summary shows or hides."""
    return element("details", element("summary", summary), *content, **attributes)


def card(title: str, *content: Block) -> Element:
    """A card of the page with its title."""
    return element("section", element("h2", title), *content, kind="card")


def table(content: Table, name: str = "", *, tall: bool = False, rows: Sequence[Row] | None = None) -> Element:
    """A table that scrolls within its card.

    Args:
        content: columns and cells.
        name: makes the ids of its rows unique on the page.
        tall: limit the height, so that the table scrolls.
        rows: attributes of the rows; by default a click on the row of a candidate shows the candidate.
    """
    if rows is None:
        found = enumerate(content.keys)
        rows = [Row({"data-key": k}, {"kind": name, "row": i, "key": k}) if k else Row() for i, k in found]
    lines = [
        Element("tr", [_cell(*cell) for cell in zip(content.columns, cells, strict=True)], row.attributes, row.pressed)
        for row, cells in zip(rows, content.rows, strict=True)
    ]
    head = element("thead", element("tr", *(element("th", c) for c in content.columns)))
    return element("div", element("table", head, element("tbody", *lines)), kind="tall" if tall else "scroll")


def _cell(column: str, value: str) -> Element:
    kind = CLASSES.get(column)
    if kind is None:
        return element("td", value)
    parts = genes(value) if kind == "key" else [value]
    return element("td", *(element("span", Breakable(part)) for part in parts), kind=kind)
