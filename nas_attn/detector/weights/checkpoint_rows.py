"""The tensors of a checkpoint, renamed to the rows of another model. Either may have inserted attention."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from nas_attn.detector.model.base_model import BaseModel, load_base
from nas_attn.detector.model.rows import is_block, is_inserted, module_name, plain_rows
from nas_attn.detector.model.safe_checkpoint import checkpoint_model
from nas_attn.errors import UserError
from nas_attn.space.slot import INSERT, REPLACE

OF_ATTENTION = re.compile(r"(^|\.)(attention|project)\.")  # keys of the tensors that `blocks.py` adds to a block


def checkpoint_state(base: BaseModel, onto: BaseModel | None = None) -> dict[str, Tensor] | None:
    """The state dict of a checkpoint in float32 on the CPU; None if the model came from no checkpoint.

    Args:
        base: the model of the checkpoint.
        onto: the model whose row numbers the returned keys have (`model.<row>.<rest>`). If None, it is the model of the
            checkpoint without its attention. Tensors of attention that `onto` does not have are left out.

    Raises:
        UserError: `onto` is a different model.
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
    """True if a tensor of a row has the same meaning in the corresponding row of another model.

    The answer is False if the tensor belongs to attention inside a block and the other block has a different gene at
    this place. Keys and shapes cannot tell, because different genes share some of them.

    Args:
        rest: the key of the tensor after the row number.
        row: the row of the model YAML that has the tensor.
        there: the corresponding row of the other model; None for a block without attention.
    """
    found = OF_ATTENTION.search(rest) if is_block(row) else None
    if found is None:
        return True
    mode = REPLACE if rest[: found.start()].endswith("cv2") else INSERT
    return there is not None and is_block(there) and _genes(row, mode) == _genes(there, mode)


def _genes(row: Sequence[Any], mode: str) -> list[Any]:
    return [gene for gene in row[3][1] if gene[0] == mode]


def row_map_of(checkpoint_rows: Sequence[Sequence[Any]], base_rows: Sequence[Sequence[Any]]) -> dict[int, int]:
    """Row number in a checkpoint -> number of the same row in a model.

    The result has every row if both have the same inserted rows; otherwise it has no inserted rows.

    Args:
        checkpoint_rows: the rows of the checkpoint's YAML, those of `backbone` first.
        base_rows: the rows of the model's YAML.

    Raises:
        UserError: the rows that are not inserted have different modules.
    """
    both = (checkpoint_rows, base_rows)
    attention = [[(i, *row[2:4]) for i, row in enumerate(rows) if is_inserted(row)] for rows in both]
    whole = attention[0] == attention[1]
    ours, theirs = (
        [(i, module_name(row)) for i, row in enumerate(rows)] if whole else list(plain_rows(rows)) for rows in both
    )
    pairs = zip(ours, theirs, strict=False)
    differs = next((f"'{a}' in row {i} (the model has '{b}')" for (i, a), (_, b) in pairs if a != b), "")
    if differs or len(ours) != len(theirs):
        raise UserError(
            "the checkpoint must be of the same model",
            got=differs or f"{len(ours)} rows (the model has {len(theirs)})",
            remedy="Give weights that were trained with this base model, with or without inserted attention.",
        )
    return {i: j for (i, _), (j, _) in zip(ours, theirs, strict=True)}


def load_weights(weights: Path) -> BaseModel:
    """The model of a checkpoint file.

    Raises:
        UserError: the file is no .pt file, or no checkpoint of a detector.
    """
    if Path(weights).suffix != ".pt":
        raise UserError("weights must be a .pt file that Ultralytics wrote", got=f"'{weights}'")
    return load_base(str(weights))


def check_weights(weights: Path, base: BaseModel) -> None:
    """Refuse a checkpoint that does not belong to the base model; either may have inserted attention.

    The numbers of classes and of regression bins may differ.

    Args:
        weights: the checkpoint file.
        base: the base model.

    Raises:
        UserError: the file is no checkpoint, or its model has other rows, another depth or another width.
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
                got=f"{factor} factor {own:g} (the model has {wanted:g})",
                where=where,
                remedy="Give weights that were trained at this scale and `width`.",
            )
