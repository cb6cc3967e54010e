"""Roles: the named places outside blocks, each with its row and its readers, found in the graph of a base model.

| name | place |
|---|---|
| `p2` ... `p7` | after the block that feeds the head at this level, for all its readers |
| `p3.head` | at the same place, but only on the edge into the head: the bottom-up path is not changed |
| `td.p4`, `td.p3` | after the fusion block of the top-down path, for all its readers |
| `lateral.p3` ... | after a backbone output, only on the edges into the neck |
| `sppf.pre`, `sppf.post` | before the pooling pyramid (only on the edge into it), and after it |
| `down.p3` ... | after a map of the neck at this level, only on the edge into its down-sampling |
| `up.p5` ... | after a map at this level, only on the edge into its up-sampling for the top-down path |
| `fuse.p4`, `fuse.td.p4` ... | after the join before the block of `p4` or `td.p4`, for all its readers |
| `backbone.p3` ... | after the last block of the backbone at this level, for all its readers |

A place may have several roles on a base: on most bases, the top-down fusion block at stride 8 also feeds the head. Then
the first of its names in the table is its main name. Studies record main names, so a new role goes below the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from nas_attn.detector.neck.graph import Graph

POOLING = ("SPPF", "SPP", "SPPELAN")
Role = tuple[str, int, tuple[int, ...]]  # name, row, readers


def roles(graph: Graph, inputs: Mapping[str, int]) -> Iterator[Role]:
    """One role for each place outside blocks and each of its names, in the order of the table.

    Args:
        graph: the graph of the base.
        inputs: level such as `p3` -> row of the head's input, highest resolution first.
    """
    for name, row in inputs.items():
        yield name, row, graph.readers[row]
    for name, row in inputs.items():
        yield f"{name}.head", row, (graph.head,)
    top_down = _top_down(graph)
    for name, row in top_down.items():
        yield name, row, graph.readers[row]
    yield from _laterals(graph)
    pooling = [row for row, module in enumerate(graph.modules) if module in POOLING]
    if pooling and graph.sources[pooling[-1]][0] >= 0:
        yield "sppf.pre", graph.sources[pooling[-1]][0], (pooling[-1],)
        yield "sppf.post", pooling[-1], graph.readers[pooling[-1]]
    yield from _downs(graph)
    yield from _ups(graph)
    for name, row in {**inputs, **top_down}.items():
        if (join := _join(graph, row)) is not None:
            yield f"fuse.{name}", join, graph.readers[join]
    for name, row in _backbone(graph).items():
        yield name, row, graph.readers[row]


def _top_down(graph: Graph) -> dict[str, int]:
    """Name -> row of each fusion block of the top-down path.

    It is the last block in the chain after a join with an upsampled map. A join that several rows or the head read has
    no such block.
    """
    found: dict[str, int] = {}
    for row in range(graph.backbone, graph.head):
        if len(graph.sources[row]) > 1 and any(_upsampled(graph, s) for s in graph.sources[row]):
            chain = graph.chain(row)[1:]
            wide = [r for r in chain if graph.channels[r] == graph.channels[chain[0]]]  # others are projections
            blocks = [r for r in chain if graph.is_block(r)] or wide
            if blocks and (level := _level(graph, row)):
                found.setdefault(f"td.{level}", blocks[-1])
    return dict(sorted(found.items(), key=lambda item: -graph.strides[item[1]]))


def _upsampled(graph: Graph, row: int) -> bool:
    """True if a map was enlarged since the last join or block."""
    while row >= graph.backbone and len(graph.sources[row]) == 1 and not graph.is_block(row):
        if graph.enlarges(row):
            return True
        row = graph.sources[row][0]
    return False


def _laterals(graph: Graph) -> Iterator[Role]:
    """Backbone outputs that the neck reads: the deepest one of each level."""
    found: dict[str, Role] = {}
    for row in range(graph.backbone):
        readers = tuple(r for r in graph.readers[row] if r >= graph.backbone)
        if readers and (level := _level(graph, row)):
            found[level] = (f"lateral.{level}", row, readers)
    yield from sorted(found.values(), key=lambda role: graph.strides[role[1]])


def _downs(graph: Graph) -> Iterator[Role]:
    """Maps of the neck that a row makes smaller: the last one of each level, if there are several bottom-up paths."""
    found: dict[str, Role] = {}
    for row in range(graph.backbone, graph.head):
        readers = tuple(r for r in graph.readers[row] if r != graph.head and graph.reduces(graph.map_of(r)))
        if readers and (level := _level(graph, row)):
            found[level] = (f"down.{level}", row, readers)
    yield from sorted(found.values(), key=lambda role: graph.strides[role[1]])


def _ups(graph: Graph) -> Iterator[Role]:
    """Maps that a row of the neck enlarges: the first one of each level, if there are several top-down paths.

    The map between two steps of one enlargement is no place of its own.
    """
    found: dict[str, Role] = {}
    for row in range(graph.head):
        readers = tuple(
            r for r in graph.readers[row] if graph.backbone <= r < graph.head and graph.enlarges(graph.map_of(r))
        )
        second = row >= graph.backbone and graph.enlarges(row)
        if readers and not second and (level := _level(graph, row)):
            found.setdefault(level, (f"up.{level}", row, readers))
    yield from sorted(found.values(), key=lambda role: -graph.strides[role[1]])


def _join(graph: Graph, block: int) -> int | None:
    """The row of the neck that joins the maps for a block, or the last attention after it; None if there is none.

    Args:
        graph: the graph of the base.
        block: row of the block. Convolutions may stand between it and the join.
    """
    way = [block]
    while len(graph.sources[way[-1]]) == 1:
        before = graph.sources[way[-1]][0]
        if before < graph.backbone or graph.strides[before] not in (0, graph.strides[block]):  # 0: an opened block
            return None
        way.append(before)
    join = way[-1]
    for row in reversed(way[1:-1]):
        if graph.readers[join] != (row,) or not graph.is_attention(row):
            break
        join = row
    return None if join == block else join


def _backbone(graph: Graph) -> dict[str, int]:
    """Name -> row of the last block of each level on the way from the image to the deepest output of the backbone.

    A level without blocks has the last row that keeps the size of its map, as in backbones of plain convolutions.
    """
    blocks: dict[str, int] = {}
    others: dict[str, int] = {}
    for row in sorted(_trunk(graph)):
        if level := _level(graph, row):
            before = graph.sources[row][0]
            if graph.is_block(row):
                blocks[level] = row
            elif before >= 0 and graph.strides[before] == graph.strides[row] and len(graph.sources[row]) == 1:
                others[level] = row
    found = {f"backbone.{level}": row for level, row in {**others, **blocks}.items()}
    return dict(sorted(found.items(), key=lambda item: graph.strides[item[1]]))


def _trunk(graph: Graph) -> Iterator[int]:
    """The rows from the deepest output of the backbone back to the image, without attention on an edge into the neck.

    At a join, the way leads to the nearest map: the other branches of a backbone begin further up.
    """
    row = max(range(graph.backbone), key=lambda r: (graph.strides[r], r), default=-1)
    while row >= 0 and graph.is_attention(row) and len(graph.readers[graph.sources[row][0]]) > 1:
        row = graph.sources[row][0]
    while row >= 0:
        yield row
        sources = graph.sources[row]
        row = sources[0] if len(sources) == 1 else max((s for s in sources if s >= 0 and graph.channels[s]), default=-1)


def _level(graph: Graph, row: int) -> str:
    stride = graph.strides[row]
    return f"p{int(math.log2(stride))}" if stride and math.log2(stride).is_integer() else ""
