"""Small archives like those of public data sets, and a fake network that serves only them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import cv2
import numpy as np
import small_data_sets

JPEG = cv2.imencode(".jpg", np.zeros((64, 48, 3), np.uint8))[1].tobytes()


class Network:
    """Replaces `requests.get`: finds an archive by the end of its URL, and answers "not found" to all other URLs.

    Attributes:
        asked: the URLs that were asked for.
        before: called with each URL before it is answered.
        cut: answer with half of each archive, as if the connection broke.
    """

    def __init__(self, archives: dict[str, bytes]) -> None:
        self.archives = archives
        self.asked: list[str] = []
        self.before: Callable[[str], None] = lambda url: None
        self.cut = False

    def __call__(self, url: str, **options: Any) -> Response:
        self.asked.append(url)
        self.before(url)
        data = self.archives.get(url.rpartition("/")[2])
        return Response(404, b"", 0) if data is None else Response(200, data[: len(data) // (1 + self.cut)], len(data))


class Response:
    """The parts of a `requests` response that Ultralytics reads."""

    def __init__(self, status: int, data: bytes, length: int) -> None:
        self.status_code, self._data = status, data
        self.headers = {"Content-Length": str(length)}
        self.raw = self

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            error = ConnectionError(f"{self.status_code} Not Found")
            error.response = self  # type: ignore[attr-defined]
            raise error

    def stream(self, size: int, **options: Any):
        for start in range(0, len(self._data), size):
            yield self._data[start : start + size]


def zipped(files: Mapping[str, bytes | str]) -> bytes:
    """An archive with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def coco128(folder: Path) -> dict[str, bytes]:
    """One archive that needs no conversion."""
    small_data_sets.coco128(folder / "coco128")
    files = {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*.*")}
    return {"coco128.zip": zipped(files)}


def coco(folder: Path) -> dict[str, bytes]:
    """One archive with labels and image lists, and separate archives with images."""
    small_data_sets.coco(folder / "coco")
    root = folder / "coco"
    found = {"coco2017labels-segments.zip": {str(f.relative_to(folder)): f.read_bytes() for f in root.rglob("*.txt")}}
    for split in ("train2017", "val2017"):
        images = (root / "images" / split).iterdir()
        found[f"{split}.zip"] = {f"{split}/{f.name}": f.read_bytes() for f in images}
    return {name: zipped(files) for name, files in found.items()}


def voc(folder: Path) -> dict[str, bytes]:
    """Annotations as XML; one of three objects is marked as difficult."""
    found: dict[str, dict[str, bytes | str]] = {}
    for archive, year, sets in (
        ("VOCtrainval_06-Nov-2007.zip", 2007, ("train", "val")),
        ("VOCtest_06-Nov-2007.zip", 2007, ("test",)),
        ("VOCtrainval_11-May-2012.zip", 2012, ("train", "val")),
    ):
        files = found.setdefault(archive, {})
        for number, name in enumerate(sets):
            ids = [f"{year}_{name}_{n}" for n in range(2)]
            files[f"VOCdevkit/VOC{year}/ImageSets/Main/{name}.txt"] = "\n".join(ids) + "\n"
            for i in ids:
                files[f"VOCdevkit/VOC{year}/JPEGImages/{i}.jpg"] = JPEG + bytes([number])
                files[f"VOCdevkit/VOC{year}/Annotations/{i}.xml"] = _annotation()
    return {name: zipped(files) for name, files in found.items()}


def _annotation() -> str:
    box = "<bndbox><xmin>5</xmin><ymin>10</ymin><xmax>25</xmax><ymax>50</ymax></bndbox>"
    objects = "".join(
        f"<object><name>{escape(name)}</name><difficult>{difficult}</difficult>{box}</object>"
        for name, difficult in (("dog", 0), ("tvmonitor", 0), ("cat", 1))
    )
    return f"<annotation><size><width>48</width><height>64</height></size>{objects}</annotation>"


def visdrone(folder: Path) -> dict[str, bytes]:
    """Annotations in pixels, with ignored regions (score 0)."""
    rows = "5,10,20,30,1,4,0,0\n0,0,48,64,0,0,0,0\n3,3,9,0,1,1,0,0\n"
    return {
        f"VisDrone2019-DET-{split}.zip": zipped(
            {f"VisDrone2019-DET-{split}/images/{n}.jpg": JPEG for n in range(2)}
            | {f"VisDrone2019-DET-{split}/annotations/{n}.txt": rows for n in range(2)}
        )
        for split in ("train", "val", "test-dev")
    }
