"""The tables of `analysis` for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from nas_attn.analysis import tables
from nas_attn.analysis.tables import genes
from nas_attn.study.view import StudyView

# column -> title; a terminal is narrow, and the report has all columns
_FRONT = {
    0: "architecture",
    1: "place",
    2: "paired mAP50-95",
    5: "seeds",
    6: "Δ to base",
    7: "verdict",
    9: "GMACs",
    10: "params M",
}
_SLOTS = {0: "slot", 1: "mAP50-95 zeroed", 2: "lost", 3: "state", 4: "searched"}
PIPE_WIDTH = 160  # characters, if stdout is no terminal


def stdout() -> Console:
    """The console for results."""
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def front_table(view: StudyView) -> RichTable:
    """The front and the controls."""
    return _rich(tables.front_table(view), "front and controls, cheapest first", _FRONT)


def liveness_table(view: StudyView) -> RichTable:
    """The liveness of each slot of the trained base."""
    table = tables.liveness_table(view)
    assert table is not None
    return _rich(table, "slots of the trained base", _SLOTS)


def _rich(table: tables.Table, title: str, columns: Mapping[int, str]) -> RichTable:
    rich = RichTable(title=title, box=box.SIMPLE, title_justify="left")
    for i, name in columns.items():
        first = i == 0
        rich.add_column(
            name,
            overflow="fold",
            justify="left" if first else "right",
            min_width=30 if first and len(columns) > 5 else None,
        )
    for row in table.rows:
        # one line per slot: a long gene that is broken anywhere is unreadable
        rich.add_row(*("\n".join(genes(row[i])).replace("[", r"\[") if i == 0 else row[i] for i in columns))
    return rich
