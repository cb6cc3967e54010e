"""The torch model of a bundle, with its weights; the ONNX files are made from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas_attn.detector.model.base_model import BaseModel, load_base
from nas_attn.detector.model.rows import PREFIX
from nas_attn.detector.weights.checkpoint_rows import check_weights, checkpoint_state
from nas_attn.detector.weights.initial_weights import build
from nas_attn.detector.weights.transfer import transfer
from nas_attn.errors import UserError
from nas_attn.space import Architecture, Slot


def initial(base: BaseModel, slots: Sequence[Slot], architecture: Architecture, seed: int) -> Any:
    """The model with the initial weights of a seed: a training from scratch with this seed starts from them."""
    return build(base, slots, architecture, seed)[0]


def trained(exported: BaseModel, weights: Path) -> Any:
    """The model with the weights of a finished training of its exported YAML.

    Args:
        exported: the exported model.
        weights: the checkpoint.

    Raises:
        UserError: the checkpoint belongs to another model, or lacks some tensors of this one.
    """
    check_weights(weights, exported)
    checkpoint = load_base(str(weights))
    model: Any = exported.build()
    if _attention(checkpoint) != _attention(exported):
        raise UserError(
            "the weights must be of a finished training of this very model",
            got="other attention: " + (", ".join(f"row {i} {m} {a}" for i, m, a in _attention(checkpoint)) or "none"),
            where=f"'{weights}'",
            remedy="Train the exported YAML, and give the best.pt of that run.",
        )
    state = checkpoint_state(checkpoint, exported)
    assert state is not None
    report = transfer(model, state, {row: row for row in range(len(exported.rows))})
    missing = sorted(set(model.state_dict()) - set(state))
    if report.left or missing:
        got = ": ".join(report.left[0]) if report.left else f"nothing for {missing[0]}"
        raise UserError(
            "the weights must be of a finished training of this very model",
            got=got,
            where=f"'{weights}'",
            remedy="Train the exported YAML, and give the best.pt of that run.",
        )
    return model


def _attention(model: BaseModel) -> list[tuple[int, str, list[Any]]]:
    return [(i, row[2], row[3]) for i, row in enumerate(model.rows) if str(row[2]).startswith(PREFIX)]
