"""Tensors copied by layer: a state dict into a model whose rows have other numbers, and the report of the copy."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

State = Mapping[str, Tensor]
Left = tuple[tuple[str, str], ...]  # key of a tensor that was not copied, and the reason
REPLACED = re.compile(r"\.cv2\.conv\.weight$")  # the only tensor of a base that a filled slot does without
SHOWN = 3  # tensors that a line names


@dataclass(frozen=True)
class TransferReport:
    """The result of a transfer: the number of tensors that were copied, and the reason for each that was not.

    The attributes from `reshaped` on are filled by `start_model`, which knows both models.

    Attributes:
        moved: number of tensors that were copied.
        total: number of tensors in the state dict.
        left: (key in the state dict, reason) of each tensor that was not copied.
        reshaped: the part of `left` whose shape depends on the number of classes, bins or keypoints.
        attention: the part of `left` that belongs to attention that only the checkpoint has, or to a layer that
            attention replaces in the model.
        fresh: number of the model's tensors that nothing was copied to.
        lacking: those of `fresh` that a checkpoint of the same base would have filled.
        matched: number of keys that Ultralytics' own loading, by row number and shape, would find in the model.
        misplaced: number of those keys that are another layer's.
    """

    moved: int
    total: int
    left: Left = ()
    reshaped: Left = ()
    attention: Left = ()
    fresh: int = 0
    lacking: int = 0
    matched: int = 0
    misplaced: int = 0

    @property
    def ratio(self) -> float:
        """Share of the state dict's tensors that were copied, in [0, 1]."""
        return self.moved / self.total if self.total else 0.0

    @property
    def unplaced(self) -> Left:
        """The rest of `left`: the model has no place for these tensors. Empty for a checkpoint of the same base."""
        explained = {*self.reshaped, *self.attention}
        return tuple(one for one in self.left if one not in explained)

    @property
    def counted(self) -> int:
        """Number of tensors that must be the same in both if the checkpoint is of the same base."""
        return self.moved + max(len(self.unplaced), self.lacking)

    @property
    def share(self) -> float:
        """Share of the `counted` tensors that were copied, in [0, 1]."""
        return self.moved / self.counted if self.counted else 0.0

    def __str__(self) -> str:
        return f"{self.moved} of {self.total} tensors transferred ({100 * self.ratio:.1f} %)"

    def lines(self) -> list[str]:
        """The report for people: the ratio, then one line for each reason why tensors were not copied."""
        reasons = (
            (self.reshaped, "that another number of classes, bins or keypoints reshapes"),
            (self.attention, "of attention that the model has not, or of what attention replaces"),
            (self.unplaced, "that the model has no place for"),
        )
        lines = [str(self)]
        for left, reason in reasons:
            if left:
                shown = ", ".join(f"{key} ({why})" for key, why in left[:SHOWN])
                more = f", and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
                lines.append(f"  left: {len(left)} {reason}: {shown}{more}")
        if self.fresh:
            lines.append(
                f"  fresh: {self.fresh} tensors of the model: of inserted modules, and in place of what was left"
            )
        return lines


def transfer(
    model: nn.Module, state: State, row_map: Mapping[int, int], strange: Container[str] = ()
) -> TransferReport:
    """Copy a base's tensors into a model whose rows have moved, wherever the shape is unchanged.

    Args:
        model: the model that receives them, in place.
        state: state dict of the base (`model.<row>.<rest>`).
        row_map: base row -> row in `model`.
        strange: keys of the base whose tensors mean something else in `model`.
    """
    own = model.state_dict()
    left = []
    with torch.no_grad():
        for key, tensor in state.items():
            moved = moved_key(key, row_map)
            target = own.get(moved)
            if not moved:
                left.append((key, "no such row in the base"))
            elif key in strange:
                left.append((key, "another module stands there"))
            elif target is None:
                left.append((key, "no such tensor in the model"))
            elif target.shape != tensor.shape:
                left.append((key, f"shape {tuple(tensor.shape)} became {tuple(target.shape)}"))
            else:
                target.copy_(tensor)
    return TransferReport(len(state) - len(left), len(state), tuple(left))


def row_of(key: str) -> int:
    """The row in a state dict's key, `model.<row>.<rest>`; -1 if the key has another form."""
    prefix, row, *_ = [*key.split(".", 2), ""]
    return int(row) if prefix == "model" and row.isdigit() else -1


def moved_key(key: str, row_map: Mapping[int, int]) -> str:
    """The key with the row's new number; empty if there is no such row."""
    row = row_map.get(row_of(key))
    return "" if row is None else ".".join(["model", str(row), *key.split(".", 2)[2:]])
