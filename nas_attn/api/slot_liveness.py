"""`SlotLiveness`: the score that a slot is worth to the trained base, and the list of all slots."""

from __future__ import annotations

from dataclasses import dataclass

from nas_attn.api.listing import Listing
from nas_attn.study.view import StudyView


@dataclass(frozen=True)
class SlotLiveness:
    """The score that one slot is worth to the trained base: the mAP50-95, or the AP50-95 of the class of the score.

    Attributes:
        slot: name of the slot.
        zeroed: score of the base with the slot's output set to zero; None if it was not recorded.
        lost: score that the base loses by this; negative if it gains.
        state: `live`, `dead`, `undertrained` or `unknown`.
        searched: True if a search varies the slot.
    """

    slot: str
    zeroed: float | None
    lost: float
    state: str
    searched: bool


def slot_liveness(view: StudyView) -> Listing[SlotLiveness]:
    """The score that each slot is worth to the trained base; empty before it is measured."""
    from nas_attn.analysis.figure_numbers import liveness_numbers
    from nas_attn.analysis.tables import Table, liveness_table, slot_columns
    from nas_attn.study.slot_states import slot_state

    numbers, record = liveness_numbers(view), view.slots
    zeroed, searched = record.get("zeroed", {}), record.get("searched", ())
    judged = {"threshold": numbers.threshold, **record} if numbers else {}  # 0.1.0 recorded no threshold
    values = [
        SlotLiveness(slot, zeroed.get(slot), lost, slot_state(lost, judged), slot in searched)
        for slot, lost in (numbers.drop if numbers else ())
    ]
    columns = slot_columns(view.searched_by.of_a_slot)
    table = liveness_table(view) or Table(columns, (), ())
    narrow = {name: name for name in columns}
    note = "" if values else "The slots are measured once the base is trained."
    title = "slots of the trained base"
    return Listing(values, [vars(v) for v in values], table, title=title, narrow=narrow, note=note)
