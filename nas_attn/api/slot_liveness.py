"""`SlotLiveness`: the mAP50-95 that a slot is worth to the trained base, and the list of all slots."""

from __future__ import annotations

from dataclasses import dataclass

from nas_attn.api.listing import Listing
from nas_attn.study.view import StudyView

SLOTS = {name: name for name in ("slot", "mAP50-95 if zeroed", "mAP50-95 lost", "state", "searched")}


@dataclass(frozen=True)
class SlotLiveness:
    """The mAP50-95 that one slot is worth to the trained base.

    Attributes:
        slot: name of the slot.
        zeroed: mAP50-95 of the base with the slot's output set to zero; None if it was not recorded.
        lost: mAP50-95 that the base loses by this; negative if it gains.
        state: `live`, `dead`, `undertrained` or `unknown`.
        searched: True if a search varies the slot.
    """

    slot: str
    zeroed: float | None
    lost: float
    state: str
    searched: bool


def slot_liveness(view: StudyView) -> Listing[SlotLiveness]:
    """The mAP50-95 that each slot is worth to the trained base; empty before it is measured."""
    from nas_attn.analysis.figure_numbers import liveness_numbers
    from nas_attn.analysis.tables import Table, liveness_table
    from nas_attn.study.slot_states import slot_state

    numbers, record = liveness_numbers(view), view.slots
    zeroed, searched = record.get("zeroed", {}), record.get("searched", ())
    judged = {"threshold": numbers.threshold, **record} if numbers else {}  # 0.1.0 recorded no threshold
    values = [
        SlotLiveness(slot, zeroed.get(slot), lost, slot_state(lost, judged), slot in searched)
        for slot, lost in (numbers.drop if numbers else ())
    ]
    table = liveness_table(view) or Table(tuple(SLOTS), (), ())
    note = "" if values else "The slots are measured once the base is trained."
    title = "slots of the trained base"
    return Listing(values, [vars(v) for v in values], table, title=title, narrow=SLOTS, note=note)
