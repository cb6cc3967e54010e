"""YOLO label files: where they lie, what may stand in them, and the boxes that training reads from them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

TOLERANCE = 0.01  # how far a normalised coordinate may leave [0, 1], as Ultralytics allows


def label_path(image: str) -> str:
    """The label file of an image: the last `images` folder becomes `labels`, the suffix `.txt`."""
    head = f"{os.sep}labels{os.sep}".join(image.rsplit(f"{os.sep}images{os.sep}", 1))
    return head.rsplit(".", 1)[0] + ".txt"


def check_label(text: str, nc: int) -> Iterator[tuple[str, str, int]]:
    """Every line of a label file that breaks a rule, as (rule, what stands there, line number from 1).

    Args:
        text: the file.
        nc: number of classes; 0 skips the check of class numbers.
    """
    widths: set[bool] = set()
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.split()
        if not cells:
            continue
        try:
            values = [float(c) for c in cells]
        except ValueError:
            yield "a label line must hold numbers only", f"'{line.strip()[:40]}'", number
            continue
        if len(values) != 5 and (len(values) < 7 or len(values) % 2 == 0):
            yield "a label line must read `class x y width height` or `class x1 y1 x2 y2 x3 y3 ...`", \
                f"{len(values)} values", number  # fmt: skip
            continue
        widths.add(len(values) == 5)
        if len(widths) == 2:
            yield "a label file must hold boxes or polygons, not both", f"'{line.strip()[:40]}'", number
            return
        if values[0] % 1 or values[0] < 0 or (nc and values[0] >= nc):
            yield f"a class number must be a whole number from 0 to {max(nc - 1, 0)}", f"{values[0]:g}", number
        outside = [v for v in values[1:] if not -TOLERANCE <= v <= 1 + TOLERANCE]
        if outside or (len(values) == 5 and min(values[3:5]) < 0):
            got = f"{(outside or values[3:5])[0]:g}"
            yield "coordinates must be divided by the image's size, so lie in [0, 1]", got, number


def read_label(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Classes (n, 1) and boxes (n, 4; centre x, y, width, height; normalised) of a label file that passed the check.

    Polygons become their bounding boxes; repeated rows count once.
    """
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if not rows:
        return np.zeros((0, 1), np.float32), np.zeros((0, 4), np.float32)
    if any(len(r) > 6 for r in rows):
        classes = np.array([[r[0]] for r in rows], dtype=np.float32)
        table = np.concatenate((classes, np.array([_bounds(r[1:]) for r in rows], dtype=np.float32)), 1)
        keys = np.array([" ".join(r) for r in rows], dtype=object)
    else:
        table = np.array(rows, dtype=np.float32)
        keys = None
    unique = np.unique(table, axis=0, return_index=True)[1] if keys is None else np.unique(keys, return_index=True)[1]
    if len(unique) < len(table):
        table = table[unique]
    return table[:, :1], table[:, 1:]


def _bounds(cells: list[str]) -> tuple[np.float32, ...]:
    points = np.array(cells, dtype=np.float32).reshape(-1, 2)
    low, high = points.min(0), points.max(0)
    centre, size = (low + high) / 2, high - low
    return (*centre, *size)
