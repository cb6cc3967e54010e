"""A base model described for people: its rows, the rows that each reads and is read by, and the slots there."""

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
    """The network and its slots, JSON-ready.

    Args:
        base: the base model.
        wanted: names of the slots to show, or patterns; None for all. Slots that can hold nothing are never shown.

    Returns:
        `model`, `scale`, `head`, `task`, `classes`, `params` (of the whole model), and `rows`. A row has its `index`,
        the `part` it stands in (`backbone`, `neck` or `head`), `from` (rows that it reads; -1 is the image), `module`,
        `repeats` as built, `channels` and `stride` of its output (null if that is no map), `read_by` (rows),
        `params`, and `slots`: each with `name`, `also` (its other names), `channels`, `sites` (modules that a gene puts
        there), `readers` (rows; empty if all readers of the row read the slot) and `inside` (`insert`, `replace` or
        null).

    Raises:
        UnknownName: a slot that the base does not have.
        SlotRefused: a slot named in full that can hold nothing.
        UserError: Ultralytics cannot build it, or its head's inputs have no usual strides.
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
