"""The errors for rows of unknown modules: what such a row seems to be, and how to make it known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from nas_attn.adoption.alignment import aligned
from nas_attn.attention import layers
from nas_attn.detector.model import community_names
from nas_attn.detector.model.model_yaml import read_yaml
from nas_attn.detector.model.shipped_models import packaged
from nas_attn.errors import UserError
from nas_attn.tasks import HEADS

_RESIZING = {"adown", "carafe", "dysample", "hwd", "pixelshuffle", "spacetodepth", "spd", "spdconv"}
There = tuple[int, Sequence[Any]]  # a row of the base: its number and content
_KNOWN = 100  # score of a base row that is unchanged in the file: more than any likeness
_LAYERS = "give the Python file of its class with --layers FILE"


def unknown_rows(contents: Sequence[Sequence[Any]], unknown: Iterable[int], where: str,
                 theirs: Iterable[str]) -> list[UserError]:  # fmt: skip
    """One error for each unknown name, in the order of the rows.

    Args:
        contents: all rows of the file.
        unknown: numbers of the rows whose module is unknown.
        where: the file.
        theirs: names that Ultralytics' own parser knows.
    """
    theirs = set(theirs)
    rows: dict[str, list[int]] = {}
    for number in unknown:
        rows.setdefault(contents[number][2], []).append(number)
    base, instead = _in_place_of(contents, theirs) if rows else ("", {})
    rule = "a row's module must be one of Ultralytics, of torch.nn or of nas_attn"
    found = []
    for name, own in rows.items():
        needs = _needs(contents[own[0]], theirs, base, instead.get(own[0]))
        remedy = community_names.suggestion(name, theirs) + needs
        if known := layers.names():
            remedy += f" The files of --layers define {', '.join(known)}."
        found.append(UserError(rule, got=f"'{name}'", where=f"{where}, {numbered(own)}", remedy=remedy))
    return found


def numbered(rows: Sequence[int]) -> str:
    """Text for messages, such as `rows 3, 5 and 7`."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    return f"rows {', '.join(map(str, rows[:-1]))} and {rows[-1]}"


def _needs(row: Sequence[Any], theirs: set[str], base: str, instead: There | None) -> str:
    """Text for messages: a description of an unknown row, as far as the file shows it, and how to make it known."""
    name = str(row[2])
    sources = row[0] if isinstance(row[0], list) else [row[0]]
    if len(sources) > 1:
        return f"It takes {len(sources)} inputs: a layer with several inputs is not supported yet."
    block, inside = community_names.around(name, theirs)
    if block:
        return (f"Its name means a {block} with {inside} inside, but nas_attn knows no attention module {inside}. If "
                f"{inside} keeps the channels and the size of its map, write it as your own module and give "
                f"--modules FILE. If the block differs from {block} in anything else, {_LAYERS}.")  # fmt: skip
    if instead:
        number, theirs_there = instead
        does = _does(theirs_there)
        what = f"It is in the place of row {number} ({theirs_there[2]}) of {base}"
        return (
            f"{what}, which {does}: {_LAYERS}." if does else f"{what}, as a block in the place of another: {_LAYERS}."
        )
    if community_names.folded(name) in _RESIZING:
        return f"It is known as a layer that changes the size of its map: {_LAYERS}."
    return (f"If it keeps the channels and the size of its map and a search is to vary it, write it as your own "
            f"module, class {name}, and give --modules FILE; if it is to stay as it is, {_LAYERS}. "
            "`python -m nas_attn modules` lists the known modules.")  # fmt: skip


def _does(row: Sequence[Any]) -> str:
    """The change of the map size by a row of the base, in words; empty if the row keeps the size."""
    module, arguments = str(row[2]), row[3]
    if module == "nn.Upsample":
        return "enlarges the map"
    if module in ("ADown", "AConv", "SCDown") or (module in ("Conv", "DWConv", "GhostConv") and arguments[2:3] == [2]):
        return "halves the map"
    return ""


def _likeness(row: Sequence[Any], there: Sequence[Any]) -> int:
    """A score for an unknown row in the place of a base row. The name weighs most, then arguments and inputs."""
    called = community_names.folded(there[2].rpartition(".")[2]) in community_names.folded(str(row[2]))
    inputs = [len(r[0]) if isinstance(r[0], list) else 1 for r in (row, there)]
    equal = [row[3] == there[3], row[3][:1] == there[3][:1], inputs[0] == inputs[1]]
    return 1 + 8 * called + 2 * equal.count(True)


def _in_place_of(contents: Sequence[Sequence[Any]], theirs: set[str]) -> tuple[str, dict[int, There]]:
    """(nearest base, row of the file -> row of that base that the unknown module replaces)."""
    own = []  # (row of the file, module that the base would have there; empty for an unknown one)
    for number, row in enumerate(contents):
        named = community_names.lookup(str(row[2]), theirs)
        if named is None or named.module is None or named.block:
            own.append((number, "" if named is None else named.block or row[2]))
    best: tuple[float, int, str, list[Any]] = (0.0, 0, "", [])
    for name, path in packaged().items():
        source = read_yaml(path)
        rows = [*source["backbone"], *source["head"]]
        if rows[-1][2] in HEADS:
            share = difflib.SequenceMatcher(None, [m for _, m in own], [r[2] for r in rows], autojunk=False).ratio()
            best = max(best, (share, -len(name), name, rows), key=lambda one: one[:2])
    base = best[3]
    scores = [
        [_KNOWN * (m == r[2]) if m else _likeness(contents[n], r) + (j == i) for i, r in enumerate(base)]
        for j, (n, m) in enumerate(own)
    ]
    pairs = [(own[j][0], i) for j, i in aligned(scores) if not own[j][1]]
    return best[2], {number: (i, base[i]) for number, i in pairs}
