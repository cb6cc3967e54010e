"""An architecture as a model YAML: rows inserted, later indices shifted, nothing else changed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas_attn.attention import registry
from nas_attn.errors import SlotRefused, UnknownName
from nas_attn.space.architecture import Architecture
from nas_attn.space.slot import Slot

if TYPE_CHECKING:
    from nas_attn.detector.base_model import BaseModel

PREFIX = "nas_attn."  # a dotted name can never be one that Ultralytics has or gets


def absolute(sources: int | list[int], row: int) -> list[int]:
    """Non-negative rows that `row` reads; -1 is the row before it (the image, for row 0)."""
    return [s if s >= 0 else row + s for s in (sources if isinstance(sources, list) else [sources])]


def insert(
    model_yaml: Mapping[str, Any], inserts: Mapping[int, tuple[str, list[Any]]]
) -> tuple[dict[str, Any], dict[int, int]]:
    """Insert a row after each of the given rows; whatever read such a row reads the inserted one instead.

    A relative index stays relative and an absolute one absolute: some heads read a list of saved maps, and the map
    before them is saved only if a row names it by its absolute index.

    Args:
        model_yaml: a model dictionary with `backbone` and `head`; it stays as it is.
        inserts: row -> (module name, arguments) of what follows it; the last row (the head) can have none.

    Returns:
        The new dictionary, and where each row of the old one now stands: old row -> new row.
    """
    old = model_yaml["backbone"] + model_yaml["head"]
    if any(not 0 <= row < len(old) - 1 for row in inserts):
        raise ValueError(f"`inserts` must name rows from 0 to {len(old) - 2}, but got {sorted(inserts)}.")
    new: list[list[Any]] = []
    row_map: dict[int, int] = {}
    output: dict[int, int] = {-1: -1}  # old row -> new row whose output stands for it
    backbone_end = 0
    for row, (sources, repeats, module, arguments) in enumerate(old):
        here = len(new)
        given = sources if isinstance(sources, list) else [sources]
        moved = [output[a] if s >= 0 else output[a] - here for s, a in zip(given, absolute(given, row), strict=True)]
        new.append([moved if isinstance(sources, list) else moved[0], repeats, module, copy.deepcopy(arguments)])
        row_map[row] = output[row] = here
        if row in inserts:
            name, inserted = inserts[row]
            new.append([-1, 1, name, copy.deepcopy(list(inserted))])
            output[row] = here + 1
        if row < len(model_yaml["backbone"]):
            backbone_end = len(new)
    rewritten = copy.deepcopy(dict(model_yaml))
    rewritten["backbone"], rewritten["head"] = new[:backbone_end], new[backbone_end:]
    return rewritten, row_map


def architecture_yaml(
    base: BaseModel, slots: Sequence[Slot], architecture: Architecture
) -> tuple[dict[str, Any], dict[int, int]]:
    """The model dictionary of an architecture on a base, and where the base's rows now stand.

    Raises:
        UnknownName: a slot, module or setting that does not exist.
        UserError: a value that is none of its setting's options.
        SlotRefused: settings that the slot's channels do not allow.
    """
    return insert(base.yaml, {slot.row: row for slot, row in inserted_rows(slots, architecture)})


def inserted_rows(slots: Iterable[Slot], architecture: Architecture) -> list[tuple[Slot, tuple[str, list[Any]]]]:
    """(slot, (module name, arguments)) of each gene that inserts something."""
    places = {slot.name: slot for slot in slots}
    rows = []
    for name, gene in architecture:
        if name not in places:
            raise UnknownName("slot", name, places)
        entry = registry.get(gene.module, where=f"slot {name}")
        if not entry.is_none:
            settings = entry.complete(gene.as_dict(), where=f"slot {name}")
            reason = entry.refusal(places[name].channels, 1, 1, settings)  # whatever the map's size
            if reason:
                raise SlotRefused(f"`{gene}` cannot stand at {name}: {reason}")
            class_name, arguments = entry.row(places[name].channels, settings)
            rows.append((places[name], (PREFIX + class_name, arguments)))
    return rows
