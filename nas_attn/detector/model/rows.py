"""Rows of a model YAML rewritten: rows inserted, later indices shifted, nothing else changed."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_attn.errors import SlotRefused

PREFIX = "nas_attn."  # a dotted name can never be one that Ultralytics has or gets
RowContent = tuple[str, list[Any]]  # module name and arguments of a YAML row


@dataclass(frozen=True)
class Insertion:
    """A row put behind another.

    Attributes:
        slot: the caller's name of the place.
        row: its module's name and arguments.
        readers: rows that read it in place of the row before it; if empty, all that read that row.
    """

    slot: str
    row: RowContent
    readers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rewritten:
    """A rewritten model dictionary, and the new places of its rows and modules.

    Attributes:
        yaml: the new dictionary.
        row_map: row of the base -> new row.
        outputs: row of the base -> new row whose output its readers read, unless an insertion names its readers.
        places: slot -> new row that holds its module.
    """

    yaml: dict[str, Any]
    row_map: dict[int, int]
    outputs: dict[int, int]
    places: dict[str, int]


def rows_of(model_yaml: Mapping[str, Any]) -> list[list[Any]]:
    """All rows of a model dictionary, those of `backbone` first."""
    return [*model_yaml["backbone"], *model_yaml["head"]]


def absolute(sources: int | list[int], row: int) -> list[int]:
    """Non-negative rows that `row` reads; -1 is the row before it (the image, for row 0)."""
    return [s if s >= 0 else row + s for s in (sources if isinstance(sources, list) else [sources])]


def rewrite(
    model_yaml: Mapping[str, Any],
    inserts: Mapping[int, Sequence[Insertion]],
    blocks: Mapping[int, tuple[RowContent, int]] | None = None,
) -> Rewritten:
    """Insert rows and put blocks of this package in place of Ultralytics'.

    A relative index stays relative and an absolute one absolute: some heads read a list of saved maps, and the map
    before them is saved only if a row names it by its absolute index.

    Args:
        model_yaml: a model dictionary with `backbone` and `head`; it stays as it is.
        inserts: row -> rows to put behind it. A row for all readers comes first, then those for most readers.
        blocks: row -> (module name and arguments that take the row's place, channels of its output).

    Raises:
        SlotRefused: two insertions share some of their readers, so neither can follow the other.
    """
    blocks = blocks or {}
    old = rows_of(model_yaml)
    if any(not 0 <= row < len(old) - 1 for row in (*inserts, *blocks)):
        raise ValueError(f"`inserts` must name rows from 0 to {len(old) - 2}, but got {sorted((*inserts, *blocks))}.")
    new: list[list[Any]] = []
    row_map: dict[int, int] = {}
    output: dict[int, int] = {-1: -1}
    edges: dict[tuple[int, int], int] = {}  # (old row, old reader) -> new row, for readers of another row than `output`
    places: dict[str, int] = {}
    backbone_end = 0
    for row, (sources, repeats, module, arguments) in enumerate(old):
        here = len(new)
        given = sources if isinstance(sources, list) else [sources]
        stand = [edges.get((a, row), output[a]) for a in absolute(given, row)]
        moved = [now if s >= 0 else now - here for s, now in zip(given, stand, strict=True)]
        source = moved if isinstance(sources, list) else moved[0]
        row_map[row] = here
        if row in blocks:  # states its width in the row behind it, see `blocks.py`
            (name, inner), channels = blocks[row]
            new += [[source, 1, name, copy.deepcopy(inner)], [-1, 1, "Index", [channels, 0]]]
        else:
            new.append([source, repeats, module, copy.deepcopy(arguments)])
        output[row] = len(new) - 1
        for one in sorted(inserts.get(row, ()), key=lambda i: (bool(i.readers), -len(i.readers))):
            before = {edges.get((row, reader), output[row]) for reader in one.readers} or {output[row]}
            if len(before) > 1:
                raise SlotRefused(f"{one.slot} shares some but not all of its readers with another filled slot")
            (at,) = before
            new.append([-1 if at == len(new) - 1 else at, 1, one.row[0], copy.deepcopy(list(one.row[1]))])
            places[one.slot] = len(new) - 1
            if one.readers:
                edges.update({(row, reader): len(new) - 1 for reader in one.readers})
            else:
                output[row] = len(new) - 1
        if row < len(model_yaml["backbone"]):
            backbone_end = len(new)
    rewritten = copy.deepcopy(dict(model_yaml))
    rewritten["backbone"], rewritten["head"] = new[:backbone_end], new[backbone_end:]
    return Rewritten(rewritten, row_map, output, places)


def plain_rows(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, str]]:
    """(row, module) of each row that is not inserted; a block with attention inside counts as the plain block."""
    after_block = False
    for index, row in enumerate(rows):
        module = str(row[2])
        if is_block(row):
            yield index, module.removeprefix(PREFIX)
        elif not module.startswith(PREFIX) and not after_block:
            yield index, module_name(row)
        after_block = is_block(row)


def module_name(row: Sequence[Any]) -> str:
    """The row's module; Ultralytics itself rewrites one name in the YAMLs of models that it has built."""
    return "nn.Identity" if row[2] == "Silence" else str(row[2])


def is_block(row: Sequence[Any]) -> bool:
    """True if a row holds one of Ultralytics' blocks with attention inside."""
    inside = row[3][1] if len(row[3]) == 2 else None
    return str(row[2]).startswith(PREFIX) and isinstance(inside, list) and all(isinstance(g, list) for g in inside)
