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

from nas_attn.detector.keypoints import NO_FLIP, Keypoints, check_keypoints, kpt_shape
from nas_attn.detector.labels import DETECT, LabelFormat, check_label, label_path
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
        train, val, test: images of each split; `test` is 0 where there is none of use.
        boxes: labelled boxes of each split.
        fingerprint: changes with the YAML, the images' names and sizes and the labels' text.
        files: split -> absolute image paths, sorted.
        notes: what is no mistake but should be known, e.g. why a `test` split that data.yaml names is left out.
        labels: how the label files are read, the task among it.
        keypoints: the keypoints, where the task is `pose`.
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
    notes: tuple[str, ...] = ()
    labels: LabelFormat = DETECT
    keypoints: Keypoints | None = None

    @property
    def task(self) -> str:
        """The task that the data was checked for."""
        return self.labels.task

    @property
    def kpt_shape(self) -> tuple[int, int] | None:
        """What the head of a pose model must predict; None for other tasks."""
        return self.keypoints.shape if self.keypoints else None

    @property
    def mirrored(self) -> bool:
        """Whether training may flip images left to right."""
        return self.keypoints is None or self.keypoints.flip is not None


def check_data(path: str | Path, task: str = "detect") -> DataInfo:
    """Read a data.yaml and check everything that training on it will need.

    Args:
        path: the data.yaml. Folders in it are relative to its `path`, or to its own folder where `path` is absent.
        task: `detect`, `segment`, `pose` or `obb`: what the labels must be.

    Raises:
        ConfigError: the YAML, a folder, an image list or a label breaks a rule; holds one `DataError` for each.
    """
    path = Path(path)
    spec = _load(path)
    problems: list[UserError] = []
    names = _names(spec, path, problems)
    keypoints = check_keypoints(spec, str(path), problems) if task == "pose" else None
    form = LabelFormat(task, keypoints.shape if keypoints else None if task == "pose" else kpt_shape(spec))
    root = _root(spec, path)
    digest = hashlib.sha256(path.read_bytes())
    if task != "detect":  # the same files are other data then
        digest.update(f"\0{task}\0".encode())
    files: dict[str, tuple[str, ...]] = {}
    boxes: dict[str, int] = {}
    notes = [NO_FLIP] if keypoints and keypoints.flip is None else []
    for split in SPLITS:
        entry = _entry(spec, split)
        if not entry:
            if split != "test":
                problems.append(_missing_split(split, path))
            continue
        lacks: list[UserError] = []  # nothing to test on is no mistake, labels that mean nothing are one
        images = _images(entry, split, root, path, lacks)
        ahead = digest.copy()
        count = _labels(images, split, len(names), form, ahead, problems, lacks)
        if split == "test" and lacks:
            notes.append(f"`test` is left out: {' '.join(map(str, lacks))}")
            continue
        problems += lacks
        digest, files[split], boxes[split] = ahead, images, count
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
        notes=tuple(notes),
        labels=form,
        keypoints=keypoints,
    )


def stamp(path: str | Path) -> str:
    """Another one whenever what `check_data` would read has changed, by the sizes and times of files.

    Raises:
        ConfigError: the data.yaml is none.
    """
    path = Path(path)
    spec = _load(path)
    digest = hashlib.sha256(path.read_bytes())
    for split in SPLITS:
        entry = _entry(spec, split)
        for image in _images(entry, split, _root(spec, path), path, []) if entry else ():
            for file in (image, label_path(image)):
                stat = os.stat(file) if _is_file(file) else None  # noqa: PTH116 (half the time of `Path.stat`)
                digest.update(
                    f"{split}\0{file}\0{stat and (stat.st_size, stat.st_mtime_ns)}\0".encode(errors="surrogateescape")
                )
    return digest.hexdigest()


def _entry(spec: dict[str, Any], split: str) -> Any:
    return spec.get(split) or (spec.get("validation") if split == "val" else None)


def _load(path: Path) -> dict[str, Any]:
    remedy = "Write one with `train`, `val` and `names`, as Ultralytics reads it."
    if not _is_file(path):
        raise ConfigError([DataError("data must be an existing data.yaml file", got=_short(path), remedy=remedy)])
    try:
        spec = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, OSError, ValueError) as error:  # ValueError: bytes that are no text, a date that is none
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
        whole = all(type(key) is int for key in names)
        if not whole or sorted(names) != list(range(len(names))):
            got = ", ".join(map(repr, list(names)[:8]))
            problems.append(DataError("`names` must have the keys 0 to nc-1", got=got, where=str(path)))
        names = [names[key] for key in (sorted(names) if whole else names)]
    if wrong := [n for n in names or () if not isinstance(n, str | int | float)]:
        problems.append(DataError("each of `names` must be a name", got=repr(wrong[0]), where=str(path)))
    if nc is not None and (isinstance(nc, bool) or not isinstance(nc, int) or nc < 1):
        problems.append(DataError("`nc` must be a whole number of at least 1", got=repr(nc), where=str(path)))
        nc = None
    if not names and nc is None:
        problems.append(DataError("data.yaml must name its classes", where=str(path), remedy="Add `names: [...]`."))
        return ()
    if names is not None and nc is not None and len(names) != nc:
        remedy = "Make `names` and `nc` agree, or leave `nc` out."
        problems.append(DataError("`nc` must equal the number of names", got=f"nc {nc}, {len(names)} names",
                                  where=str(path), remedy=remedy))  # fmt: skip
    known = [str(n) for n in names or ()]
    return tuple(known + [f"class_{i}" for i in range(len(known), nc or 0)])


def _root(spec: dict[str, Any], path: Path) -> Path:
    """The folder that the splits are relative to, by Ultralytics' rules."""
    given = spec.get("path")
    if not given:
        return path.resolve().parent
    rule, remedy = "`path` must be a folder that can exist", "Leave it out where the images lie beside data.yaml."
    if not isinstance(given, str):
        raise ConfigError([DataError(rule, got=_short(given), where=str(path), remedy=remedy)])
    try:
        root = Path(given)
        return root.resolve() if root.is_absolute() or root.exists() else (_datasets_folder() / root).resolve()
    except (OSError, ValueError):  # too long, or no text that a file system takes
        raise ConfigError([DataError(rule, got=_short(given), where=str(path), remedy=remedy)]) from None


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
    count = len(problems)
    for item in entry if isinstance(entry, list) else [entry]:
        try:
            found += _listed(item, root)
        except FileNotFoundError as error:
            remedy = "Correct the path; it is relative to `path`, or to data.yaml's own folder where `path` is absent."
            problems.append(DataError("an image folder must exist", got=_short(error), where=where, remedy=remedy))
        except (OSError, TypeError, ValueError):
            rule = "a split must name folders, or text files with an image path a line"
            problems.append(DataError(rule, got=_short(item), where=where))
    images = tuple(sorted(f for f in found if _is_image(f)))
    if not images and len(problems) == count:
        problems.append(DataError("a split must hold at least one image", got="none", where=where))
    return images


def _listed(item: Any, root: Path) -> list[str]:
    """The files that one entry of a split stands for.

    Raises:
        FileNotFoundError: there is nothing at that place, which is the error's text.
        OSError, TypeError, ValueError: the entry cannot be a place, or what is there is no list.
    """
    if not isinstance(item, str):
        raise TypeError(item)
    place = (root / item).resolve()
    if not place.exists() and item.startswith("../"):
        place = (root / item[3:]).resolve()
    if place.is_dir():
        pattern = str(Path(glob.escape(str(place))) / "**" / "*.*")
        return glob.glob(pattern, recursive=True)  # noqa: PTH207 (as Ultralytics: through links, not hidden files)
    if not place.is_file():
        raise FileNotFoundError(str(place))
    if _is_image(item):
        raise ValueError(item)
    lines = map(str.strip, place.read_text(encoding="utf-8-sig").split("\n"))
    return [str(place.parent / line[2:]) if line.startswith("./") else line for line in lines]


def _is_image(name: str) -> bool:
    return name.rpartition(".")[-1].lower() in IMAGE_SUFFIXES


def _is_file(path: str | Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 (`Path.is_file` raises for a name that no file can have)


def _short(value: Any, limit: int = 200) -> str:
    """The value as a message can hold it."""
    text = repr(str(value))
    return text if len(text) <= limit else f"{text[:limit]}...'"


def _labels(
    images: tuple[str, ...],
    split: str,
    nc: int,
    form: LabelFormat,
    digest: Any,
    problems: list[UserError],
    lacks: list[UserError],
) -> int:
    """Number of objects; feeds the fingerprint; adds a problem for each kind of mistake, to `lacks` for no labels."""
    boxes = 0
    faults: dict[str, list[str]] = {}
    for image in images:
        file = Path(label_path(image))
        text = ""
        if _is_file(file):
            try:
                text = file.read_text(encoding="utf-8-sig", errors="replace")
            except OSError as error:
                faults.setdefault("a label file must be readable", []).append(f"{file} ({error.strerror})")
        size = Path(image).stat().st_size if _is_file(image) else -1
        digest.update(f"{split}\0{Path(image).name}\0{size}\0{text}\0".encode(errors="surrogateescape"))
        if size < 0:
            faults.setdefault("a listed image must exist", []).append(_short(image))
        boxes += sum(bool(line.strip()) for line in text.splitlines())
        for rule, got, line in check_label(text, nc, form):
            faults.setdefault(rule, []).append(f"{got} ({file}:{line})")
    for rule, places in faults.items():
        more = f", and {len(places) - 3} more" if len(places) > 3 else ""
        got = "; ".join(places[:3]) + more
        remedy = form.remedy if rule == form.rule else "Correct or remove these."
        problems.append(DataError(rule, got=got, where=f"the {split} labels", remedy=remedy))
    if images and not boxes:
        expected = label_path(images[0])
        remedy = f"Labels are text files in a `labels` folder beside `images`, e.g. {expected}."
        lacks.append(DataError(f"the {split} images must have labels", got="none", remedy=remedy))
    return boxes
