"""What a model YAML must hold before anything is built from it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from nas_attn.detector.model.untrusted_yaml import check_activation, check_module
from nas_attn.errors import UserError
from nas_attn.safe_yaml import parse_yaml
from nas_attn.tasks import HEADS

FACTORS = ("depth_multiple", "width_multiple")


def check_detector(source: Any, where: str) -> None:
    """Refuse what is no detector's model dictionary.

    Args:
        source: content of a YAML file or checkpoint.
        where: what to name in errors.

    Raises:
        UserError: the first rule that is broken.
    """
    if not isinstance(source, dict) or any(source.get(k) in (None, []) for k in ("nc", "backbone", "head")):
        raise UserError("a model YAML must have `nc`, `backbone` and `head`", where=where)
    if other := [k for k in source if not isinstance(k, str)]:
        raise UserError("a model YAML's keys must be text", got=other[0], where=where)
    if not _is_int(source["nc"]) or source["nc"] < 1:
        raise UserError("`nc` must be a whole number of at least 1", got=repr(source["nc"]), where=where)
    for part in ("backbone", "head"):
        if not isinstance(source[part], list):
            raise UserError(f"`{part}` must be a list of rows", got=repr(source[part]), where=where)
    check_activation(source.get("activation"), where)
    for number, row in enumerate((*source["backbone"], *source["head"])):
        here = f"{where}, row {number} of `backbone` and `head`, counted from 0"
        if not _is_row(row):
            raise UserError("a row must read [from, repeats, module, arguments]", got=row, where=here)
        check_module(row[2], here)
    for factor in FACTORS:
        if not _is_number(source.get(factor, 1.0)):
            raise UserError(f"`{factor}` must be a number", got=repr(source[factor]), where=where)
    scales = source.get("scales") or {}
    if not isinstance(scales, dict) or not all(
        isinstance(k, str) and isinstance(v, list | tuple) and len(v) == 3 and all(map(_is_number, v))
        for k, v in scales.items()
    ):
        raise UserError("`scales` must map letters to [depth, width, largest channel count]", got=scales, where=where)
    head = source["head"][-1][2]
    if head not in HEADS:
        raise UserError(f"a base model must end in one of {', '.join(HEADS)}", got=f"'{head}'", where=where)


def _is_row(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 4:
        return False
    sources = row[0] if isinstance(row[0], list) else [row[0]]
    numbers = bool(sources) and all(map(_is_int, (*sources, row[1])))
    return numbers and isinstance(row[2], str) and isinstance(row[3], list)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def built_repeats(written: int, depth: float) -> int:
    """How many of a row's module Ultralytics builds at a depth factor."""
    return max(round(written * depth), 1) if written > 1 else 1


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        UserError: it is not readable as YAML.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8", errors="ignore"))
    except (yaml.YAMLError, OSError) as error:
        raise UserError("a model YAML must be readable as YAML", got=str(error), where=str(path)) from error
