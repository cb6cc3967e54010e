"""The model that a full training starts from: a new model with those tensors of a checkpoint that fit."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas_attn.atomic_files import write_bytes_atomic
from nas_attn.detector.model.base_model import BaseModel
from nas_attn.detector.model.rows import is_block, is_inserted, plain_rows
from nas_attn.detector.weights.checkpoint_rows import OF_ATTENTION, checkpoint_state, fits, load_weights, row_map_of
from nas_attn.detector.weights.initial_weights import seeded
from nas_attn.detector.weights.transfer import REPLACED, TransferReport, moved_key, row_of, transfer
from nas_attn.errors import UserError

ENOUGH = 0.95  # least share of fitting tensors, without those that depend on the data; below, it is another model

Shape = tuple[int, ...]


def start_model(
    base: BaseModel, weights: Path | None, seed: int, *, partial: bool = False
) -> tuple[Any, TransferReport | None]:
    """The model that a full training starts from; equal arguments give equal weights.

    Args:
        base: the model that `load_base` returned, with or without attention.
        weights: checkpoint of this model, or of the same base with or without attention; None for initial weights.
        seed: decides the initial weights of the tensors that the checkpoint does not fill.
        partial: True to take the tensors that fit from any checkpoint.

    Returns:
        The model, and the report on the transfer; the report is None without a checkpoint.

    Raises:
        UserError: the file is no checkpoint, or fewer tensors than the share `ENOUGH` fit and `partial` is not set.
    """
    with seeded(seed):
        built: Any = base.build()
    if weights is None:
        return built, None
    found = load_weights(weights)
    state = checkpoint_state(found, found)
    assert state is not None
    row_map = _common_rows(found.rows, base.rows)
    own = {key: tuple(tensor.shape) for key, tensor in built.state_dict().items()}
    matched = [k for k, tensor in state.items() if own.get(k) == tuple(tensor.shape)]
    strange = {k for k in state if not _same(k, found.rows, base.rows, row_map)}
    misplaced = [k for k in matched if k in strange or row_map.get(row := row_of(k)) != row]
    report = transfer(built, state, row_map, strange)
    fit = replace(_explained(report, state, found, base, row_map, own), matched=len(matched), misplaced=len(misplaced))
    if fit.share < ENOUGH and not partial:
        raise UserError(
            f"weights must be of the model's base: at least {ENOUGH:.0%} of the tensors that do not depend on the "
            "number of classes must fit",
            got=f"{fit.moved} of {fit.counted} ({100 * fit.share:.1f} %)",
            where=f"'{weights}' for {base.name}",
            remedy="Give weights that were trained with this base and scale, or copy what fits with --partial-weights.",
        )
    if found.nc == base.nc:  # Ultralytics needs these names to reorder classes
        built.names = found.names() or dict(built.names)
    return built, fit


def notes_on(weights: Path, base: BaseModel, classes: Iterable[str]) -> list[str]:
    """Notes on the weights of a search: the tensors that fit, and a warning if they may come from its own data.

    Args:
        weights: the checkpoint.
        base: the base, with the classes of the data.
        classes: names of these classes.

    Raises:
        UserError: the file is no checkpoint, or too few of its tensors fit.
    """
    _, report = start_model(base, weights, 0)
    assert report is not None
    notes = ["weights: " + "; ".join(line.strip() for line in report.lines())]
    if set(load_weights(weights).names().values()) == set(classes):
        notes.append(
            "The weights know the classes of these data. If they come from a training on these data, each trial "
            "refines a finished model, and that is no test of a training from general weights. Give the weights from "
            "which the final training will start."
        )
    return notes


def save_start(model: Any, task: str, path: Path) -> None:
    """Write a model as a checkpoint in full precision that plain Ultralytics can train, completely or not at all.

    Args:
        model: the model.
        task: its task.
        path: the file.
    """
    import torch

    model.task = task  # otherwise Ultralytics guesses it from the head's name
    buffer = io.BytesIO()
    torch.save({"epoch": -1, "model": model, "ema": None, "optimizer": None, "train_args": {"task": task}}, buffer)
    write_bytes_atomic(path, buffer.getvalue())


def _common_rows(found: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]]) -> dict[int, int]:
    """Row of the checkpoint -> row of the model. For another model, the longest runs of equal modules are matched."""
    try:
        return row_map_of(found, wanted)
    except UserError:
        ours, theirs = list(plain_rows(found)), list(plain_rows(wanted))
        first, second = ([module for _, module in rows] for rows in (ours, theirs))
        blocks = difflib.SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
        return {ours[b.a + i][0]: theirs[b.b + i][0] for b in blocks for i in range(b.size)}


def _same(key: str, found: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]], row_map: dict[int, int]) -> bool:
    """False if a tensor belongs to attention in a block and the model has a different gene at this place."""
    _, number, rest = key.split(".", 2)
    there = row_map.get(int(number))
    return there is None or fits(rest, found[int(number)], wanted[there])


def _explained(
    report: TransferReport,
    state: Iterable[str],
    found: BaseModel,
    base: BaseModel,
    row_map: dict[int, int],
    own: Mapping[str, Shape],
) -> TransferReport:
    """The report, completed with the reasons why tensors were not copied, and with the counts of unfilled tensors."""
    heads = len(found.rows) - 1, len(base.rows) - 1
    dependent = _data_dependent(found, base, own, state) if row_map.get(heads[0]) == heads[1] else set()
    reshaped, attention = [], []
    for key, reason in report.left:
        row = row_of(key)
        target = row_map.get(row)
        replaced = target is not None and is_block(base.rows[target]) and REPLACED.search(key)
        if replaced or _of_attention(key, found.rows):
            attention.append((key, reason))
        elif row == heads[0] and key.split(".", 2)[2] in dependent:
            reshaped.append((key, reason))
    left = {key for key, _ in report.left}
    filled = {moved_key(key, row_map) for key in state if key not in left}
    lacking = 0
    for key in own:
        excused = _of_attention(key, base.rows) or (row_of(key) == heads[1] and key.split(".", 2)[2] in dependent)
        lacking += key not in filled and not excused
    return replace(
        report,
        reshaped=tuple(reshaped),
        attention=tuple(attention),
        fresh=len(own) - report.moved,
        lacking=lacking,
    )


def _data_dependent(found: BaseModel, base: BaseModel, own: Mapping[str, Shape], state: Iterable[str]) -> set[str]:
    """Keys (without the row) of the head's tensors that differ at most by the number of classes, bins or keypoints.

    The checkpoint's model is built with the numbers of this model. A tensor that then has the same shape in both heads,
    or is missing in both, can differ only because of these numbers.
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
    """True if a tensor belongs to inserted attention, as a row or inside a block."""
    _, number, rest = key.split(".", 2)
    row = rows[int(number)]
    return bool(OF_ATTENTION.search(rest)) if is_block(row) else is_inserted(row)
