"""YOLO label files: their paths, their format for each task, and the objects that a training reads from them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nas_attn.tasks import others

TOLERANCE = 0.01  # a normalised coordinate may leave [0, 1] by this much, as Ultralytics allows
BOX = 5  # number of values in the row of a box: class, centre x, y, width, height


@dataclass(frozen=True)
class LabelFormat:
    """The format of the label files of a data set.

    Attributes:
        task: `detect` (boxes, or polygons whose bounding boxes are used), `segment` (polygons), `pose` (boxes with
            keypoints) or `obb` (four corners).
        kpt_shape: (keypoints per object, values per keypoint); 2 values are x, y and 3 values are x, y, visibility. A
            task other than `pose` uses only the boxes of such labels.
    """

    task: str = "detect"
    kpt_shape: tuple[int, int] | None = None

    @property
    def pose_row(self) -> int:
        """Number of values in a row with keypoints; 0 if the labels have none."""
        return BOX + self.kpt_shape[0] * self.kpt_shape[1] if self.kpt_shape else 0

    @property
    def polygons(self) -> bool:
        """True if the task needs the outlines of objects."""
        return self.task in ("segment", "obb")

    @property
    def rule(self) -> str:
        """The rule for a row, for messages."""
        if self.task == "segment":
            return "a segmentation label line must be a polygon, `class x1 y1 x2 y2 x3 y3 ...`"
        if self.task == "obb":
            return "an oriented box must be four corners, `class x1 y1 x2 y2 x3 y3 x4 y4`"
        if self.task == "pose" and self.kpt_shape:
            values = "x y" if self.kpt_shape[1] == 2 else "x y visible"
            return (
                f"a pose label line must hold {self.pose_row} values, `class x y width height` and "
                f"{self.kpt_shape[0]} times `{values}`, as `kpt_shape` says"
            )
        if self.task == "pose":
            return "a pose label line must hold keypoints after `class x y width height`"
        return "a label line must read `class x y width height` or `class x1 y1 x2 y2 x3 y3 ...`"

    @property
    def remedy(self) -> str:
        """The remedy for rows that break the rule."""
        if self.task == "detect":
            return "Correct or remove these."
        return f"Correct or remove these, or use a base model for the task of the data: {others(self.task)}."

    def takes(self, values: int) -> bool:
        """True if a row may have this number of values."""
        if self.task == "obb":
            return values == 9
        if self.task == "pose":
            return values == self.pose_row if self.kpt_shape else values > BOX + 1
        polygon = values >= 7 and values % 2 == 1
        return polygon or (self.task == "detect" and values == BOX)

    def box_part(self, row: list[str]) -> list[str]:
        """The row, without keypoints if the task does not use them."""
        return row[:BOX] if self.task != "pose" and len(row) == self.pose_row else row


DETECT = LabelFormat()


class Labels(NamedTuple):
    """The objects of one image, coordinates normalised.

    Attributes:
        classes: (n, 1) float32.
        boxes: (n, 4) float32: centre x, y, width, height.
        segments: n outlines (k, 2) for `segment` and `obb`; otherwise empty.
        keypoints: (n, keypoints, 3) float32: x, y, visibility, for `pose`; otherwise None.
    """

    classes: np.ndarray
    boxes: np.ndarray
    segments: list[np.ndarray]
    keypoints: np.ndarray | None


def label_path(image: str) -> str:
    """The label file of an image: the last folder `images` becomes `labels`, and the suffix becomes `.txt`."""
    head = f"{os.sep}labels{os.sep}".join(image.rsplit(f"{os.sep}images{os.sep}", 1))
    return head.rsplit(".", 1)[0] + ".txt"


def check_label(text: str, nc: int, form: LabelFormat = DETECT) -> Iterator[tuple[str, str, int]]:
    """Every line of a label file that breaks a rule, as (rule, wrong value, line number from 1).

    Args:
        text: content of the file.
        nc: number of classes; 0 skips the check of class numbers.
        form: the format that the lines must have.
    """
    widths: set[bool] = set()
    for number, line in enumerate(text.splitlines(), 1):
        cells = form.box_part(line.split())
        if not cells:
            continue
        try:
            values = [float(c) for c in cells]
        except ValueError:
            yield "a label line must hold numbers only", f"'{line.strip()[:40]}'", number
            continue
        if not form.takes(len(values)):
            box = ", a box" if len(values) == BOX else ""
            yield form.rule, f"{len(values)} values{box}", number
            continue
        if form.task == "detect":
            widths.add(len(values) == BOX)
            if len(widths) == 2:
                yield "a label file must hold boxes or polygons, not both", f"'{line.strip()[:40]}'", number
                return
        if values[0] % 1 or values[0] < 0 or (nc and values[0] >= nc):
            yield f"a class number must be a whole number from 0 to {max(nc - 1, 0)}", f"{values[0]:g}", number
        coordinates, visible = _parts(values, form)
        outside = [v for v in coordinates if not -TOLERANCE <= v <= 1 + TOLERANCE]
        box_row = len(values) == BOX or form.task == "pose"
        if outside or (box_row and min(values[3:5]) < 0):
            got = f"{(outside or values[3:5])[0]:g}"
            yield "coordinates must be divided by the image size, so that they lie in [0, 1]", got, number
        if wrong := [v for v in visible if v not in (0, 1, 2)]:
            rule = "a keypoint's visibility must be 0 (not labelled), 1 (hidden) or 2 (visible)"
            yield rule, f"{wrong[0]:g}", number


def _parts(values: list[float], form: LabelFormat) -> tuple[list[float], list[float]]:
    """The coordinates and the visibilities of a row."""
    if form.task != "pose":
        return values[1:], []
    if form.kpt_shape is None:  # unknown which of the other values are coordinates
        return values[1:BOX], []
    points, dims = values[BOX:], form.kpt_shape[1]
    visible = points[2::dims] if dims == 3 else []
    return values[1:BOX] + [v for i, v in enumerate(points) if i % dims < 2], visible


def read_label(text: str, form: LabelFormat = DETECT) -> Labels:
    """The objects of a label file that passed the check, read as by Ultralytics.

    If the task needs boxes, polygons become their bounding boxes. Repeated rows count once.

    Args:
        text: content of the file.
        form: the format of its lines.
    """
    rows = [form.box_part(line.split()) for line in text.splitlines() if line.strip()]
    pose = form.task == "pose" and form.kpt_shape is not None
    if not rows:
        table = np.zeros((0, form.pose_row if pose else BOX), np.float32)
        return Labels(table[:, :1], table[:, 1:BOX], [], _keypoints(table, form) if pose else None)
    outlines: list[np.ndarray] = []
    if not pose and any(len(r) > BOX + 1 for r in rows):
        outlines = [np.array(r[1:], dtype=np.float32).reshape(-1, 2) for r in rows]
        classes = np.array([[r[0]] for r in rows], dtype=np.float32)
        table = np.concatenate((classes, np.array([_bounds(o) for o in outlines], dtype=np.float32)), 1)
    else:
        table = np.array(rows, dtype=np.float32)
    chosen = np.unique(table, axis=0, return_index=True)[1]
    if len(chosen) < len(table) and outlines:  # different polygons may have the same box
        keys = [c.tobytes() + o.tobytes() for c, o in zip(table[:, 0], outlines, strict=True)]
        chosen = np.unique(np.array(keys, dtype=object), return_index=True)[1]
    if len(chosen) < len(table):
        table, outlines = table[chosen], [outlines[i] for i in chosen] if outlines else []
    kept = outlines if form.polygons else []
    return Labels(table[:, :1], table[:, 1:BOX], kept, _keypoints(table, form) if pose else None)


def _bounds(points: np.ndarray) -> tuple[np.float32, ...]:
    low, high = points.min(0), points.max(0)
    centre, size = (low + high) / 2, high - low
    return (*centre, *size)


def _keypoints(table: np.ndarray, form: LabelFormat) -> np.ndarray:
    """Keypoints (n, keypoints, 3). Without visibilities, a point with a negative coordinate counts as not labelled."""
    assert form.kpt_shape is not None
    points = table[:, BOX:].reshape(-1, *form.kpt_shape)
    if form.kpt_shape[1] == 3:
        return points
    seen = (points >= 0).all(-1, keepdims=True)
    return np.concatenate((points, seen.astype(np.float32)), -1)
