"""The starts of a trial (`scratch`, `weights`, `base`), and the genes that each start allows."""

from __future__ import annotations

from collections.abc import Iterable

from nas_attn.errors import SlotRefused, UserError
from nas_attn.lines import many
from nas_attn.space import Architecture, Slot

STARTS = ("scratch", "weights", "base")


def check_start(start: str, architecture: Architecture, slots: Iterable[Slot]) -> None:
    """Check that an architecture suits a start.

    With the start `base`, a trial continues from the trained base. So each gene must begin as an identity.

    Args:
        start: one of `STARTS`.
        architecture: the architecture of the trial.
        slots: the slots of the base.

    Raises:
        UserError: a gene lacks residual=scaled, or a module would replace a trained convolution.
    """
    if start != "base":
        return
    filled = {slot: gene.as_dict() for slot, gene in architecture if gene.module != "none"}
    if any("residual" not in settings for settings in filled.values()):
        rule = "the start `base` needs residual=scaled in every gene: plain modules break the inherited weights"
        raise UserError(rule, got=str(architecture), remedy="For other genes use the start `scratch` or `weights`.")
    for error in refused_at_base(s for s in slots if s.name in filled).values():
        raise error


def refused_at_base(slots: Iterable[Slot]) -> dict[str, SlotRefused]:
    """The slots that the start `base` cannot use, because every gene there changes the trained base: name -> error."""
    return {
        slot.name: SlotRefused(
            "the start `base` needs every trained convolution: without it, no gene begins as an identity",
            got=f"{slot.name}; a module there replaces one",
            remedy=f"Use {slot.name.removesuffix('replace')}insert, or the start `scratch` or `weights`.",
        )
        for slot in slots
        if slot.replaces
    }


def lost_with_weights(slots: Iterable[Slot]) -> list[str]:
    """Warnings, one per slot whose modules replace trained convolutions of a checkpoint."""
    return [
        f"{slot.name}: a module there replaces {many(slot.sites, 'trained 3x3 convolution')}"
        " of the weights. It does not begin as an identity, even with residual=scaled, so short runs underrate it"
        for slot in slots
        if slot.replaces
    ]
