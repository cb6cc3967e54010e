"""The objects of the generated data, drawn pixel by pixel. The labels of all tasks come from the same numbers.

Pixel `i` covers [i, i + 1]. It is drawn if its centre lies inside the object, so labels are exact to half a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

UPRIGHT = ("disc", "square", "triangle")
TURNED = ("bar", "oval", "diamond")  # for oriented boxes: longer than wide, so that the angle is defined
POINTS = 4  # keypoints of an object: top, right, bottom and left of its outline
FLIP = (0, 3, 2, 1)
CORNERS = 48  # of the polygon that stands for a round outline
SLIM = (0.35, 0.6)  # width of a turned object divided by its length


@dataclass(frozen=True)
class Drawn:
    """One drawn object; all coordinates are pixels of the image.

    Attributes:
        kind: class number.
        mask: (height, width) bool, the pixels of the object.
        outline: (k, 2), the exact outline.
        corners: (4, 2), the corners of the oriented box; for an upright object, the corners of the box.
        keypoints: (4, 2), points on the outline, moved into the box by less than a pixel.
    """

    kind: int
    mask: np.ndarray
    outline: np.ndarray
    corners: np.ndarray
    keypoints: np.ndarray

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the drawn pixels."""
        return _bounds(self.mask)


def upright(shape: tuple[int, int], kind: int, x: float, y: float, side: float) -> Drawn:
    """An upright disc, square or triangle.

    Args:
        shape: height and width of the image.
        kind: index in `UPRIGHT`.
        x, y: centre of the object in pixels; here the centre of pixel `i` is `i`.
        side: width and height in pixels.
    """
    r = side / 2
    dx, dy = _offsets(shape, x, y)
    inside: dict[str, Callable[[], np.ndarray]] = {
        "disc": lambda: np.hypot(dx, dy) <= r,
        "square": lambda: np.maximum(abs(dx), abs(dy)) <= r,
        "triangle": lambda: (dy <= r) & (dy >= 2 * abs(dx) - r),
    }
    outlines = {
        "disc": _ring(r, r),
        "square": np.array([[-r, -r], [r, -r], [r, r], [-r, r]]),
        "triangle": np.array([[0, -r], [r, r], [-r, r]]),
    }
    name = UPRIGHT[kind]
    mask = inside[name]()
    left, top, right, bottom = _bounds(mask)
    side_y = r if name == "triangle" else 0.0  # a triangle is widest at its base
    middle = np.array([x, y]) + 0.5
    points = np.array([[0, -r], [r, side_y], [0, r], [-r, side_y]]) + middle
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return Drawn(kind, mask, outlines[name] + middle, corners, points.clip((left, top), (right, bottom)))


def turned(shape: tuple[int, int], kind: int, x: float, y: float, side: float, angle: float, slim: float) -> Drawn:
    """A turned bar, oval or diamond; the corners of its box lie on a circle of diameter `side`.

    Args:
        shape, x, y: as `upright` takes them.
        kind: index in `TURNED`.
        side: diagonal of the oriented box in pixels.
        angle: angle between the long axis and the horizontal, in radians.
        slim: width divided by length.
    """
    a = side / 2 * math.cos(math.atan(slim))
    b = a * slim
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    dx, dy = _offsets(shape, x, y)
    u, v = abs(dx * turn[0, 0] + dy * turn[0, 1]) / a, abs(dx * turn[1, 0] + dy * turn[1, 1]) / b
    inside: dict[str, Callable[[], np.ndarray]] = {
        "bar": lambda: np.maximum(u, v) <= 1,
        "oval": lambda: np.hypot(u, v) <= 1,
        "diamond": lambda: u + v <= 1,
    }
    ends = np.array([[0, -b], [a, 0], [0, b], [-a, 0]])
    corners = np.array([[-a, -b], [a, -b], [a, b], [-a, b]])
    outlines = {"bar": corners, "oval": _ring(a, b), "diamond": ends}
    name, middle = TURNED[kind], np.array([x, y]) + 0.5
    mask = inside[name]()
    left, top, right, bottom = _bounds(mask)
    points = (ends @ turn + middle).clip((left, top), (right, bottom))
    return Drawn(kind, mask, outlines[name] @ turn + middle, corners @ turn + middle, points)


def _offsets(shape: tuple[int, int], x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    yy, xx = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float64)
    return xx - x, yy - y


def _ring(a: float, b: float) -> np.ndarray:
    """A polygon with the same area as the ellipse of the half axes `a` and `b`."""
    step = 2 * math.pi / CORNERS
    grow = math.sqrt(step / math.sin(step))
    turns = np.arange(CORNERS) * step
    return np.stack((a * grow * np.cos(turns), b * grow * np.sin(turns)), 1)


def _bounds(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
