"""Surgery: an architecture is written into a base model, the gene of each slot as a row or inside a block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nas_attn.attention import registry
from nas_attn.detector.model.base_model import BaseModel
from nas_attn.detector.model.head_form import check_head
from nas_attn.detector.model.rows import PREFIX, Insertion, Rewritten, RowContent, rewrite, stated
from nas_attn.errors import SlotRefused, UnknownName
from nas_attn.space.architecture import Architecture
from nas_attn.space.slot import Slot


def apply(base: BaseModel, slots: Sequence[Slot], architecture: Architecture) -> Rewritten:
    """The model dictionary of an architecture on a base, with the new numbers of the base's rows and of the modules.

    Args:
        base: the base model.
        slots: the slots of the base.
        architecture: the modules to insert.

    Raises:
        UnknownName: a slot, module or setting does not exist.
        UserError: a value is not among the options of its setting.
        SlotRefused: the channels of a slot do not allow the settings of its gene, or two filled slots exclude each
            other, or the filled slots would change the form of the head.
    """
    inserts: dict[int, list[Insertion]] = {}
    inner: dict[int, list[tuple[Slot, RowContent]]] = {}
    for slot, row in inserted_rows(slots, architecture):
        if slot.inside is None:
            inserts.setdefault(slot.row, []).append(Insertion(slot.name, (PREFIX + row[0], row[1]), slot.readers))
        else:
            inner.setdefault(slot.row, []).append((slot, row))
    check_head(base, (slot for filled in inner.values() for slot, _ in filled))
    done = rewrite(base.yaml, inserts, {row: _block(filled) for row, filled in inner.items()})
    done.places.update({slot.name: done.row_map[row] for row, filled in inner.items() for slot, _ in filled})
    return done


def architecture_yaml(
    base: BaseModel, slots: Sequence[Slot], architecture: Architecture
) -> tuple[dict[str, Any], dict[int, int]]:
    """(model dictionary of an architecture on a base, base row -> new row); errors as for `apply`."""
    done = apply(base, slots, architecture)
    return done.yaml, done.row_map


def inserted_rows(slots: Iterable[Slot], architecture: Architecture) -> list[tuple[Slot, RowContent]]:
    """(slot, (class name, arguments)) for each gene except `none`.

    Raises:
        UnknownName, UserError, SlotRefused: as for `apply`.
    """
    places = {slot.name: slot for slot in slots}
    rows = []
    for name, gene in architecture:
        if name not in places:
            raise UnknownName("slot", name, places)
        entry = registry.get(gene.module, where=f"slot {name}")
        if not entry.is_none:
            settings = entry.complete(gene.as_dict(), where=f"slot {name}")
            reason = entry.refusal(places[name].channels, 1, 1, settings)  # for maps of any size
            if reason:
                raise SlotRefused(f"`{gene}` cannot be used at {name}: {reason}")
            rows.append((places[name], entry.row(places[name].channels, settings)))
    return rows


def _block(filled: Sequence[tuple[Slot, RowContent]]) -> list[RowContent]:
    """The rows that replace a block."""
    place = filled[0][0].inside
    assert place is not None
    genes = [[slot.inside.mode, name, *arguments] for slot, (name, arguments) in filled if slot.inside]
    return stated((PREFIX + place.block, [list(place.arguments), genes]), place.arguments[1])
