"""HTML from values: everything that enters as text is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from nas_attn.analysis.tables import Table, genes

# a column's name -> the class of its cells
CLASSES = {
    **dict.fromkeys(("architecture", "inserted"), "key"),
    **dict.fromkeys(("remark", "remarks", "verdict", "trials"), "wide"),
    **dict.fromkeys(("arm", "comparison"), "label"),
}


def element(name: str, *children: str, **attributes: str) -> str:
    """`<name ...>children</name>`; children are HTML already, attribute values are text (`class_` means `class`)."""
    written = "".join(f' {k.rstrip("_").replace("_", "-")}="{escape(v)}"' for k, v in attributes.items())
    return f"<{name}{written}>{''.join(children)}</{name}>"


def text(name: str, content: str, **attributes: str) -> str:
    """An element that holds text."""
    return element(name, escape(content), **attributes)


def facts(pairs: list[tuple[str, str]]) -> str:
    """A list of named values."""
    return element("dl", *(text("dt", k) + text("dd", v) for k, v in pairs), class_="facts")


def table(content: Table, *, tall: bool = False, rows: Sequence[Mapping[str, str]] | None = None) -> str:
    """A table that scrolls within its card.

    Args:
        content: the rows.
        tall: scroll within a fixed height.
        rows: attributes of each row; without them a row carries the candidate that it is about as `data-key`.
    """
    marks = rows if rows is not None else [{"data_key": key} if key else {} for key in content.keys]
    head = element("tr", *(text("th", c) for c in content.columns))
    lines = []
    for mark, row in zip(marks, content.rows, strict=True):
        cells = [_cell(column, value) for column, value in zip(content.columns, row, strict=True)]
        lines.append(element("tr", *cells, **mark))
    body = element("table", element("thead", head), element("tbody", *lines))
    return element("div", body, class_="tall" if tall else "scroll")


def _cell(column: str, value: str) -> str:
    kind = CLASSES.get(column)
    if kind is None:
        return text("td", value)
    breakable = [escape(part).replace(",", ",<wbr>") for part in (genes(value) if kind == "key" else [value])]
    return element("td", *(element("span", part) for part in breakable), class_=kind)
