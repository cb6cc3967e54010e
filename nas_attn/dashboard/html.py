"""HTML from values: everything that enters as text is escaped here and nowhere else."""

from __future__ import annotations

from html import escape

from nas_attn.analysis.tables import Table

KEY_COLUMN, WIDE_COLUMN = "architecture", "remark"


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


def table(content: Table, *, tall: bool = False) -> str:
    """A table that scrolls within its card; rows carry the candidate they are about as `data-key`."""
    head = element("tr", *(text("th", c) for c in content.columns))
    rows = []
    for key, row in zip(content.keys, content.rows, strict=True):
        cells = [_cell(column, value) for column, value in zip(content.columns, row, strict=True)]
        rows.append(element("tr", *cells, **({"data_key": key} if key else {})))
    body = element("table", element("thead", head), element("tbody", *rows))
    return element("div", body, class_="tall" if tall else "scroll")


def _cell(column: str, value: str) -> str:
    if column == KEY_COLUMN:
        genes = (escape(gene).replace(",", ",<wbr>") for gene in value.split())
        return element("td", *(element("span", gene) for gene in genes), class_="key")
    return text("td", value, **({"class_": "wide"} if column == WIDE_COLUMN else {}))
