"""Which slots a trained detector needs: what its mAP is when the output of one of them is zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from nas_attn.detector.trainer import MAP50_95, ProxyTrainer


def measure(trainer: ProxyTrainer, rows: Mapping[str, int]) -> dict[str, float]:
    """mAP50-95 on val of the trained model with one slot's output zeroed, for each slot.

    A value above that of the intact model says that the slot is undertrained and does harm; it is kept as it is.

    Args:
        trainer: after its training.
        rows: slot -> index of the layer whose output is the slot's.
    """
    layers = trainer.ema.ema.model
    found = {}
    for slot, row in rows.items():
        with _silenced(layers[row]):
            found[slot] = float(trainer.evaluate()[MAP50_95])
    return found


@contextmanager
def _silenced(layer: nn.Module) -> Iterator[None]:
    def zero(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        return output * 0

    hook = layer.register_forward_hook(zero)
    try:
        yield
    finally:
        hook.remove()
