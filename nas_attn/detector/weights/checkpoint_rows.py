"""A checkpoint's tensors under the rows of another model: which row is which, with or without inserted attention."""

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
    """The checkpoint's state dict in float32 on the CPU; None where there is no checkpoint.

    Args:
        base: the checkpoint's model.
        onto: the model in whose rows the keys are (`model.<row>.<rest>`); where None, this model as it would be
            without the attention that the checkpoint has. Attention that stands nowhere in it is left out.

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
    """Whether a tensor of one row is the same tensor in another that stands for it.

    All are but those of attention inside a block, where another gene stands at that place in it: some keys and shapes
    are those of every gene.

    Args:
        rest: the tensor's key behind its row.
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
    """Which row of a model each row of a checkpoint is.

    Where both have the same inserted rows, every row has its own; otherwise inserted rows have none.

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


def check_weights(weights: Path, base: BaseModel) -> None:
    """Refuse a checkpoint that is not of the base model, with or without inserted attention.

    Another number of classes, or of bins of the box regression, is no other model.

    Raises:
        UserError: it is another model, of another depth or width, or no checkpoint.
    """
    where = f"'{weights}' for {base.name}"
    if Path(weights).suffix != ".pt":
        raise UserError("weights must be a .pt file that Ultralytics wrote", got=f"'{weights}'")
    found = load_base(str(weights))
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
