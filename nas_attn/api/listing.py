"""A list of values that shows itself as a table, in a terminal, in a notebook and as a data frame."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from nas_attn.analysis.tables import Table, genes

if TYPE_CHECKING:
    import pandas
    from rich.table import Table as RichTable

T = TypeVar("T")
REPR_WIDTH = 100  # characters, if there is no terminal
GENE_WIDTH = 30  # characters of a column of architectures, which is one of many
GENES = ("architecture", "inserted")  # columns whose cells hold architectures: one gene a line
LEFT = (*GENES, "slot", "module", "family", "settings", "verdict", "remarks", "arm", "comparison", "state", "remark")

SHORT = ("slot", "module", "family")  # cells that are not broken


class Listing(Sequence[T], Generic[T]):
    """Values in order, with the table that shows them.

    It is a sequence: index it, loop over it, take its length. `print` shows the table as text, a notebook shows it as
    HTML, `frame()` gives the figures as numbers.

    Args:
        values: the values.
        records: the figures of each value, by name with units; JSON-ready.
        table: the same as text, all columns.
        title: stands above the table.
        narrow: column of the table -> its title in a terminal, which is narrow; None for all columns.
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
        note: str = "",
    ) -> None:
        self._values = tuple(values)
        self.records = [dict(r) for r in records]
        self.table, self.title, self.note = table, title, note
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
        """The figures as a data frame: one row a value, units in the column names."""
        import pandas as pd

        return pd.DataFrame(self.records)

    def __rich__(self) -> RichTable:
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        shown = RichTable(title=Text(self.title) if self.title else None, box=box.SIMPLE, title_justify="left")
        for name, title in self._narrow.items():
            wide = name in GENES and len(self._narrow) > 5
            side: Any = "left" if name in LEFT else "right"
            short = name in SHORT and not wide
            shown.add_column(
                title, overflow="fold", justify=side, min_width=GENE_WIDTH if wide else None, no_wrap=short
            )
        places = {name: self.table.columns.index(name) for name in self._narrow}
        for row in self.table.rows:
            # one gene a line, because a long architecture that is broken anywhere cannot be read
            cells = ("\n".join(map(_broken, genes(row[i]))) if name in GENES else row[i] for name, i in places.items())
            shown.add_row(*map(Text, cells))
        return shown

    def __repr__(self) -> str:
        return as_text(self.__rich__(), self.note)

    def _repr_html_(self) -> str:
        return as_html(self.title, self.table, self.note)


def _broken(gene: str) -> str:
    """A gene in lines of at most `GENE_WIDTH` characters, broken behind commas."""
    lines = [""]
    for part in re.split(r"(?<=,)", gene):
        if lines[-1] and len(lines[-1] + part) > GENE_WIDTH:
            lines.append("  ")
        lines[-1] += part
    return "\n".join(lines)


def as_text(*parts: Any) -> str:
    """Tables and sentences as plain text, as wide as the terminal."""
    from rich.console import Console

    width = shutil.get_terminal_size((REPR_WIDTH, 24)).columns
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    for part in parts:
        if part:
            console.print(part, markup=False)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def as_html(title: str, table: Table | None = None, *sentences: str) -> str:
    """A title, a table and sentences as HTML, for a notebook."""
    from nas_attn.dashboard.as_html import render
    from nas_attn.dashboard.blocks import element, text
    from nas_attn.dashboard.blocks import table as table_block

    blocks = [element("p", element("b", title))] if title else []
    blocks += [table_block(table)] if table is not None else []
    return render(element("div", *blocks, *(text(s) for s in sentences if s)))
