"""`insert`: adds a row after each of some rows; all readers of such a row then read the new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas_attn.detector.model.rows import Insertion, RowContent, rewrite


def insert(model_yaml: Mapping[str, Any], inserts: Mapping[int, RowContent]) -> tuple[dict[str, Any], dict[int, int]]:
    """The new dictionary, and a mapping from old rows to new rows."""
    done = rewrite(model_yaml, {row: [Insertion(str(row), content)] for row, content in inserts.items()})
    return done.yaml, done.row_map
