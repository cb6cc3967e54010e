"""The picture of the rooms in CONTRIBUTING.md, drawn from the imports: `python tests/support/rooms_picture.py`.

An arrow leads from a room to a room that it imports. If a longer path connects two rooms, the direct arrow is left out,
so a room may import every room that its arrows reach. Sizes have one digit, so that few changes need a new picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from package_imports import FILES, RANK, ROOT, inner, room

PAGE = ROOT.parent / "CONTRIBUTING.md"
COMMAND = "python tests/support/rooms_picture.py"
GROUND = tuple(name for name, rank in RANK.items() if rank < RANK["statistics"] and name != "_version")
BLOCK = re.compile(r"(?<=```mermaid\n).*?(?=```\n)", re.DOTALL)


def box(name: str) -> str:
    """The box of a file in the picture; the file is given by its dotted name. Empty if it has no box."""
    own = room(name)
    if own in GROUND:
        return "ground"
    return own if own in RANK and not own.startswith("_") else ""


def arrows() -> dict[str, set[str]]:
    """Box -> the boxes that its files import, in the order of the rooms."""
    found: dict[str, set[str]] = {name: set() for name in map(box, RANK) if name}
    for name, path in FILES.items():
        if here := box(name):
            found[here] |= {box(other) for other in inner(path)} - {here, ""}
    return found


def needed(direct: dict[str, set[str]]) -> list[tuple[str, str]]:
    """The arrows that no longer path replaces; those of the last room come first, so that Mermaid crosses fewer."""

    def beyond(names: Iterable[str]) -> set[str]:
        return {far for name in names for far in direct[name] | beyond(direct[name])}

    return [(one, other) for one in reversed(direct) for other in sorted(direct[one] - beyond(direct[one]))]


def picture() -> str:
    """The flowchart as Mermaid text."""
    direct = arrows()
    lines = dict.fromkeys(direct, 0)
    for name, path in FILES.items():
        if here := box(name):
            lines[here] += path.read_text(encoding="utf-8").count("\n")

    def drawn(name: str) -> str:
        size = float(f"{lines[name]:.0e}")
        told = f"{', '.join(GROUND)}<br>" if name == "ground" else ""
        return f'{name}["<b>{name.rpartition(".")[2]}</b><br>{told}{size:,.0f} lines"]'

    inside = [name for name in direct if name.startswith("detector.")]
    rows = [
        "flowchart BT",
        *(f"  {drawn(name)}" for name in direct if name not in inside),
        "  subgraph detector",
        *(f"    {drawn(name)}" for name in inside),
        "  end",
        *(f"  {one} --> {other}" for one, other in needed(direct)),
    ]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda _: picture(), PAGE.read_text(encoding="utf-8"), count=1), encoding="utf-8")
