"""Rows of the user's own layers in a file: those in the place of a row of the base, and those that were inserted.

An inserted layer that keeps the shape of its map is read like attention, so that a mistake of renumbering is found. A
layer in the place of a row is part of the base, and so is any layer in a network that Ultralytics does not ship.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from nas_attn.detector.model.model_yaml import read_yaml
from nas_attn.detector.model.shipped_models import packaged
from nas_attn.tasks import HEADS

INSERTED, IN_PLACE = "inserted", "in place"


class ShapeChanged(Exception):
    """An inserted layer changes the shape of its map, so it belongs to the base.

    Args:
        number: number of its row.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def standing(
    contents: Sequence[Sequence[Any]], own: Collection[int], skipped: Collection[int], changing: Collection[int]
) -> dict[int, str]:
    """Row of an own layer -> `INSERTED` or `IN_PLACE`, by the shipped detector with the most equal rows.

    Args:
        contents: all rows of the file; a block with attention has the name of its block.
        own: numbers of the rows of own layers.
        skipped: numbers of the rows of attention.
        changing: rows of `own` that are known to change the shape of their map.
    """
    rows = [n for n in range(len(contents) - 1) if n not in skipped]
    free = [n for n in rows if n in own]
    pattern = "".join(
        f"{re.escape(str(contents[n][2]))};" if n not in own else "([^;]+;)" if n in changing else "([^;]+;)?"
        for n in rows
    )
    best: tuple[int, int, dict[int, str]] = (0, 0, {})
    for path in packaged().values() if own else ():
        source = read_yaml(path)
        theirs = [*source["backbone"], *source["head"]]
        if theirs[-1][2] not in HEADS:
            continue
        if match := re.fullmatch(pattern, "".join(f"{row[2]};" for row in theirs[:-1])):
            found = {n: IN_PLACE if text else INSERTED for n, text in zip(free, match.groups(), strict=True)}
            left = [contents[n] for n in rows if found.get(n) != INSERTED]
            equal = sum(a[1:] == b[1:] for a, b in zip(left, theirs, strict=False))
            best = max(best, (1 + equal, -list(found.values()).count(IN_PLACE), found), key=lambda one: one[:2])
    return best[2] or dict.fromkeys(own, IN_PLACE)
