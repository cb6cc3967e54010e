"""The transfer of a state dict into a model whose rows have other numbers, and the report on it."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

State = Mapping[str, Tensor]
Left = tuple[tuple[str, str], ...]  # (key, reason) of each tensor that was not copied
REPLACED = re.compile(r"\.cv2\.conv\.weight$")  # the only tensor of a base that a filled slot removes
SHOWN = 3  # largest number of tensors named in a line


@dataclass(frozen=True)
class TransferReport:
    """The result of a transfer: the number of copied tensors, and the reason for each of the others.

    `start_model` fills the attributes from `reshaped` on, because it knows both models.

    Attributes:
        moved: number of tensors that were copied.
        total: number of tensors in the state dict.
        left: (key in the state dict, reason) for each tensor that was not copied.
        reshaped: the tensors of `left` whose shape depends on the number of classes, bins or keypoints.
        attention: the tensors of `left` that belong to attention that only the checkpoint has, or to a layer that
            attention replaces in the model.
        fresh: number of tensors of the model that keep their initial values.
        lacking: number of `fresh` tensors that a checkpoint of the same base would have filled.
        matched: number of keys that Ultralytics' own loading would copy: it compares row number and shape.
        misplaced: number of `matched` keys that would go into another layer.
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
        """The other tensors of `left`: the model has no place for them. Empty for a checkpoint of the same base."""
        explained = {*self.reshaped, *self.attention}
        return tuple(one for one in self.left if one not in explained)

    @property
    def counted(self) -> int:
        """Number of tensors that must exist in both models if the checkpoint is of the same base."""
        return self.moved + max(len(self.unplaced), self.lacking)

    @property
    def share(self) -> float:
        """Share of the `counted` tensors that were copied, in [0, 1]."""
        return self.moved / self.counted if self.counted else 0.0

    def __str__(self) -> str:
        return f"{self.moved} of {self.total} tensors transferred ({100 * self.ratio:.1f} %)"

    def lines(self) -> list[str]:
        """Lines for the user: the ratio, then one line for each reason for which tensors were not copied."""
        reasons = (
            (self.reshaped, "tensors whose shape depends on the number of classes, bins or keypoints"),
            (self.attention, "tensors of attention that the model lacks, or of layers that attention replaces"),
            (self.unplaced, "tensors that have no place in the model"),
        )
        lines = [str(self)]
        for left, reason in reasons:
            if left:
                shown = ", ".join(f"{key} ({why})" for key, why in left[:SHOWN])
                more = f", and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
                lines.append(f"  not copied: {len(left)} {reason}: {shown}{more}")
        if self.fresh:
            lines.append(f"  initial values: {self.fresh} tensors (of inserted modules, or not copied)")
        return lines


def transfer(
    model: nn.Module, state: State, row_map: Mapping[int, int], strange: Container[str] = ()
) -> TransferReport:
    """Copy the tensors of a base into a model whose rows have other numbers; a tensor of another shape is not copied.

    Args:
        model: the model that receives the tensors, in place.
        state: state dict of the base (`model.<row>.<rest>`).
        row_map: base row -> row in `model`.
        strange: keys of `state` whose tensors have another meaning in `model`; they are not copied.
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
                left.append((key, "another module is there"))
            elif target is None:
                left.append((key, "no such tensor in the model"))
            elif target.shape != tensor.shape:
                left.append((key, f"shape {tuple(tensor.shape)} became {tuple(target.shape)}"))
            else:
                target.copy_(tensor)
    return TransferReport(len(state) - len(left), len(state), tuple(left))


def row_of(key: str) -> int:
    """The row number in a key `model.<row>.<rest>` of a state dict; -1 if the key has another form."""
    prefix, row, *_ = [*key.split(".", 2), ""]
    return int(row) if prefix == "model" and row.isdigit() else -1


def moved_key(key: str, row_map: Mapping[int, int]) -> str:
    """The key with the new row number; empty if `row_map` does not have the row."""
    row = row_map.get(row_of(key))
    return "" if row is None else ".".join(["model", str(row), *key.split(".", 2)[2:]])
