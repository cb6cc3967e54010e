"""A checkpoint's tensors under the rows of another model, with or without inserted attention in either."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from nas_attn.detector.model.base_model import BaseModel, load_base
from nas_attn.detector.model.rows import PREFIX, is_block, module_name, plain_rows
from nas_attn.detector.model.safe_checkpoint import checkpoint_model
from nas_attn.errors import UserError
from nas_attn.space.slot import INSERT, REPLACE

OF_ATTENTION = re.compile(r"(^|\.)(attention|project)\.")  # keys of tensors that `blocks.py` puts into a block


def checkpoint_state(base: BaseModel, onto: BaseModel | None = None) -> dict[str, Tensor] | None:
    """The checkpoint's state dict in float32 on the CPU; None if the model came from no checkpoint.

    Args:
        base: the checkpoint's model.
        onto: the model whose rows the returned keys name (`model.<row>.<rest>`); if None, the checkpoint's model
            without its attention. Tensors of attention that `onto` does not have are left out.

    Raises:
        UserError: `onto` is another model.
    """
    if base.checkpoint is None:
        return None
    state = checkpoint_model(base.checkpoint).float().state_dict()
    if onto is None:
        row_map = {row: i for i, (row, _) in enumerate(plain_rows(base.rows))}
    else:
        row_map = row_map_of(base.rows, onto.rows)
    split = ((key.split(".", 2), tensor) for key, tensor in state.items())
    return {
        f"model.{there}.{rest}": tensor
        for (_, row, rest), tensor in split
        if (there := row_map.get(int(row))) is not None
        and fits(rest, base.rows[int(row)], onto.rows[there] if onto else None)
    }


def fits(rest: str, row: Sequence[Any], there: Sequence[Any] | None) -> bool:
    """True if a tensor of one row is the same tensor in the row that stands for it.

    It is not if it belongs to attention inside a block and the other block has another gene at that place: different
    genes share some keys and shapes.

    Args:
        rest: the tensor's key after the row's number.
        row: the row of the model YAML that has it.
        there: the row that stands for it; None for a block without attention.
    """
    found = OF_ATTENTION.search(rest) if is_block(row) else None
    if found is None:
        return True
    mode = REPLACE if rest[: found.start()].endswith("cv2") else INSERT
    return there is not None and is_block(there) and _genes(row, mode) == _genes(there, mode)


def _genes(row: Sequence[Any], mode: str) -> list[Any]:
    return [gene for gene in row[3][1] if gene[0] == mode]


def row_map_of(checkpoint_rows: Sequence[Sequence[Any]], base_rows: Sequence[Sequence[Any]]) -> dict[int, int]:
    """Row of a checkpoint -> the same row of a model.

    If both have the same inserted rows, every row is in it; otherwise inserted rows are left out.

    Args:
        checkpoint_rows: `backbone` and `head` of the checkpoint's YAML.
        base_rows: the same of the model.

    Raises:
        UserError: the rows that are not inserted hold other modules.
    """
    both = (checkpoint_rows, base_rows)
    attention = [[(i, *row[2:4]) for i, row in enumerate(rows) if str(row[2]).startswith(PREFIX)] for rows in both]
    whole = attention[0] == attention[1]
    ours, theirs = (
        [(i, module_name(row)) for i, row in enumerate(rows)] if whole else list(plain_rows(rows)) for rows in both
    )
    pairs = zip(ours, theirs, strict=False)
    differs = next((f"'{a}' in row {i}, where the model has '{b}'" for (i, a), (_, b) in pairs if a != b), "")
    if differs or len(ours) != len(theirs):
        raise UserError(
            "the checkpoint must be of the same model",
            got=differs or f"{len(ours)} rows, where the model has {len(theirs)}",
            remedy="Give weights that were trained with this base model, with or without inserted attention.",
        )
    return {i: j for (i, _), (j, _) in zip(ours, theirs, strict=True)}


def load_weights(weights: Path) -> BaseModel:
    """The model of a checkpoint file.

    Raises:
        UserError: the file is not a .pt file, or no checkpoint of a detector.
    """
    if Path(weights).suffix != ".pt":
        raise UserError("weights must be a .pt file that Ultralytics wrote", got=f"'{weights}'")
    return load_base(str(weights))


def check_weights(weights: Path, base: BaseModel) -> None:
    """Refuse a checkpoint that is not of the base model, with or without inserted attention.

    A checkpoint with another number of classes, or of bins of the box regression, passes.

    Raises:
        UserError: it is another model, of another depth or width, or no checkpoint.
    """
    where = f"'{weights}' for {base.name}"
    found = load_weights(weights)
    try:
        row_map_of(found.rows, base.rows)
    except UserError as error:
        raise UserError(error.rule, got=error.got, where=where, remedy=error.remedy) from None
    for factor, own, wanted in zip(("depth", "width"), found.factors, base.factors, strict=False):
        if not math.isclose(own, wanted, rel_tol=1e-6):
            raise UserError(
                "the checkpoint must be of the same model",
                got=f"{factor} factor {own:g}, where the model has {wanted:g}",
                where=where,
                remedy="Give weights that were trained with this scale and `width`.",
            )
