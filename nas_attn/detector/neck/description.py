"""The description of a base model that `slots` prints: its rows, how they are connected, and their slots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nas_attn.detector.model.head_form import unusable_slots
from nas_attn.detector.model.model_yaml import built_repeats
from nas_attn.detector.neck.graph import Graph
from nas_attn.detector.neck.slots import all_slots, named
from nas_attn.space.slot import Slot

if TYPE_CHECKING:
    from nas_attn.detector.model.base_model import BaseModel


def describe(base: BaseModel, wanted: Iterable[str] | None = None) -> dict[str, Any]:
    """The network and its slots as a JSON-ready dictionary.

    Args:
        base: the base model.
        wanted: names or patterns of the slots to show; None for all. Slots that can never hold attention are not shown.

    Returns:
        `model`, `scale`, `head`, `task`, `classes`, `params` (of the whole model), and `rows`. Each row has `index`,
        `part` (`backbone`, `neck` or `head`), `from` (the rows that it reads; -1 is the image), `module`, `repeats` (as
        built), `channels` and `stride` of its output (null if the output is no map), `read_by` (rows), `params`, and
        `slots`. Each slot has `name`, `also` (its other names), `channels`, `sites` (number of modules that a gene puts
        there), `readers` (rows; empty if all readers of the row read the slot) and `inside` (`insert`, `replace` or
        null).

    Raises:
        UnknownName: the base has no such slot.
        SlotRefused: `wanted` has the full name of a slot that can never hold attention.
        UserError: Ultralytics cannot build the base, or the inputs of its head have unusual strides.
    """
    model: Any = base.build()
    slots = all_slots(base, model)
    refused = unusable_slots(base, slots)
    if wanted is not None:
        wanted = list(wanted)
        slots = named(slots, wanted, f"base model '{base.name}'")
        if by_name := [refused[name] for name in wanted if name in refused]:
            raise by_name[0]
    slots = tuple(s for s in slots if s.name not in refused)
    graph = Graph.of(base, model)
    rows = [_row(base, graph, model, index, [s for s in slots if s.row == index]) for index in range(graph.head + 1)]
    return {
        "model": base.name,
        "scale": base.scale,
        "head": base.head,
        "task": base.task,
        "classes": base.nc,
        "params": sum(p.numel() for p in model.parameters()),
        "rows": rows,
    }


def _row(base: BaseModel, graph: Graph, model: Any, index: int, slots: Iterable[Slot]) -> dict[str, Any]:
    is_map = graph.strides[index] > 0 and index != graph.head
    return {
        "index": index,
        "part": "head" if index == graph.head else "backbone" if index < graph.backbone else "neck",
        "from": list(graph.sources[index]),
        "module": graph.modules[index],
        "repeats": built_repeats(int(base.rows[index][1]), base.factors[0]),
        "channels": graph.channels[index] if is_map else None,
        "stride": graph.strides[index] if is_map else None,
        "read_by": list(graph.readers[index]),
        "params": sum(p.numel() for p in model.model[index].parameters()),
        "slots": [
            {
                "name": slot.name,
                "also": list(slot.also),
                "channels": slot.channels,
                "sites": slot.sites,
                "readers": list(slot.readers),
                "inside": slot.inside.mode if slot.inside else None,
            }
            for slot in slots
        ],
    }
