"""The rows and slots of a base model as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

KEY = (
    "'image' is the input image. A slot lies after its row, and all readers of the row read it. '>23': only row 23 "
    "reads it. '32×2': the slot lies inside the block, with 32 channels and a module in each of 2 bottlenecks."
)


def network_table(drawn: Mapping[str, Any]) -> Table:
    """The table of the rows that `describe` returns: one line per row and slot, in at most 80 characters."""
    slots = sum(len(row["slots"]) for row in drawn["rows"])
    title = (
        f"{drawn['model']}: {drawn['task']}, {drawn['classes']} classes, {drawn['params'] / 1e6:.2f} M parameters, "
        f"{len(drawn['rows'])} rows, {slots} slots"
    )
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", padding=(0, 1, 0, 0))
    table.add_column("row", justify="right")
    table.add_column("from", max_width=10)
    table.add_column("module", overflow="fold", max_width=13)
    table.add_column("chan.", justify="right")
    table.add_column("str.", justify="right")
    table.add_column("read by", max_width=8)
    table.add_column("slots", min_width=24)
    part = ""
    for row in drawn["rows"]:
        if part and row["part"] != part:
            table.add_section()
        part = row["part"]
        table.add_row(
            str(row["index"]),
            _numbers("image" if s < 0 else str(s) for s in row["from"]),
            _module(row),
            str(row["channels"] or ""),
            str(row["stride"] or ""),
            _numbers(map(str, row["read_by"])),
            _slots(row["slots"]),
        )
    return table


def _numbers(rows: Any) -> str:
    return ", ".join(rows)


def _module(row: Mapping[str, Any]) -> str:
    return f"{row['module']} ×{row['repeats']}" if row["repeats"] > 1 else str(row["module"])


def _slots(slots: list[Mapping[str, Any]]) -> Text:
    """One line per slot: its names, and its differences from the output of the row."""
    lines = []
    for slot in slots:
        line = Text(slot["name"], style="cyan")
        line.append("".join(f" = {name}" for name in slot["also"]), style="default")
        if slot["readers"]:
            line.append(f" >{','.join(map(str, slot['readers']))}", style="default")
        if slot["inside"]:
            line.append(f" {slot['channels']}×{slot['sites']}", style="default")
        lines.append(line)
    return Text("\n").join(lines)
