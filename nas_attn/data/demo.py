"""The generated data sets: drawn objects of many sizes on noisy backgrounds, the same bytes on every machine.

With them, a search runs without any data of the user. The objects have the sizes that the three levels of a neck
can box at 128 pixels. A ranking of attention modules on this data is not valid for real photographs.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nas_attn.data.demo_shapes import FLIP, POINTS, SLIM, TURNED, UPRIGHT, Drawn, turned, upright

VERSION = 1
IMGSZ = 128
SPLITS = {"train": 256, "val": 128, "test": 128}
SIDES = ((11, 24), (30, 56), (66, 100))  # pixels; about the sizes that P3, P4 and P5 can box at reg_max 3
TURNED_SIDES = ((14, 30), (36, 64), (80, 112))  # pixels; diagonals of oriented boxes, longer because these are slim
LARGE_SHARE = 0.75  # share of images with a large object
SMALL_SHARE = 0.6  # share of small objects among the others
TRIES = 30
CONTRAST = 80  # least difference between an object and its background, in grey levels of one channel
NOISE = 5.0  # standard deviation of the pixel noise, in grey levels


def demo_data(root: Path, task: str = "detect") -> Path:
    """The data.yaml of the generated data set; the first call draws the images.

    Args:
        root: the parent folder; the data set gets a folder with a version in it.
        task: task of the labels, as `write_data` takes it.
    """
    kind = "" if task == "detect" else f"{task}-"
    folder = Path(root) / f"demo-{kind}{IMGSZ}-v{VERSION}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            write_data(work, SPLITS, task=task)
            _publish(work, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder / "data.yaml"


def write_data(
    folder: Path,
    counts: Mapping[str, int],
    imgsz: int | None = None,
    sides: Sequence[tuple[int, int]] | None = None,
    task: str = "detect",
) -> Path:
    """Draw a data set of this kind into an existing folder.

    Args:
        folder: the folder that receives `images`, `labels` and data.yaml.
        counts: split -> number of images.
        imgsz: height and width of the images in pixels; None for `IMGSZ`.
        sides: (smallest, largest) side of the small, medium and large objects in pixels; None for the usual sides.
        task: task of the labels: `detect` (boxes), `segment` (outlines), `pose` (boxes and four keypoints) or
            `obb` (oriented boxes, of turned objects).

    Returns:
        The data.yaml.
    """
    import cv2

    for split, count in counts.items():
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for index in range(count):
            image, rows = draw(split, index, imgsz or IMGSZ, sides or (TURNED_SIDES if task == "obb" else SIDES), task)
            encoded = cv2.imencode(".png", image)[1]  # `imwrite` takes only ASCII paths on Windows
            (images / f"{index:04d}.png").write_bytes(encoded.tobytes())
            lines = [" ".join(str(v) if isinstance(v, int) else f"{v:.6f}" for v in row) for row in rows]
            (labels / f"{index:04d}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    listing = "\n".join(f"  {i}: {name}" for i, name in enumerate(TURNED if task == "obb" else UPRIGHT))
    more = f"kpt_shape: [{POINTS}, 3]\nflip_idx: {list(FLIP)}\n" if task == "pose" else ""
    paths = "\n".join(f"{split}: images/{split}" for split in counts)
    path = folder / "data.yaml"
    path.write_text(f"# drawn by nas_attn, version {VERSION}\n{paths}\n{more}names:\n{listing}\n", encoding="utf-8")
    return path


def draw(
    split: str, index: int, imgsz: int, sides: Sequence[tuple[int, int]], task: str = "detect"
) -> tuple[np.ndarray, list[tuple[float, ...]]]:
    """One image and its label rows.

    Args:
        split: name of the split.
        index: number of the image in the split.
        imgsz: height and width in pixels.
        sides, task: as `write_data` takes them.

    Returns:
        The image (imgsz, imgsz, 3), uint8, BGR; and the rows, each a class (int) and coordinates divided by `imgsz`.
    """
    image, objects = scene(split, index, imgsz, sides, task)
    return image, [label_row(drawn, task, imgsz) for drawn in objects]


def scene(
    split: str, index: int, imgsz: int, sides: Sequence[tuple[int, int]], task: str = "detect"
) -> tuple[np.ndarray, list[Drawn]]:
    """One image, as `draw` returns it, and the objects in it.

    Args:
        split, index, imgsz, sides, task: as `draw` takes them.
    """
    rng = np.random.default_rng((VERSION, list(SPLITS).index(split), index))
    image = _background(rng, imgsz)
    objects: list[Drawn] = []
    taken: list[tuple[float, float, float]] = []
    for n in range(int(rng.integers(4, 9))):
        usual = sides[0] if rng.random() < SMALL_SHARE else sides[1]
        low, high = sides[2] if n == 0 and rng.random() < LARGE_SHARE else usual
        side = math.exp(rng.uniform(math.log(low), math.log(high)))
        spot = _free_spot(rng, imgsz, side, taken)
        if spot is None:
            continue
        taken.append((*spot, side))
        kind = int(rng.integers(len(UPRIGHT)))
        if task == "obb":
            angle, slim = float(rng.uniform(0, math.pi)), float(rng.uniform(*SLIM))
            drawn = turned((imgsz, imgsz), kind, *spot, side, angle, slim)
        else:
            drawn = upright((imgsz, imgsz), kind, *spot, side)
        image[drawn.mask] = _contrast(rng, image[drawn.mask].mean(0))
        objects.append(drawn)
    noise = rng.normal(0, NOISE, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), objects


def label_row(drawn: Drawn, task: str, imgsz: int) -> tuple[float, ...]:
    """The label row of an object in an image of `imgsz` × `imgsz` pixels: its class, then coordinates in [0, 1]."""
    if task in ("segment", "obb"):
        outline = drawn.outline if task == "segment" else drawn.corners
        return (drawn.kind, *(outline / imgsz).ravel().tolist())
    left, top, right, bottom = drawn.box
    x, y = (left + right) / 2 / imgsz, (top + bottom) / 2 / imgsz
    box = (drawn.kind, x, y, (right - left) / imgsz, (bottom - top) / imgsz)
    if task == "detect":
        return box
    return (*box, *(v for px, py in drawn.keypoints / imgsz for v in (float(px), float(py), 2)))


def _background(rng: np.random.Generator, imgsz: int) -> np.ndarray:
    import cv2

    grid = rng.uniform(90, 165, (imgsz // 16, imgsz // 16, 3)).astype(np.float32)
    image = cv2.resize(grid, (imgsz, imgsz), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(2, 6))):
        a, b = (tuple(int(v) for v in rng.integers(0, imgsz, 2)) for _ in range(2))
        cv2.line(image, a, b, _colour(rng), int(rng.integers(1, 3)))
    return image


def _colour(rng: np.random.Generator) -> tuple[float, ...]:
    return tuple(float(v) for v in rng.uniform(0, 255, 3))


def _free_spot(
    rng: np.random.Generator, imgsz: int, side: float, taken: list[tuple[float, float, float]]
) -> tuple[float, float] | None:
    """A centre (x, y) where a square of this side overlaps no other; None if no such centre was found."""
    for _ in range(TRIES):
        x, y = (float(v) for v in rng.uniform(side / 2 + 1, imgsz - side / 2 - 1, 2))
        if all(max(abs(x - u), abs(y - v)) > (side + s) / 2 + 2 for u, v, s in taken):
            return x, y
    return None


def _contrast(rng: np.random.Generator, ground: np.ndarray) -> tuple[float, ...]:
    """A colour that differs from its background by at least CONTRAST grey levels in one channel."""
    while True:
        colour = _colour(rng)
        if max(abs(c - g) for c, g in zip(colour, ground, strict=True)) >= CONTRAST:
            return colour


def _publish(work: Path, folder: Path) -> None:
    try:
        work.rename(folder)
    except OSError:
        if not folder.exists():  # else another process was first, and its copy has the same bytes
            raise
