"""`insert`: a row behind each of some rows, for all that read these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas_attn.detector.model.rows import Insertion, RowContent, rewrite


def insert(model_yaml: Mapping[str, Any], inserts: Mapping[int, RowContent]) -> tuple[dict[str, Any], dict[int, int]]:
    """(new dictionary, old row -> new row)."""
    done = rewrite(model_yaml, {row: [Insertion(str(row), content)] for row, content in inserts.items()})
    return done.yaml, done.row_map
