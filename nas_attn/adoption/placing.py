"""Placing: attention rows of an article's file become genes at slots of its base. Rows at no slot stay in the base."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nas_attn.adoption.arguments import FeatureMap, Reading, read_arguments
from nas_attn.adoption.article import ArticleRow
from nas_attn.adoption.findings import Findings
from nas_attn.adoption.own_base import build_plain
from nas_attn.adoption.own_rows import ShapeChanged
from nas_attn.adoption.wiring import Wiring, shown
from nas_attn.attention import registry
from nas_attn.detector.blocks import places
from nas_attn.detector.model.base_model import BaseModel
from nas_attn.detector.model.community_names import AFTER
from nas_attn.detector.model.model_yaml import built_repeats
from nas_attn.detector.model.own_layers import PROBE, OwnLayer, own_layer
from nas_attn.detector.model.rows import PREFIX, Insertion, RowContent, absolute, rewrite, stated
from nas_attn.detector.neck.graph import Graph
from nas_attn.detector.neck.slots import all_slots
from nas_attn.errors import UserError
from nas_attn.space.architecture import Architecture
from nas_attn.space.slot import INSERT, REPLACE, Slot

USUAL = {  # place of a module in classes such as `C2f_ECA`; the others are at the end of each bottleneck's branch
    "acmix": REPLACE,
    "cbam": AFTER,
    "eca": AFTER,
}


@dataclass
class Put:
    """One row of attention in the file, or one block with attention inside.

    Attributes:
        row: the row of the file.
        root: row of the base before it; for a block, the row of the block.
        readers: rows of the base that read it, directly or through other attention; empty for a block.
        channels: channels of the map that the module works on.
        size: height and width of that map at the image size of the final training.
        sites: number of modules.
        reading: its arguments, read as settings.
        mode: place inside its block; empty for a separate row, and for attention after a block.
        times: number of modules in sequence that its repeats mean at the depth of the scale.
        layer: the own layer of the user in this row; None for attention.
        slot: name of the slot that it fills; empty if it fills none.
    """

    row: ArticleRow
    root: int
    readers: frozenset[int]
    channels: int
    size: int
    sites: int
    reading: Reading
    mode: str = ""
    times: int = 1
    layer: OwnLayer | None = None
    slot: str = ""


@dataclass(frozen=True)
class Placed:
    """A file as an architecture.

    Attributes:
        base: the base, with those attention rows that are at no slot.
        slots: all slots of that base.
        architecture: the attention rows at slots; None if there are none.
        puts: every attention row of the file.
    """

    base: BaseModel
    slots: tuple[Slot, ...]
    architecture: Architecture | None
    puts: tuple[Put, ...]


def place(wiring: Wiring, base: BaseModel, imgsz: int, inside: str | None, findings: Findings) -> Placed:
    """Find the slot of each attention row.

    Args:
        wiring: the repaired file.
        base: the rows of the file without attention.
        imgsz: image size of the final training in pixels.
        inside: `insert`, `replace` or `after` for blocks with attention; None for the usual place of each module.
        findings: receives repairs and suspicions.

    Raises:
        SlotRefused: no settings of a module fit its map.
        UserError: a row cannot be built.
        ShapeChanged: an own layer that was inserted changes the shape of its map.
    """
    built: Any = build_plain(base, wiring)
    graph = Graph.of(base, built)
    slots = all_slots(base, built)
    rows = _rows(wiring, base, graph, imgsz, findings)
    blocks = _blocks(wiring, base, built, graph, imgsz, inside, findings)
    puts = sorted([*rows, *blocks], key=lambda put: put.row.number)
    if inside is None:
        _say_inside(puts, findings)
    fixed: set[int] = set()  # rows of the base whose attention becomes part of it
    while True:
        done, found, genes = base, slots, {}
        moved = {i: i for i in range(graph.head + 1)}
        if fixed:
            done, moved = _with_rows(base, built, [p for p in puts if p.root in fixed])
            found = all_slots(done)
        for put in puts:
            put.slot = "" if put.root in fixed else _slot(put, found, graph, moved)
            if put.slot in genes or put.reading.gene is None or put.times > 1:
                put.slot = ""
            if put.slot and put.reading.gene:
                genes[put.slot] = put.reading.gene
        homeless = {p.root for p in puts if not p.slot} - fixed
        if not homeless:
            break
        fixed |= homeless
    _say_homeless(puts, wiring, findings)
    return Placed(done, found, Architecture.of(genes) if genes else None, tuple(puts))


def _rows(wiring: Wiring, base: BaseModel, graph: Graph, imgsz: int, findings: Findings) -> Iterable[Put]:
    article = wiring.article
    for row in article.attention:
        readers = _base_readers(wiring, row.number)
        if not readers:
            continue
        before = wiring.root(row.number)
        root = wiring.base_output(before) if before >= 0 else -1
        where = f"{article.path}, {shown(article, row.number)}"
        if root < 0 or not graph.channels[root] or not graph.strides[root]:
            rule = "attention must come after a row whose output is a map"
            raise UserError(rule, got=shown(article, article.plain[before] if before >= 0 else -1), where=where)
        if row.layer:
            layer = own_layer(row.content, (graph.channels[root], PROBE // graph.strides[root]), base.factors, where)
            if not layer.keeps_shape:
                raise ShapeChanged(row.number)
            name, arguments = layer.rows[0]
            reading = Reading(None, (name.removeprefix(PREFIX), arguments))
            yield Put(row, root, readers, graph.channels[root], 0, 1, reading, times=layer.times, layer=layer)
            continue
        at = FeatureMap(graph.channels[root], -(-imgsz // graph.strides[root]), base.factors, where)
        yield Put(row, root, readers, at.channels, at.size, 1, _read(row, row.content[3], at, findings),
                  times=built_repeats(row.content[1], base.factors[0]))  # fmt: skip


def _blocks(wiring: Wiring, base: BaseModel, built: Any, graph: Graph, imgsz: int, inside: str | None,
            findings: Findings) -> Iterable[Put]:  # fmt: skip
    article = wiring.article
    for row in article.blocks:
        root = wiring.base_row(article.plain.index(row.number))
        where = f"{article.path}, {shown(article, row.number)}"
        mode = inside or row.named.mode or USUAL.get(str(row.named.module), INSERT)
        if mode == AFTER:
            at = FeatureMap(graph.channels[root], -(-imgsz // graph.strides[root]), base.factors, where)
            reading = _read(row, [], at, findings)
            yield Put(row, root, frozenset(graph.readers[root]), at.channels, at.size, 1, reading)
            continue
        room = places(built.model[root]) if root in built.block_arguments else {}
        if mode not in room:
            other = f"; --inside can be {', '.join([*room, AFTER])}"
            rule = "a block must have bottlenecks of one kind to hold attention"
            raise UserError(rule, got=f"'{row.named.block}'{other}", where=where)
        channels, sites, _ = room[mode]
        at = FeatureMap(channels, -(-imgsz // graph.strides[root]), base.factors, where)
        yield Put(row, root, frozenset(), channels, at.size, sites, _read(row, [], at, findings), mode)


def _read(row: ArticleRow, arguments: Sequence[Any], at: FeatureMap, findings: Findings) -> Reading:
    spelt = row.named.spelt if row.named.block or row.meaning else row.as_written
    reading = read_arguments(registry.get(str(row.named.module)), arguments, at, spelt)
    name, text = f"row {row.number} ({row.as_written})", "[" + ", ".join(map(str, arguments)) + "]"
    if reading.refused:
        now = f"{reading.gene}, the nearest that fits there"
        findings.repair(row.number, row.as_written, text, now, reading.refused)
    for note in reading.notes:
        findings.suspect(row.number, "arguments", f"{name} {note}: its arguments are {text}")
    return reading


def _base_readers(wiring: Wiring, number: int) -> frozenset[int]:
    """Rows of the base that read a row, directly or through attention after it."""
    found: set[int] = set()
    for reader in wiring.readers(number):
        if wiring.article.rows[reader].is_plain:
            found.add(wiring.base_row(wiring.article.plain.index(reader)))
        else:
            found |= _base_readers(wiring, reader)
    return frozenset(found)


def _slot(put: Put, slots: Sequence[Slot], graph: Graph, moved: dict[int, int]) -> str:
    """The name of the slot that a row fills; empty if it fills none.

    Args:
        put: the row.
        slots: slots of the base as it is now.
        graph: graph of the base without attention.
        moved: row in `graph` -> row of the base as it is now.
    """
    readers = {moved[r] for r in put.readers}
    everyone = put.readers == set(graph.readers[put.root])
    for slot in slots:
        if slot.row != moved[put.root]:
            continue
        if put.mode:
            if slot.inside and slot.inside.mode == put.mode:
                return slot.name
        elif not slot.inside and (set(slot.readers) == readers if slot.readers else everyone):
            return slot.name
    return ""


def _with_rows(base: BaseModel, built: Any, puts: Sequence[Put]) -> tuple[BaseModel, dict[int, int]]:
    """(the base with these rows inserted, row of the base -> new row)."""
    graph_readers = _readers_of(base)
    inserts: dict[int, list[Insertion]] = {}
    blocks: dict[int, list[RowContent]] = {}
    for put in puts:
        module, arguments = _row_of(put)
        if put.mode:
            resolved = list(built.block_arguments[put.root])
            gene = [put.mode, module, *arguments]
            blocks[put.root] = stated((PREFIX + put.row.named.block, [resolved, [gene]]), resolved[1])
        else:
            readers = () if put.readers == graph_readers[put.root] else tuple(sorted(put.readers))
            one = Insertion(f"row {put.row.number}", (PREFIX + module, arguments), readers)
            inserts.setdefault(put.root, []).extend([one] * put.times)
    done = rewrite(base.yaml, inserts, blocks)
    name = base.name if base.name.endswith("-adopted") else f"{base.name}-adopted"
    return replace(base, name=name, yaml=done.yaml), done.row_map


def _readers_of(base: BaseModel) -> list[frozenset[int]]:
    rows = base.rows
    sources = [absolute(row[0], i) for i, row in enumerate(rows)]
    return [frozenset(r for r, read in enumerate(sources) if i in read) for i in range(len(rows))]


def _row_of(put: Put) -> tuple[str, list[Any]]:
    """(class name, arguments) of a row that becomes part of the base."""
    if put.reading.gene is None:
        return put.reading.raw
    return registry.get(put.reading.gene.module).row(put.channels, put.reading.gene.as_dict())


def _say_inside(puts: Sequence[Put], findings: Findings) -> None:
    """Add a suspicion about modules in blocks whose names do not say their place, with the assumed place."""
    places_said = {
        REPLACE: "in place of each bottleneck's second convolution",
        INSERT: "at the end of each bottleneck's branch",
        AFTER: "after the whole block",
    }
    for mode, what in places_said.items():
        own = [p.row for p in puts if p.row.named.block and (p.mode or AFTER) == mode]
        if own := [r for r in own if r.named.mode != mode]:
            others = "|".join(m for m in places_said if m != mode)
            findings.suspect(own[0].number, "place", f"{listed(own)}: the name does not say where in the block the "
                             f"module is, so it goes {what}; --inside {others} chooses another place")  # fmt: skip


def _say_homeless(puts: Sequence[Put], wiring: Wiring, findings: Findings) -> None:
    """Add a suspicion for each row that a search cannot vary, with the reason."""
    article = wiring.article
    end = "unchanged in the base, and a search cannot vary"
    homeless = [p for p in puts if not p.slot]
    if blocks := [p.row for p in homeless if p.mode]:
        findings.suspect(blocks[0].number, "place", f"{listed(blocks)}: only blocks that feed the head have slots "
                         f"inside; these stay {end} them")  # fmt: skip
    for put in (p for p in homeless if not p.mode and not p.layer):
        me, root = shown(article, put.row.number), shown(article, wiring.file_row(put.root))
        root = f"its own {put.row.named.block}" if put.row.named.block else root
        others = [p.row for p in homeless if p.root == put.root and p is not put and not p.mode]
        if put.reading.gene is None:
            name, arguments = put.reading.raw
            why = f"a search cannot choose its arguments, {name}{arguments}"
        elif put.times > 1:
            why = (f"it occurs {put.times} times (repeats {put.row.content[1]} at the scale's depth), but a slot holds "
                   "one module: write 1 for its repeats to put it at a slot")  # fmt: skip
        elif others:
            why = f"a slot holds one module, and after {root} there is also {listed(others)}"
        else:
            readers = ", ".join(shown(article, wiring.file_row(r)) for r in sorted(put.readers))
            why = f"no slot is at its place, after {root} and read by {readers}"
        findings.suspect(put.row.number, "place", f"{me}: {why}; it stays {end} it")


def listed(rows: Sequence[ArticleRow]) -> str:
    """Text for messages, such as `rows 4, 6 (ACmix)`."""
    if len(rows) == 1:
        return f"row {rows[0].number} ({rows[0].as_written})"
    kinds = ", ".join(dict.fromkeys(r.as_written for r in rows))
    return f"rows {', '.join(str(r.number) for r in rows)} ({kinds})"
