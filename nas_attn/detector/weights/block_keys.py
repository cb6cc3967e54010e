"""Keys of what a block with attention inside has beside the block itself, and whose tensors may stand under them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nas_attn.detector.model.rows import is_block
from nas_attn.space.slot import INSERT, REPLACE

OF_ATTENTION = re.compile(r"(^|\.)(attention|project)\.")  # keys of what `blocks.py` puts into a block


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
