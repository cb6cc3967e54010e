"""`Listing`: a list of values that shows as a table in a terminal, in a notebook and as a data frame."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from nas_attn.analysis.tables import Table, inserted

if TYPE_CHECKING:
    import pandas
    from rich.console import Console, ConsoleOptions, RenderResult

T = TypeVar("T")
REPR_WIDTH = 100  # characters, if there is no terminal
GENE_WIDTH = 26  # most characters in a line of a column of architectures
GENES = ("architecture", "inserted")  # columns of architectures: one gene per line
LEFT = (
    *GENES,
    "slot",
    "module",
    "family",
    "settings",
    "verdict",
    "remarks",
    "arm",
    "kinds",
    "comparison",
    "state",
    "remark",
)

STYLE = (  # one gene per line, whatever the style of the notebook is
    "<style>.nas-attn td{white-space:pre-line}.nas-attn td.key span{display:block;white-space:nowrap}"
    ".nas-attn .scroll{overflow-x:auto}.nas-attn td.key,.nas-attn td.wide,.nas-attn td.label{text-align:left}</style>"
)
SHORT = ("slot", "module", "family", "95 % interval")  # columns whose cells are not broken


class Listing(Sequence[T], Generic[T]):
    """A sequence of values, and the table that shows them.

    It has a length, an index and a loop, like a tuple. `print` shows the table as text, and a notebook shows it as
    HTML. `frame()` returns the figures as numbers.

    Args:
        values: the values.
        records: the figures of each value as a JSON-ready dictionary; the names contain the units.
        table: the figures as text, in all columns.
        title: the title above the table.
        narrow: column -> its short title in a terminal, for the columns that a terminal shows; None for all columns.
        optional: columns that are left out one by one while the terminal is too narrow, in this order.
        note: sentences below the table.
    """

    def __init__(
        self,
        values: Sequence[T],
        records: Sequence[Mapping[str, Any]],
        table: Table,
        *,
        title: str = "",
        narrow: Mapping[str, str] | None = None,
        optional: Sequence[str] = (),
        note: str = "",
    ) -> None:
        self._values = tuple(values)
        self.records = [dict(r) for r in records]
        self.table, self.title, self.note = table, title, note
        self._optional = list(optional)
        self._narrow = dict(narrow) if narrow is not None else {name: name for name in table.columns}

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self._values[index]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[T]:
        return iter(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listing) and (self._values, self.records) == (other._values, other.records)

    __hash__ = None  # type: ignore[assignment]

    def frame(self) -> pandas.DataFrame:
        """The figures as a data frame: one row per value, units in the column names."""
        import pandas as pd

        return pd.DataFrame(self.records)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table for a terminal. If the terminal is too narrow, `optional` columns are left out."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        columns, left_out = {name: self._cells(name) for name in self._narrow}, list[str]()
        for name in (*self._optional, None):
            widths = fitted(list(columns.values()), [n in (*GENES, *SHORT) for n in columns], options.max_width)
            if widths is not None or name is None:
                break
            del columns[name]
            left_out.append(self._narrow[name])
        title = Text(self.title) if self.title else None
        shown = RichTable(title=title, box=box.SIMPLE, title_justify="left", padding=0)
        for i, name in enumerate(columns):
            side: Any = "left" if name in LEFT else "right"
            shown.add_column(self._narrow[name], overflow="fold", justify=side, width=widths[i] if widths else None)
        for row in zip(*(cells[1:] for cells in columns.values()), strict=True):
            shown.add_row(*map(Text, row))
        yield shown
        if left_out:
            yield Text(f"Columns left out at this width: {', '.join(left_out)}.")

    def _cells(self, name: str) -> list[str]:
        """The title of a column and its cells. Architectures have one gene per line, so that no gene is cut."""
        place = self.table.columns.index(name)
        cells = [row[place] for row in self.table.rows]
        if name in GENES:
            cells = ["\n".join(map(_broken, inserted(cell) if "=" in cell else [cell])) for cell in cells]
        return [self._narrow[name], *cells]

    def __repr__(self) -> str:
        return as_text(self, self.note)

    def _repr_html_(self) -> str:
        return as_html(self.title, self.table, self.note)


def fitted(columns: Sequence[Sequence[str]], whole: Sequence[bool], width: int) -> list[int] | None:
    """The width of each column, so that the table fits the terminal; None if it would not fit without broken words.

    Args:
        columns: title and cells of each column.
        whole: for each column, True if its lines are not broken; other columns are broken between words.
        width: width of the terminal in characters.
    """
    most = [max(len(line) for cell in cells for line in cell.splitlines() or [""]) for cells in columns]
    words = [max((len(w) for cell in cells for w in cell.split()), default=0) for cells in columns]
    found = [m if w else n for m, n, w in zip(most, words, whole, strict=True)]
    left = width - sum(found) - len(found) - 1  # the spaces between columns, and at both ends
    if left < 0:
        return None
    while left and found != most:
        for i in range(len(found)):
            if left and found[i] < most[i]:
                found[i], left = found[i] + 1, left - 1
    return [n + min(1, left // len(found)) for n in found]  # a second space between columns, if there is room


def _broken(gene: str) -> str:
    """A gene in lines of at most `GENE_WIDTH` characters, broken before its settings."""
    lines = [""]
    for part in re.split(r"(?<=[,(])(?=[a-z])", gene):
        if lines[-1] and len(lines[-1] + part) > GENE_WIDTH:
            lines.append("  ")
        lines[-1] += part
    return "\n".join(lines)


def as_text(*parts: Any) -> str:
    """Tables and sentences as plain text, in the width of the terminal."""
    from rich.console import Console

    width = shutil.get_terminal_size((REPR_WIDTH, 24)).columns
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    for part in parts:
        if part:
            console.print(part, markup=False)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def as_html(title: str, table: Table | None = None, *sentences: str) -> str:
    """A title, a table and sentences, as HTML for a notebook."""
    from nas_attn.dashboard.as_html import render
    from nas_attn.dashboard.blocks import element, text
    from nas_attn.dashboard.blocks import table as table_block

    blocks = [element("p", element("b", title))] if title else []
    blocks += [table_block(table)] if table is not None else []
    return STYLE + render(element("div", *blocks, *(text(s) for s in sentences if s), kind="nas-attn"))
