"""Slots: the places after each block that feeds the head, found from the graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nas_attn.detector.surgery import absolute
from nas_attn.errors import UserError
from nas_attn.space.slot import Slot

if TYPE_CHECKING:
    from torch import nn

    from nas_attn.detector.base_model import BaseModel

PROBE = 256  # pixels; divisible by every stride up to 128


def find_slots(base: BaseModel, model: nn.Module | None = None) -> tuple[Slot, ...]:
    """The slots of a base model, highest resolution first.

    Rows are the head's own inputs and channels and strides are measured on the built model, so a head that lists its
    inputs in another order, or more or fewer levels, needs nothing special.

    Args:
        base: the base model.
        model: the same model as built, where the caller has it.

    Raises:
        UserError: a stride is no power of two, or two inputs have the same.
    """
    import torch

    built: Any = base.build() if model is None else model
    rows = head_inputs(base.yaml)
    shapes: dict[int, Any] = {}

    def keep(row: int):
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            shapes[row] = output.shape

        return hook

    hooks = [built.model[row].register_forward_hook(keep(row)) for row in set(rows)]
    training = built.training
    try:
        with torch.no_grad():
            built.eval()(torch.zeros(1, 3, PROBE, PROBE, device=next(built.parameters()).device))
    finally:
        built.train(training)
        for hook in hooks:
            hook.remove()

    slots = []
    for row in rows:
        stride = PROBE // shapes[row][-1]
        level = int(math.log2(stride))
        if 2**level != stride:
            raise UserError("a head's input must have a stride that is a power of two", got=stride, where=base.name)
        slots.append(Slot(f"p{level}", row, shapes[row][1], stride))
    slots.sort(key=lambda s: s.stride)
    if len({s.name for s in slots}) != len(slots):
        raise UserError("a head's inputs must have different strides", got=[s.stride for s in slots], where=base.name)
    return tuple(slots)


def head_inputs(model_yaml: dict[str, Any]) -> list[int]:
    """Absolute rows that the last row reads, in its order."""
    rows = model_yaml["backbone"] + model_yaml["head"]
    return absolute(rows[-1][0], len(rows) - 1)
