"""The image cache: decoded images of a split at one size, in a memory-mapped file for all workers of a machine."""

from __future__ import annotations

import hashlib
import itertools
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from filelock import FileLock

from nas_attn.data.labels import DETECT, LabelFormat, Labels, label_path, read_label
from nas_attn.errors import DataError

FORMAT = 2
GIB = 2**30
NAMED = 20  # most images that an error names


class ImageStore:
    """Images of one size, as Ultralytics' `load_image` returns them, with their original sizes and their objects.

    Attributes:
        files: image paths; the index of an image is its place here.
        original: (n, 2), heights and widths before resizing, in pixels.
        classes: one array (m, 1) float32 per image.
        boxes: one array (m, 4) float32 per image: centre x, y, width, height, normalised.
        form: format of the labels; its task decides whether there are `segments` or `keypoints`.
        mapped: True if images come from the memory-mapped file; False if image files are read each time.
    """

    def __init__(self, folder: Path, files: Sequence[str], imgsz: int, form: LabelFormat = DETECT) -> None:
        with np.load(folder / "index.npz") as file:
            index = dict(file)
        self._folder = folder
        self.files = tuple(files)
        self.imgsz = imgsz
        self.form = form
        self.original = index["original"]
        self._resized = index["resized"]
        self._starts = np.concatenate(([0], np.cumsum(np.prod(self._resized, axis=1, dtype=np.int64) * 3)))
        self._objects = np.concatenate(([0], np.cumsum(index["counts"])))
        ends = self._objects[1:-1]
        self.classes = np.split(index["classes"], ends)
        self.boxes = np.split(index["boxes"], ends)
        if form.polygons:
            self._points = index["points"]
            self._outlines = np.concatenate(([0], np.cumsum(index["lengths"])))
        self._keypoints = np.split(index["keypoints"], ends) if form.task == "pose" else None
        images = folder / "images.bin"
        self.mapped = images.exists()
        self._bytes = np.memmap(images, np.uint8, mode="r") if self.mapped else None

    def __len__(self) -> int:
        return len(self.files)

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickle has the paths, not the images: each loader process gets one, on systems that do not fork."""
        return ImageStore, (self._folder, self.files, self.imgsz, self.form)

    def image(self, i: int) -> np.ndarray:
        """Image `i` as a new uint8 array (height, width, 3), BGR, with a long side of `imgsz` pixels."""
        if self._bytes is None:
            found = _read(self.files[i], self.imgsz)
            if found is None:
                raise _unreadable([self.files[i]])
            return found[0]
        height, width = self._resized[i]
        return np.array(self._bytes[self._starts[i] : self._starts[i + 1]]).reshape(height, width, 3)

    def segments(self, i: int) -> list[np.ndarray]:
        """Outlines (k, 2) of the objects in image `i`, as views; empty if the task does not need them."""
        if not self.form.polygons:
            return []
        bounds = self._outlines[self._objects[i] : self._objects[i + 1] + 1]
        return [self._points[a:b] for a, b in itertools.pairwise(bounds)]

    def keypoints(self, i: int) -> np.ndarray | None:
        """Keypoints (m, keypoints, 3) of the objects in image `i`, as a view; None if the task has none."""
        return None if self._keypoints is None else self._keypoints[i]


def open_store(
    files: Sequence[str],
    imgsz: int,
    cache: Path,
    *,
    cap: int = 4 * GIB,
    threads: int = 1,
    form: LabelFormat = DETECT,
) -> ImageStore:
    """The store of some images; it is built first if no process on this machine has built it.

    Args:
        files: absolute image paths; `label_path` gives their label files.
        imgsz: long side after resizing, in pixels.
        cache: folder for stores; nothing is written outside it.
        cap: largest size of the decoded images in bytes; above it they are not stored, and image files are read each
            time.
        threads: number of decoding threads.
        form: format of the label files.

    Raises:
        DataError: images cannot be read; the error names them.
    """
    folder = cache / f"images-{_key(files, imgsz, cap, form)}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                _build(files, imgsz, folder, cap, threads, form)
    return ImageStore(folder, files, imgsz, form)


def _key(files: Sequence[str], imgsz: int, cap: int, form: LabelFormat) -> str:
    digest = hashlib.sha256(f"{FORMAT} {imgsz} {cap} {form.task} {form.kpt_shape}".encode())
    for file in files:
        for path in (file, label_path(file)):
            stat = Path(path).stat() if Path(path).exists() else None
            digest.update(f"{path}\0{stat and (stat.st_size, stat.st_mtime_ns)}\0".encode())
    return digest.hexdigest()[:24]


def _build(files: Sequence[str], imgsz: int, folder: Path, cap: int, threads: int, form: LabelFormat) -> None:
    """Build a store in a temporary folder and rename it: a store is complete or absent."""
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        original, resized, written, unreadable = [], [], 0, list[str]()
        with (work / "images.bin").open("wb") as out, ThreadPoolExecutor(threads) as pool:
            for file, found in zip(files, _in_order(pool, files, imgsz, 4 * threads), strict=True):
                if found is None:
                    unreadable.append(file)
                if found is None or unreadable:
                    continue
                image, size = found
                original.append(size)
                resized.append(image.shape[:2])
                written += image.nbytes
                if written <= cap:
                    out.write(image.tobytes())
        if unreadable:
            raise _unreadable(unreadable)
        if written > cap:
            (work / "images.bin").unlink()
        labels = [_label(f, form) for f in files]
        index: dict[str, Any] = {
            "original": np.array(original, np.int64),
            "resized": np.array(resized, np.int64),
            "counts": np.array([len(found.classes) for found in labels], np.int64),
            "classes": np.concatenate([found.classes for found in labels]),
            "boxes": np.concatenate([found.boxes for found in labels]),
            **_shapes(labels, form),
        }
        np.savez(work / "index.npz", **index)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _in_order(
    pool: ThreadPoolExecutor, files: Sequence[str], imgsz: int, ahead: int
) -> Iterator[tuple[np.ndarray, tuple[int, int]] | None]:
    """(decoded image, original size), or None if it cannot be read, in order, with at most `ahead` images in memory."""
    for start in range(0, len(files), ahead):
        yield from pool.map(_read, files[start : start + ahead], [imgsz] * ahead)


def _read(file: str, imgsz: int) -> tuple[np.ndarray, tuple[int, int]] | None:
    """The image, resized by Ultralytics' rule to a long side of `imgsz` pixels, and its original (height, width).

    None if it cannot be read.
    """
    from ultralytics.utils.patches import imread

    image = imread(file, flags=cv2.IMREAD_COLOR)
    if image is None:
        return None
    height, width = image.shape[:2]
    ratio = imgsz / max(height, width)
    if ratio != 1:
        size = (min(math.ceil(width * ratio), imgsz), min(math.ceil(height * ratio), imgsz))
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return image, (height, width)


def _unreadable(files: Sequence[str]) -> DataError:
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    got = ", ".join(f"'{file}'" for file in files[:NAMED]) + more
    remedy = "Replace or remove them, then give the same command again."
    return DataError("images must be readable", got=got, remedy=remedy)


def _label(image: str, form: LabelFormat) -> Labels:
    path = Path(label_path(image))
    return read_label(path.read_text(encoding="utf-8-sig") if path.is_file() else "", form)


def _shapes(labels: Sequence[Labels], form: LabelFormat) -> dict[str, np.ndarray]:
    """The further arrays of the index: the points of all outlines and their numbers, or the keypoints."""
    if form.polygons:
        outlines = [outline for found in labels for outline in found.segments]
        return {
            "points": np.concatenate([np.zeros((0, 2), np.float32), *outlines]),
            "lengths": np.array([len(outline) for outline in outlines], np.int64),
        }
    if form.task == "pose":
        return {"keypoints": np.concatenate([found.keypoints for found in labels if found.keypoints is not None])}
    return {}
