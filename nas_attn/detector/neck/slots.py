"""Slots: the places for attention in a base model, found from its graph and named by their role.

`roles.py` has the table of the places outside blocks. Inside blocks:

| name | place |
|---|---|
| `inner.p3.insert` | inside the block that feeds the head: at the end of each bottleneck's residual branch |
| `inner.p3.replace` | inside the same block: in place of each bottleneck's second convolution, 3x3 with stride 1 |

A place with several roles is one slot. The first of its names in the table is its main name; the others are known too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from nas_attn.detector.neck.graph import Graph
from nas_attn.detector.neck.roles import roles
from nas_attn.errors import UnknownName, UserError
from nas_attn.space.architecture import Architecture
from nas_attn.space.slot import InBlock, Slot

if TYPE_CHECKING:
    from torch import nn

    from nas_attn.detector.model.base_model import BaseModel


def find_slots(base: BaseModel, model: nn.Module | None = None) -> tuple[Slot, ...]:
    """The slots after each block that feeds the head, highest resolution first: the default slots of a search.

    The rows are the inputs of the head, and channels and strides are measured on the built model. Therefore a head with
    another order of inputs, or with more or fewer levels, needs no special case.

    Args:
        base: the base model.
        model: the result of `BaseModel.build`, if the caller has it already.

    Raises:
        UserError: an input of the head has a stride that is no power of two, or two inputs have the same stride.
    """
    return tuple(s for s in all_slots(base, model) if "." not in s.name)


def all_slots(base: BaseModel, model: nn.Module | None = None) -> tuple[Slot, ...]:
    """The slots of every kind, in the order of the two tables; arguments and errors as for `find_slots`."""
    built: Any = base.build() if model is None else model
    graph = Graph.of(base, built)
    inputs = _head_inputs(graph, base.name)
    found: dict[tuple[int, tuple[int, ...]], Slot] = {}
    for name, row, readers in roles(graph, inputs):
        everywhere = set(readers) >= set(graph.readers[row])
        key = row, () if everywhere else readers
        if key in found:
            found[key] = replace(found[key], also=(*found[key].also, name))
        elif graph.strides[row]:
            found[key] = Slot(name, row, graph.channels[row], graph.strides[row], key[1])
    return (*found.values(), *_inside(base, built, graph, inputs))


def named(slots: Iterable[Slot], wanted: Iterable[str], where: str = "") -> tuple[Slot, ...]:
    """The slots with the given names, in the order of `slots`.

    Args:
        slots: the slots of a base.
        wanted: main or other names of slots, and patterns such as `p?` and `inner.*`.
        where: the place that a message names.

    Raises:
        UnknownName: no slot has this name; the message lists the known names.
    """
    slots = tuple(slots)
    names = {n: s.name for s in slots for n in (s.name, *s.also)}
    chosen = set()
    for one in wanted:
        own = [names[one]] if one in names else [own for n, own in names.items() if fnmatchcase(n, one)]
        if not own:
            raise UnknownName("slot", one, names, where=where)
        chosen.update(own)
    return tuple(s for s in slots if s.name in chosen)


def is_pattern(name: str) -> bool:
    """True if a name is a pattern, which means all slots that match it."""
    return any(sign in name for sign in "*?[")


def canonical(architecture: Architecture, slots: Iterable[Slot], where: str = "") -> Architecture:
    """The architecture with the main name of each slot on a base.

    Args:
        architecture: genes at main or other names of slots.
        slots: the slots of the base.
        where: the place that a message names.

    Raises:
        UnknownName: the base has no such slot.
        UserError: two names mean the same place.
    """
    slots = tuple(slots)
    genes: dict[str, Any] = {}
    for name, gene in architecture:
        (slot,) = named(slots, [name], where)
        if slot.name in genes:
            rule = "a place must be named once"
            raise UserError(rule, got=f"'{slot.name}' twice, also as '{name}'", where=where)
        genes[slot.name] = gene
    return Architecture.of(genes)


def _head_inputs(graph: Graph, where: str) -> dict[str, int]:
    """Level such as `p3` -> row of the head's input, highest resolution first."""
    rows = {row: graph.strides[row] for row in graph.sources[graph.head] if graph.channels[row]}
    if len(set(rows.values())) != len(rows):
        raise UserError("a head's inputs must have different strides", got=sorted(rows.values()), where=where)
    for stride in rows.values():
        if not stride or not math.log2(stride).is_integer():
            raise UserError("a head's input must have a stride that is a power of two", got=stride, where=where)
    return {f"p{int(math.log2(stride))}": row for row, stride in sorted(rows.items(), key=lambda item: item[1])}


def _inside(base: BaseModel, model: Any, graph: Graph, inputs: dict[str, int]) -> Iterator[Slot]:
    """Slots inside the blocks that feed the head."""
    from nas_attn.detector.blocks import places

    known: dict[int, Sequence[Any]] = getattr(model, "block_arguments", {})
    for name, row in inputs.items():
        if row not in known:
            continue
        for mode, (channels, sites, weights) in places(model.model[row]).items():
            inside = InBlock(mode, graph.modules[row], tuple(known[row]), sites, weights)
            yield Slot(f"inner.{name}.{mode}", row, channels, graph.strides[row], inside=inside)
