"""Base models and architectures that the user names directly, without a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas_attn.errors import SlotRefused, UserError
from nas_attn.space import Architecture, Gene, Slot

if TYPE_CHECKING:
    from torch import nn

    from nas_attn.detector.model.base_model import BaseModel


@dataclass(frozen=True)
class NamedModel:
    """A base model that the user named.

    Attributes:
        base: the model.
        built: the model as a torch module, built by Ultralytics on the CPU.
        slots: all its slots.
        imgsz: image size of the final training in pixels; a multiple of the model's stride.
        notes: lines for the user about the model, e.g. that it already contains attention.
    """

    base: BaseModel
    built: nn.Module
    slots: tuple[Slot, ...]
    imgsz: int
    notes: tuple[str, ...]


def named_model(model: str, *, nc: int | None, width: float | None, imgsz: int) -> NamedModel:
    """The base model that a name means, with its slots.

    Args:
        model: name or path of a model, as for `load_base`.
        nc: number of classes; None means the model's own.
        width: width factor; None means the scale's own.
        imgsz: image size of the final training in pixels.

    Raises:
        UserError: there is no such model, `nc` is below 1, or `imgsz` is not a multiple of the model's stride.
    """
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.model.held_attention import held_note
    from nas_attn.detector.neck.slots import all_slots
    from nas_attn.environment import prepare

    prepare()
    if nc is not None and nc < 1:
        raise UserError("`--nc` must be at least 1", got=nc)
    base = load_base(model, nc=nc, width=width)
    built = base.build()
    slots = all_slots(base, built)
    stride = max(s.stride for s in slots)
    if imgsz <= 0 or imgsz % stride:
        raise UserError(f"`--imgsz` must be a multiple of the model's stride {stride}", got=imgsz)
    note = held_note(base)
    return NamedModel(base, built, slots, imgsz, (note,) if note else ())


def named_architecture(text: str, slots: tuple[Slot, ...], imgsz: int) -> Architecture:
    """The architecture that a text means, with all settings of its genes written out.

    Slots after blocks that feed the head get `none` if the text leaves them out.

    Args:
        text: the architecture as text, e.g. `p3=acmix(head=4)`.
        slots: all slots of the base model.
        imgsz: image size in pixels.

    Raises:
        UserError: there is no such slot, module or setting, or a gene does not fit its slot at this image size.
    """
    from nas_attn.attention import registry
    from nas_attn.detector.neck.slots import canonical

    by_name = {s.name: s for s in slots}
    genes = {}
    for name, gene in canonical(Architecture.parse(text), slots, where=text):
        entry = registry.get(gene.module, where=text)
        settings = entry.complete(gene.as_dict(), where=text)
        size = by_name[name].map_size(imgsz)
        if reason := entry.refusal(by_name[name].channels, size, size, settings):
            raise SlotRefused(f"`{gene}` cannot be used at {name}: {reason}", where=text)
        genes[name] = Gene.of(gene.module, settings)
    return Architecture.of({**dict(Architecture.none(n for n in by_name if "." not in n)), **genes})
