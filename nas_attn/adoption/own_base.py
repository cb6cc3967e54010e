"""The base of a file that is no detector of Ultralytics: the rows of the file without attention."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

from nas_attn.adoption.article import ArticleRow
from nas_attn.adoption.renamed import renamed_refusal
from nas_attn.adoption.wiring import Wiring, shown
from nas_attn.detector.model.base_model import BaseModel
from nas_attn.detector.model.build_errors import build_refusal
from nas_attn.detector.model.own_layers import OwnLayer, completed
from nas_attn.errors import UserError


def build_plain(base: BaseModel, wiring: Wiring) -> Any:
    """The built model of a base.

    Args:
        base: the rows of the file without attention.
        wiring: the repaired file, for messages.

    Raises:
        UserError: Ultralytics cannot build it; the message has the row number of the file.
    """
    try:
        return base.build()
    except UserError as error:
        if not isinstance(error.__cause__, Exception):
            raise
        refusal = build_refusal(error.__cause__, base.yaml, str(wiring.article.path))
        if row := re.search(r"row (\d+) (?=\[)", refusal.where):
            refusal = renamed_refusal(wiring, wiring.file_row(int(row[1]))) or refusal
        refusal.where = re.sub(
            r"row (\d+) (?=\[)", lambda m: f"row {wiring.file_row(int(m[1]))}, without attention ", refusal.where
        )
        raise refusal from error


def own_base(
    wiring: Wiring, name: str, scale: str, factors: Sequence[float], nc: int
) -> tuple[BaseModel, tuple[tuple[ArticleRow, OwnLayer], ...]]:
    """The rows of the file without attention, as a base model; and its rows of own layers, which are completed.

    Args:
        wiring: the repaired file.
        name: name of the base model.
        scale: key of its only scale.
        factors: depth factor, width factor and largest channel count of that scale.
        nc: number of classes.

    Raises:
        UserError: the row of an own layer cannot be completed.
    """
    article = wiring.article
    rows = []
    for index, number in enumerate(article.plain):
        row = article.rows[number]
        sources = []
        for source, written in zip(wiring.sources[number], row.written, strict=True):
            root = wiring.root(source)
            sources.append(root - index if written < 0 else root)
        content = copy.deepcopy(row.content)
        rows.append([sources if isinstance(content[0], list) else sources[0], *content[1:]])
    backbone = sum(n < article.backbone for n in article.plain)
    model = {"nc": nc, **article.settings, "scales": {scale: list(factors)}, "scale": scale}
    model |= {"backbone": rows[:backbone], "head": rows[backbone:]}
    places = {i: f"{article.path}, {shown(article, n)}" for i, n in enumerate(article.plain) if article.rows[n].layer}
    wiring.completed, layers = completed(model, places)
    own = tuple((article.rows[article.plain[index]], layer) for index, layer in layers.items())
    return BaseModel(name, wiring.completed.yaml, scale), own
