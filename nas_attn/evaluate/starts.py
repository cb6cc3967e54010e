"""The weights that a trial starts from, and the genes that each start allows."""

from __future__ import annotations

from collections.abc import Iterable

from nas_attn.errors import SlotRefused, UserError
from nas_attn.space import Architecture, Slot

STARTS = ("scratch", "weights", "base")


def check_start(start: str, architecture: Architecture, slots: Iterable[Slot]) -> None:
    """Refuse genes that are no identity at first, if a trial continues from the trained base.

    Raises:
        UserError: a module without residual=scaled, or one in place of a trained convolution.
    """
    if start != "base":
        return
    filled = {slot: gene.as_dict() for slot, gene in architecture if gene.module != "none"}
    if any("residual" not in settings for settings in filled.values()):
        rule = "the start `base` must have residual=scaled in every gene: plain modules break inherited weights"
        raise UserError(rule, got=str(architecture), remedy="Use start `scratch` or `weights` for the others.")
    for error in refused_at_base(s for s in slots if s.name in filled).values():
        raise error


def refused_at_base(slots: Iterable[Slot]) -> dict[str, SlotRefused]:
    """Slots at which no gene leaves the trained base as it was, residual or not: name -> why."""
    return {
        slot.name: SlotRefused(
            "the start `base` must have trained convolutions in their place: without them no gene is an identity",
            got=slot.name,
            remedy=f"Use {slot.name.removesuffix('replace')}insert, or start `scratch` or `weights`.",
        )
        for slot in slots
        if slot.replaces
    }


def lost_with_weights(slots: Iterable[Slot]) -> list[str]:
    """A sentence for each slot whose genes start without what a checkpoint has there."""
    return [
        f"{slot.name}: a module there stands in place of {slot.sites} trained 3x3 convolution{'s' * (slot.sites > 1)}"
        " of the weights; residual=scaled makes it no identity, and short runs judge it too harshly"
        for slot in slots
        if slot.replaces
    ]
