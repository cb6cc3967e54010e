"""A few drawn images in the layout of each data set that the shipped studies use, with the peculiarities of the set."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import yaml

from nas_attn.data.demo import draw
from nas_attn.data.named_sets import packaged_data

IMGSZ = 64
SIDES = ((8, 12), (14, 24), (30, 50))


def settings_in(folder: Path, datasets: Path, **more: str) -> Path:
    """A configuration folder (for `YOLO_CONFIG_DIR`) with the folder of data sets, and with further settings."""
    file = folder / "Ultralytics" / "settings.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"datasets_dir": str(datasets), **more}))
    return folder


def image(root: Path, split: str, number: int, classes: int, polygons: bool = False) -> str:
    """Write one image and its labels below `images/SPLIT` and `labels/SPLIT`; returns the image path below the root."""
    import cv2

    drawn, rows = draw("train", number, IMGSZ, SIDES, "segment" if polygons else "detect")
    name = f"{number:012d}"
    images, labels = root / "images" / split, root / "labels" / split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(images / f"{name}.jpg"), drawn)
    lines = [" ".join(map(str, (int(row[0]) * classes // 3, *row[1:]))) for row in rows]
    (labels / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    return f"images/{split}/{name}.jpg"


def _fill(root: Path, splits: Iterable[str], classes: int, count: int, polygons: bool = False) -> dict[str, list[str]]:
    return {
        split: [image(root, split, 100 * i + n, classes, polygons) for n in range(count)]
        for i, split in enumerate(splits)
    }


def coco128(root: Path) -> None:
    """One folder for both splits."""
    _fill(root, ["train2017"], 80, 8)


def coco(root: Path) -> None:
    """Lists of images, outlines as labels, images without labels, repeated rows, and a test list without images."""
    found = _fill(root, ["train2017", "val2017"], 80, 8, polygons=True)
    (root / "labels" / "train2017" / f"{0:012d}.txt").unlink()
    twice = root / "labels" / "train2017" / f"{1:012d}.txt"
    twice.write_text(twice.read_text() * 2)
    for split, files in found.items():
        (root / f"{split}.txt").write_text("".join(f"./{file}\n" for file in files))
    (root / "test-dev2017.txt").write_text("".join(f"./images/test2017/{n:012d}.jpg\n" for n in range(9)))


def voc(root: Path) -> None:
    """Lists of folders, some empty labels (only difficult objects), and archives that were not deleted."""
    _fill(root, ["train2012", "train2007", "val2012", "val2007", "test2007"], 20, 3)
    (root / "labels" / "train2007" / f"{100:012d}.txt").write_text("")
    (root / "images" / "VOCtest_06-Nov-2007.zip").write_bytes(b"no image")


def visdrone(root: Path) -> None:
    """Three folders; some boxes without height, as in the real set."""
    _fill(root, ["train", "val", "test"], 10, 8)
    flat = root / "labels" / "train" / f"{0:012d}.txt"
    flat.write_text(flat.read_text() + "3 0.5 0.5 0.01 0.0\n")


def bccd(root: Path) -> Path:
    """A data.yaml beside its images."""
    _fill(root, ["train", "val", "test"], 3, 8)
    spec = {f: f"images/{f}" for f in ("train", "val", "test")} | {"names": ["RBC", "WBC", "Platelets"]}
    (root / "data.yaml").write_text(yaml.safe_dump(spec))
    return root / "data.yaml"


MAKERS = {"coco128.yaml": coco128, "coco.yaml": coco, "VOC.yaml": voc, "VisDrone.yaml": visdrone}


def stand_in(data: str, datasets: Path) -> Path:
    """Write the data set of that name below `datasets`; returns its folder."""
    root = datasets / yaml.safe_load(packaged_data()[data].read_text())["path"]
    MAKERS[data](root)
    return root
