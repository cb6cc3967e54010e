"""Weights to start a full training from: how much of a checkpoint fits a model, and the model that starts from it."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_attn.atomic_files import write_bytes_atomic
from nas_attn.detector.model.base_model import BaseModel, load_base
from nas_attn.detector.model.rows import PREFIX, is_block, plain_rows
from nas_attn.detector.weights.checkpoint_rows import OF_ATTENTION, checkpoint_state, fits, row_map_of
from nas_attn.detector.weights.transfer import REPLACED, TransferReport, seeded, transfer
from nas_attn.errors import UserError

ENOUGH = 0.95  # of the tensors that another data set leaves as they are; below, the checkpoint is another model's
SHOWN = 3  # tensors that a line names

Left = tuple[tuple[str, str], ...]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Fit:
    """What became of a checkpoint's tensors in a model.

    Attributes:
        moved, total: tensors that were copied, and that the checkpoint has.
        counted: tensors that ought to be the same in both; a checkpoint that lacks some of the model's has them
            counted too.
        reshaped: (key, reason) of those that another number of classes, bins or keypoints reshapes.
        attention: the same, of attention that only the checkpoint has, and of what attention stands in place of.
        lost: the same, of all others: what a checkpoint of the same base has none of.
        fresh: tensors of the model that nothing was copied to.
        matched: keys that Ultralytics' own loading, by row number and shape, would find in the model.
        misplaced: those of them that are another layer's.
    """

    moved: int
    total: int
    counted: int
    reshaped: Left
    attention: Left
    lost: Left
    fresh: int
    matched: int
    misplaced: int

    @property
    def share(self) -> float:
        """Of the tensors that ought to be the same, how many are: 0 to 1."""
        return self.moved / self.counted if self.counted else 0.0

    def __str__(self) -> str:
        return f"{self.moved} of {self.total} tensors transferred ({100 * self.moved / max(self.total, 1):.1f} %)"

    def lines(self) -> list[str]:
        """The ratio, and shortly what was left and why."""
        reasons = (
            (self.reshaped, "that another number of classes, bins or keypoints reshapes"),
            (self.attention, "of attention that the model has not, or of what attention replaces"),
            (self.lost, "that the model has no place for"),
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


def start_model(base: BaseModel, weights: Path | None, seed: int, *, partial: bool = False) -> tuple[Any, Fit | None]:
    """The model that a training starts from, the same for the same arguments, and what came from the weights.

    Args:
        base: the model, as `load_base` read it; with attention or without.
        weights: checkpoint of the same base with or without attention, or of this very model.
        seed: fixes the initial weights of everything that the checkpoint has not.
        partial: take what fits of any checkpoint.

    Raises:
        UserError: the file is no checkpoint, or less than `ENOUGH` of it fits and `partial` is not set.
    """
    with seeded(seed):
        built: Any = base.build()
    if weights is None:
        return built, None
    if Path(weights).suffix != ".pt":
        raise UserError("weights must be a .pt file that Ultralytics wrote", got=f"'{weights}'")
    found = load_base(str(weights))
    state = checkpoint_state(found, found)
    assert state is not None
    row_map = _common_rows(found.rows, base.rows)
    own = {key: tuple(tensor.shape) for key, tensor in built.state_dict().items()}
    matched = [k for k, tensor in state.items() if own.get(k) == tuple(tensor.shape)]
    strange = {k for k in state if not _same(k, found.rows, base.rows, row_map)}
    misplaced = [k for k in matched if k in strange or row_map.get(row := int(k.split(".")[1])) != row]
    report = transfer(built, state, row_map, strange)
    fit = _judge(report, state, found, base, row_map, own, (len(matched), len(misplaced)))
    if fit.share < ENOUGH and not partial:
        raise UserError(
            f"weights must be of the model's base: at least {ENOUGH:.0%} of the tensors that the number of classes "
            "leaves alone must fit",
            got=f"{fit.moved} of {fit.counted} ({100 * fit.share:.1f} %)",
            where=f"'{weights}' for {base.name}",
            remedy="Give weights that were trained with this base and scale, or take what fits with --partial-weights.",
        )
    if found.nc == base.nc:  # names that differ in order are sorted out by Ultralytics, from these
        built.names = found.names() or dict(built.names)
    return built, fit


def save_start(model: Any, task: str, path: Path) -> None:
    """Write a model as a checkpoint that plain Ultralytics trains from, in full precision, whole or not at all."""
    import torch

    model.task = task  # what Ultralytics would otherwise guess from the head's name
    buffer = io.BytesIO()
    torch.save({"epoch": -1, "model": model, "ema": None, "optimizer": None, "train_args": {"task": task}}, buffer)
    write_bytes_atomic(path, buffer.getvalue())


def _common_rows(found: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]]) -> dict[int, int]:
    """Row of the checkpoint -> row of the model; of another model the longest runs of equal modules."""
    try:
        return row_map_of(found, wanted)
    except UserError:
        ours, theirs = list(plain_rows(found)), list(plain_rows(wanted))
        first, second = ([module for _, module in rows] for rows in (ours, theirs))
        blocks = difflib.SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
        return {ours[b.a + i][0]: theirs[b.b + i][0] for b in blocks for i in range(b.size)}


def _same(key: str, found: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]], row_map: dict[int, int]) -> bool:
    """Whether a tensor of the checkpoint is no attention of another gene than the model has in that block."""
    _, number, rest = key.split(".", 2)
    there = row_map.get(int(number))
    return there is None or fits(rest, found[int(number)], wanted[there])


def _judge(
    report: TransferReport,
    state: Iterable[str],
    found: BaseModel,
    base: BaseModel,
    row_map: dict[int, int],
    own: Mapping[str, Shape],
    stock: tuple[int, int],
) -> Fit:
    """Sort what was left by its reason, and count what the model has got from nowhere."""
    heads = len(found.rows) - 1, len(base.rows) - 1
    decided = _decided(found, base, own, state) if row_map.get(heads[0]) == heads[1] else set()
    reshaped, attention, lost = [], [], []
    for key, reason in report.left:
        row = int(key.split(".")[1])
        target = row_map.get(row)
        replaced = target is not None and is_block(base.rows[target]) and REPLACED.search(key)
        if replaced or _of_attention(key, found.rows):
            attention.append((key, reason))
        elif row == heads[0] and key.split(".", 2)[2] in decided:
            reshaped.append((key, reason))
        else:
            lost.append((key, reason))
    left = {key for key, _ in report.left}
    split = (key.split(".", 2) for key in state if key not in left)
    filled = {f"model.{row_map[int(row)]}.{rest}" for _, row, rest in split}
    lacking = 0
    for key in own:
        _, number, rest = key.split(".", 2)
        excused = _of_attention(key, base.rows) or (int(number) == heads[1] and rest in decided)
        lacking += key not in filled and not excused
    counted = report.moved + max(len(lost), lacking)
    sorted_out = tuple(reshaped), tuple(attention), tuple(lost)
    return Fit(report.moved, report.total, counted, *sorted_out, len(own) - report.moved, *stock)


def _decided(found: BaseModel, base: BaseModel, own: Mapping[str, Shape], state: Iterable[str]) -> set[str]:
    """The head's tensors (names without their row) in which two models differ by classes, bins and keypoints alone.

    They are those that the checkpoint's model gets, or loses, once it is built with the model's own numbers.
    """
    same = all(found.yaml.get(k) == base.yaml.get(k) for k in ("nc", "kpt_shape")) and found.reg_max == base.reg_max
    if same:
        return set()
    like: Any = found.changed(nc=base.nc, reg_max=base.reg_max, kpt_shape=base.yaml.get("kpt_shape")).build()
    theirs = {key: tuple(tensor.shape) for key, tensor in like.model[-1].state_dict().items()}
    start = f"model.{len(base.rows) - 1}."
    ours = {key.removeprefix(start): shape for key, shape in own.items() if key.startswith(start)}
    names = {*theirs, *ours, *(key.split(".", 2)[2] for key in state)}
    return {name for name in names if theirs.get(name) == ours.get(name)}


def _of_attention(key: str, rows: Sequence[Sequence[Any]]) -> bool:
    """Whether a tensor is an inserted module's."""
    _, number, rest = key.split(".", 2)
    row = rows[int(number)]
    return bool(OF_ATTENTION.search(rest)) if is_block(row) else str(row[2]).startswith(PREFIX)
