"""The check that a base keeps the form of its head when attention goes into its blocks.

Some heads have two forms. Ultralytics builds the newer form if a row holds one of its newer blocks: its parser compares
the class of each row with exactly these classes (`parse_model`, 8.4.170 to 8.4.190). A block with attention inside is a
different class, and no key of the model YAML and no argument of the head sets the form. Therefore at least one row with
a newer block must stay without attention inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nas_attn.errors import SlotRefused
from nas_attn.space.slot import Slot

if TYPE_CHECKING:
    from nas_attn.detector.model.base_model import BaseModel

NEWER_BLOCKS = ("A2C2f", "C2fCIB", "C3k2")
TWO_FORMS = (  # heads that have both forms
    "Detect", "OBB", "OBB26", "Pose", "Pose26", "Segment", "Segment26", "YOLOEDetect", "YOLOESegment", "YOLOESegment26",
)  # fmt: skip


def keeps_head(base: BaseModel, filled: Iterable[Slot]) -> bool:
    """True if the base keeps the form of its head.

    Args:
        base: the base model.
        filled: the slots that hold attention, all in one architecture.
    """
    newer = _newer(base)
    return not newer or bool(newer - {slot.row for slot in filled if slot.inside})


def check_head(base: BaseModel, filled: Iterable[Slot], where: str = "") -> None:
    """Refuse a set of slots that cannot all hold attention in one architecture.

    Args:
        base: the base model.
        filled: the slots that hold attention.
        where: the place that a message names; the base model if empty.

    Raises:
        SlotRefused: the base would get another form of its head; the message names the slots to leave out.
    """
    filled = tuple(filled)
    if keeps_head(base, filled):
        return
    newer = _newer(base)
    rows = {row: [s.name for s in filled if s.inside and s.row == row] for row in sorted(newer)}
    raise SlotRefused(
        f"a block {', '.join(NEWER_BLOCKS[:-1])} or {NEWER_BLOCKS[-1]} must stay without attention inside, because "
        "otherwise Ultralytics builds the head in its older form",
        got=", ".join(s.name for s in filled if s.inside and s.row in newer),
        where=where or f"base model '{base.name}'",
        remedy=f"Leave out {', or '.join(' and '.join(names) for names in rows.values())}.",
    )


def unusable_slots(base: BaseModel, slots: Iterable[Slot]) -> dict[str, SlotRefused]:
    """The slots that can never hold attention: name -> the error with the reason."""
    found = {}
    for slot in slots:
        try:
            check_head(base, [slot])
        except SlotRefused as error:
            found[slot.name] = error
    return found


def _newer(base: BaseModel) -> set[int]:
    """Rows with a newer block; empty if the head has only one form."""
    return {i for i, row in enumerate(base.rows) if row[2] in NEWER_BLOCKS} if base.head in TWO_FORMS else set()
