"""The rewrite of a model YAML's rows: rows are inserted, later indices are shifted, and nothing else changes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas_attn.attention import layers
from nas_attn.errors import SlotRefused

PREFIX = "nas_attn."  # a dotted name never collides with a name in Ultralytics' globals
RowContent = tuple[str, list[Any]]  # module name and arguments of a YAML row


@dataclass(frozen=True)
class Insertion:
    """A row that is inserted after another row.

    Attributes:
        slot: the caller's name of the place.
        row: module name and arguments of the inserted row.
        readers: rows that then read the inserted row instead of the row before it; if empty, all its readers do.
    """

    slot: str
    row: RowContent
    readers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rewritten:
    """A rewritten model dictionary, and the new row numbers.

    Attributes:
        yaml: the new dictionary.
        row_map: row of the base -> new row.
        outputs: row of the base -> new row that its readers read, if no insertion names these readers.
        places: slot -> new row that holds the module of the slot.
    """

    yaml: dict[str, Any]
    row_map: dict[int, int]
    outputs: dict[int, int]
    places: dict[str, int]


def rows_of(model_yaml: Mapping[str, Any]) -> list[list[Any]]:
    """All rows of a model dictionary, those of `backbone` first."""
    return [*model_yaml["backbone"], *model_yaml["head"]]


def absolute(sources: int | list[int], row: int) -> list[int]:
    """The numbers of the rows that `row` reads, relative ones resolved; -1 is the image.

    Args:
        sources: the `from` of the row.
        row: number of the row.
    """
    return [s if s >= 0 else row + s for s in (sources if isinstance(sources, list) else [sources])]


def rewrite(
    model_yaml: Mapping[str, Any],
    inserts: Mapping[int, Sequence[Insertion]],
    instead: Mapping[int, Sequence[RowContent]] | None = None,
) -> Rewritten:
    """Insert rows, and put other rows in the place of rows.

    A relative index stays relative, and an absolute index stays absolute. Some heads read a list of saved maps, and
    Ultralytics saves the map before the head only if a row names it by its absolute index.

    Args:
        model_yaml: a model dictionary with `backbone` and `head`; it is not changed.
        inserts: row -> rows to insert after it. A row for all readers comes first, then the others, those with more
            readers before those with fewer.
        instead: row -> the rows in its place: the first reads what it read, each other one the row above it, and its
            readers read the last.

    Returns:
        The new dictionary, and the new row numbers.

    Raises:
        SlotRefused: two insertions share only a part of their readers, so neither can come after the other.
        ValueError: a row does not exist, or is the head.
    """
    instead = instead or {}
    old = rows_of(model_yaml)
    if any(not 0 <= row < len(old) - 1 for row in (*inserts, *instead)):
        raise ValueError(f"`inserts` must name rows from 0 to {len(old) - 2}, but got {sorted((*inserts, *instead))}.")
    new: list[list[Any]] = []
    row_map: dict[int, int] = {}
    output: dict[int, int] = {-1: -1}
    edges: dict[tuple[int, int], int] = {}  # (old row, old reader) -> new row, if the reader does not read `output`
    places: dict[str, int] = {}
    backbone_end = 0
    for row, (sources, repeats, module, arguments) in enumerate(old):
        here = len(new)
        given = sources if isinstance(sources, list) else [sources]
        stand = [edges.get((a, row), output[a]) for a in absolute(given, row)]
        moved = [now if s >= 0 else now - here for s, now in zip(given, stand, strict=True)]
        source = moved if isinstance(sources, list) else moved[0]
        row_map[row] = here
        if row in instead:
            for name, inner in instead[row]:
                new.append([source if len(new) == here else -1, 1, name, copy.deepcopy(inner)])
        else:
            new.append([source, repeats, module, copy.deepcopy(arguments)])
        output[row] = len(new) - 1
        for one in sorted(inserts.get(row, ()), key=lambda i: (bool(i.readers), -len(i.readers))):
            before = {edges.get((row, reader), output[row]) for reader in one.readers} or {output[row]}
            if len(before) > 1:
                raise SlotRefused(f"{one.slot} shares a part of its readers with another filled slot, but not all")
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


def stated(row: RowContent, channels: int) -> list[RowContent]:
    """A row whose module returns a list of one map, and the row of Ultralytics that states the channels of the map."""
    return [row, ("Index", [channels, 0])]


def plain_rows(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, str]]:
    """(row, module) for each row that was not inserted; a block with attention inside counts as the plain block."""
    after_block = False
    for index, row in enumerate(rows):
        module = str(row[2])
        if is_block(row):
            yield index, module.removeprefix(PREFIX)
        elif not is_inserted(row) and not after_block:
            yield index, module_name(row)
        after_block = is_block(row)


def module_name(row: Sequence[Any]) -> str:
    """The module name of a row. Ultralytics replaces `Silence` by `nn.Identity` in models that it has built."""
    return "nn.Identity" if row[2] == "Silence" else str(row[2])


def is_block(row: Sequence[Any]) -> bool:
    """True if the row holds a block of Ultralytics with attention inside."""
    if not str(row[2]).startswith(PREFIX) or len(row[3]) != 2:
        return False
    outside, inside = row[3]
    return isinstance(outside, list) and isinstance(inside, list) and all(isinstance(g, list) for g in inside)


def is_inserted(row: Sequence[Any]) -> bool:
    """True if the row holds attention of this package, as a row or inside a block; a layer of the user is no such."""
    return str(row[2]).startswith(PREFIX) and not is_own_layer(row)


def is_own_layer(row: Sequence[Any]) -> bool:
    """True if the row holds a layer of the user, complete as this package writes it."""
    name = str(row[2])
    return name.startswith(PREFIX) and layers.is_layer(name.removeprefix(PREFIX))
