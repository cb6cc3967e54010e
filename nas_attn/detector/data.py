"""A data set in YOLO format, checked before anything is trained. Reads only; needs neither torch nor OpenCV."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nas_attn.detector.labels import check_label, label_path
from nas_attn.errors import ConfigError, DataError, UserError

IMAGE_SUFFIXES = frozenset(
    ("avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpeg2000", "jpg", "mpo", "png", "tif", "tiff", "webp")
)
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class DataInfo:
    """A checked data set.

    Attributes:
        path: its data.yaml.
        nc: number of classes.
        names: their names.
        train, val, test: images of each split; `test` is 0 where data.yaml names none.
        boxes: labelled boxes of each split.
        fingerprint: changes with the YAML, the images' names and sizes and the labels' text.
        files: split -> absolute image paths, sorted.
    """

    path: Path
    nc: int
    names: tuple[str, ...]
    train: int
    val: int
    test: int
    boxes: dict[str, int]
    fingerprint: str
    files: dict[str, tuple[str, ...]] = field(repr=False)


def check_data(path: str | Path) -> DataInfo:
    """Read a data.yaml and check everything that training on it will need.

    Args:
        path: the data.yaml. Folders in it are relative to its `path`, or to its own folder where `path` is absent.

    Raises:
        ConfigError: the YAML, a folder, an image list or a label breaks a rule; holds one `DataError` for each.
    """
    path = Path(path)
    spec = _load(path)
    problems: list[UserError] = []
    names = _names(spec, path, problems)
    root = _root(spec, path)
    digest = hashlib.sha256(path.read_bytes())
    files: dict[str, tuple[str, ...]] = {}
    boxes: dict[str, int] = {}
    for split in SPLITS:
        entry = spec.get(split) or (spec.get("validation") if split == "val" else None)
        if not entry:
            if split != "test":
                problems.append(_missing_split(split, path))
            continue
        files[split] = _images(entry, split, root, path, problems)
        boxes[split] = _labels(files[split], split, len(names), digest, problems)
    if problems:
        raise ConfigError(problems, where=str(path))
    return DataInfo(
        path=path.resolve(),
        nc=len(names),
        names=names,
        train=len(files["train"]),
        val=len(files["val"]),
        test=len(files.get("test", ())),
        boxes=boxes,
        fingerprint=digest.hexdigest(),
        files=files,
    )


def _load(path: Path) -> dict[str, Any]:
    remedy = "Write one with `train`, `val` and `names`, as Ultralytics reads it."
    if not path.is_file():
        raise ConfigError([DataError("data must be an existing data.yaml file", got=f"'{path}'", remedy=remedy)])
    try:
        spec = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError([DataError("data.yaml must be valid YAML", got=reason, where=str(path))]) from None
    if not isinstance(spec, dict):
        rule, got = "data.yaml must hold keys and values", type(spec).__name__
        raise ConfigError([DataError(rule, got=got, where=str(path), remedy=remedy)])
    return spec


def _names(spec: dict[str, Any], path: Path, problems: list[UserError]) -> tuple[str, ...]:
    """Class names; where they are wrong, as many as the larger count, so that labels are still checked."""
    names, nc = spec.get("names"), spec.get("nc")
    if names is not None and not isinstance(names, list | dict):
        problems.append(DataError("`names` must be a list or a mapping", got=type(names).__name__, where=str(path)))
        names = None
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            got = ", ".join(map(str, list(names)[:8]))
            problems.append(DataError("`names` must have the keys 0 to nc-1", got=got, where=str(path)))
        names = list(names.values())
    if nc is not None and (isinstance(nc, bool) or not isinstance(nc, int) or nc < 1):
        problems.append(DataError("`nc` must be a whole number of at least 1", got=repr(nc), where=str(path)))
        nc = None
    if not names and nc is None:
        problems.append(DataError("data.yaml must name its classes", where=str(path), remedy="Add `names: [...]`."))
        return ()
    if names and nc is not None and len(names) != nc:
        remedy = "Make `names` and `nc` agree, or leave `nc` out."
        problems.append(DataError("`nc` must equal the number of names", got=f"nc {nc}, {len(names)} names",
                                  where=str(path), remedy=remedy))  # fmt: skip
    known = [str(n) for n in names or ()]
    return tuple(known + [f"class_{i}" for i in range(len(known), nc or 0)])


def _root(spec: dict[str, Any], path: Path) -> Path:
    """The folder that the splits are relative to, by Ultralytics' rules."""
    if not spec.get("path"):
        return path.resolve().parent
    root = Path(str(spec["path"]))
    if root.is_absolute() or root.exists():
        return root.resolve()
    return (_datasets_folder() / root).resolve()


def _datasets_folder() -> Path:
    """Ultralytics' `datasets_dir` setting, without importing Ultralytics."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    settings = Path(config) / "Ultralytics" / "settings.json"
    try:
        return Path(json.loads(settings.read_text(encoding="utf-8"))["datasets_dir"])
    except (OSError, ValueError, KeyError):
        return Path("datasets")


def _missing_split(split: str, path: Path) -> DataError:
    remedy = f"Add `{split}: images/{split}`."
    return DataError(f"data.yaml must name the `{split}` images", where=str(path), remedy=remedy)


def _images(entry: Any, split: str, root: Path, path: Path, problems: list[UserError]) -> tuple[str, ...]:
    found: list[str] = []
    where = f"`{split}` of {path}"
    absent = False
    for item in entry if isinstance(entry, list) else [entry]:
        place = (root / str(item)).resolve()
        if not place.exists() and str(item).startswith("../"):
            place = (root / str(item)[3:]).resolve()
        if place.is_dir():
            pattern = str(Path(glob.escape(str(place))) / "**" / "*.*")
            found += glob.glob(pattern, recursive=True)  # noqa: PTH207 (as Ultralytics: through links, not hidden files)
        elif place.is_file():
            lines = place.read_text(encoding="utf-8-sig").split("\n")
            found += [str(place.parent / line[2:]) if line.startswith("./") else line for line in map(str.strip, lines)]
        else:
            absent = True
            remedy = "Correct the path; it is relative to `path`, or to data.yaml's own folder where `path` is absent."
            problems.append(DataError("an image folder must exist", got=f"'{place}'", where=where, remedy=remedy))
    images = tuple(sorted(f for f in found if f.rpartition(".")[-1].lower() in IMAGE_SUFFIXES))
    if not images and not absent:
        problems.append(DataError("a split must hold at least one image", got="none", where=where))
    return images


def _labels(images: tuple[str, ...], split: str, nc: int, digest: Any, problems: list[UserError]) -> int:
    """Number of boxes; feeds the fingerprint, and adds one problem for each kind of mistake."""
    boxes = 0
    faults: dict[str, list[str]] = {}
    for image in images:
        file = Path(label_path(image))
        text = file.read_text(encoding="utf-8-sig", errors="replace") if file.is_file() else ""
        size = Path(image).stat().st_size if Path(image).is_file() else -1
        digest.update(f"{split}\0{Path(image).name}\0{size}\0{text}\0".encode())
        if size < 0:
            faults.setdefault("a listed image must exist", []).append(image)
        boxes += sum(bool(line.strip()) for line in text.splitlines())
        for rule, got, line in check_label(text, nc):
            faults.setdefault(rule, []).append(f"{got} ({file}:{line})")
    for rule, places in faults.items():
        more = f", and {len(places) - 3} more" if len(places) > 3 else ""
        got = "; ".join(places[:3]) + more
        problems.append(DataError(rule, got=got, where=f"the {split} labels", remedy="Correct or remove these."))
    if images and not boxes:
        expected = label_path(images[0])
        remedy = f"Labels are text files in a `labels` folder beside `images`, e.g. {expected}."
        problems.append(DataError(f"the {split} images must have labels", got="none", remedy=remedy))
    return boxes
