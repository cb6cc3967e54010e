"""The image paths that a data.yaml names, by Ultralytics' rules. It only reads, without torch and OpenCV."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nas_attn.atomic_files import is_file
from nas_attn.data.labels import label_path
from nas_attn.data.named_sets import is_packaged, located, near
from nas_attn.environment import datasets_folder
from nas_attn.errors import ConfigError, DataError, UserError
from nas_attn.safe_yaml import parse_yaml

IMAGE_SUFFIXES = frozenset(
    ("avif", "bmp", "dng", "heic", "heif", "jp2", "jpeg", "jpeg2000", "jpg", "mpo", "png", "tif", "tiff", "webp")
)
OTHER_IMAGES = frozenset(("exr", "gif", "hdr", "ico", "jfif", "pbm", "pgm", "ppm", "psd", "svg", "tga"))
SPLITS = ("train", "val", "test")
WINDOWS = re.compile(r"[A-Za-z]:[\\/]|.*\\")
NO_YAML = "Write one with `train`, `val` and `names`, as Ultralytics reads it."


def load(data: str | Path) -> tuple[Path, dict[str, Any]]:
    """(the data.yaml, its content).

    Args:
        data: a path, or the name of a data set that Ultralytics knows.

    Raises:
        ConfigError: there is no such file, or its content is no mapping.
    """
    path = located(data)
    if not is_file(path):
        close = near(data)
        rule = "data must be an existing data.yaml file, or a data set that Ultralytics knows by name"
        remedy = f"Did you mean '{close}'?" if close else NO_YAML
        raise ConfigError([DataError(rule, got=short(path), remedy=remedy)])
    try:
        spec = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, OSError, ValueError) as error:  # ValueError: bytes that are not text
        reason = " ".join(str(error).split())
        raise ConfigError([DataError("data.yaml must be valid YAML", got=reason, where=str(path))]) from None
    if not isinstance(spec, dict):
        rule, got = "data.yaml must hold keys and values", type(spec).__name__
        raise ConfigError([DataError(rule, got=got, where=str(path), remedy=NO_YAML)])
    return path, spec


def entry_of(spec: dict[str, Any], split: str) -> Any:
    """The entry of a data.yaml for a split; None if there is none. `validation` is another key for `val`."""
    return spec.get(split) or (spec.get("validation") if split == "val" else None)


def root_of(spec: dict[str, Any], path: Path) -> Path:
    """The folder that the entries of a data.yaml are relative to.

    Args:
        spec: content of the data.yaml.
        path: the data.yaml.

    Raises:
        ConfigError: the key `path` is no possible path.
    """
    given = spec.get("path")
    if not given:
        return path.resolve().parent
    rule, remedy = "`path` must be a folder that can exist", "Leave it out if the images lie next to data.yaml."
    if not isinstance(given, str):
        raise ConfigError([DataError(rule, got=short(given), where=str(path), remedy=remedy)])
    try:
        root = Path(given)
        return root.resolve() if root.is_absolute() or root.exists() else (datasets_folder() / root).resolve()
    except (OSError, ValueError):  # too long, or characters that no path may have
        raise ConfigError([DataError(rule, got=short(given), where=str(path), remedy=remedy)]) from None


def images_of(
    entry: Any,
    split: str,
    root: Path,
    path: Path,
    problems: list[UserError],
    spec: Mapping[str, Any] | None = None,
    skipped: Counter[str] | None = None,
) -> tuple[str, ...]:
    """The image paths of a split, sorted.

    Args:
        entry: the entry of the data.yaml for the split.
        split: name of the split.
        root: the folder that the entry is relative to.
        path: the data.yaml.
        problems: receives a `DataError` for each mistake.
        spec: content of the data.yaml, for the advice in these.
        skipped: receives the suffixes of images that Ultralytics does not take for images.
    """
    found: list[str] = []
    where = f"`{split}` of {path}"
    count = len(problems)
    many = isinstance(entry, list)
    for item in entry if many else [entry]:
        try:
            found += _listed(item, root, again=not many)
        except FileNotFoundError as error:
            remedy = whole_again(root) if is_packaged(path) else _advice(item, spec or {})
            problems.append(DataError("an image folder must exist", got=short(error), where=where, remedy=remedy))
        except (OSError, TypeError, ValueError):
            rule = "a split must name folders, or text files with one image path per line"
            problems.append(DataError(rule, got=short(item), where=where))
    if skipped is not None:
        skipped.update(s for f in found if (s := f.rpartition(".")[-1].lower()) in OTHER_IMAGES)
    images = tuple(sorted(f.replace("/", os.sep) for f in found if is_image(f)))
    if not images and len(problems) == count:
        remedy = whole_again(root) if is_packaged(path) else ""
        problems.append(DataError("a split must hold at least one image", got="none", where=where, remedy=remedy))
    return images


def _advice(item: Any, spec: Mapping[str, Any]) -> str:
    """The remedy for a folder that does not exist."""
    given = str(spec.get("path") or "")
    if os.sep == "/" and any(WINDOWS.match(str(text)) for text in (item, given)):
        return "This is a path of Windows. Write it with / and as this system has it."
    if not given:
        return "Correct the path. It is relative to the folder of data.yaml, because the file has no `path`."
    if Path(given).is_absolute():
        return f"Correct the path. It is relative to `path`, which is '{given}'."
    return (
        f"`path: {given}` is looked for in the working directory, then in {datasets_folder()} (Ultralytics' "
        "`datasets_dir`). If the images lie next to data.yaml, leave `path` out."
    )


def whole_again(root: Path) -> str:
    """The remedy for an incomplete data set that Ultralytics knows by name."""
    return f"Complete the data set, or move {root} away, so that it is downloaded again."


def stamp(data: str | Path) -> str:
    """A digest of the sizes and times of all files that `check_data` reads; it changes if one of them changes.

    Raises:
        ConfigError: the data.yaml cannot be read.
    """
    path, spec = load(data)
    digest = hashlib.sha256(path.read_bytes())
    for split in SPLITS:
        entry = entry_of(spec, split)
        for image in images_of(entry, split, root_of(spec, path), path, []) if entry else ():
            for file in (image, label_path(image)):
                stat = os.stat(file) if is_file(file) else None  # noqa: PTH116 (half the time of `Path.stat`)
                digest.update(
                    f"{split}\0{file}\0{stat and (stat.st_size, stat.st_mtime_ns)}\0".encode(errors="surrogateescape")
                )
    return digest.hexdigest()


def is_image(name: str) -> bool:
    """True if a file's suffix is that of an image."""
    return name.rpartition(".")[-1].lower() in IMAGE_SUFFIXES


def short(value: Any, limit: int = 200) -> str:
    """The value in quotes, shortened for a message."""
    text = repr(str(value))
    return text if len(text) <= limit else f"{text[:limit]}...'"


def _listed(item: Any, root: Path, *, again: bool) -> list[str]:
    """The files that one item of a split's entry names.

    Args:
        item: a folder, or a text file with image paths.
        root: the folder that it is relative to.
        again: True if `../x` may also mean `x`, as in Ultralytics for an entry that is no list.

    Raises:
        FileNotFoundError: the path does not exist; the text of the error is the path.
        OSError, TypeError, ValueError: the item is no possible path, or the file is no list of images.
    """
    if not isinstance(item, str):
        raise TypeError(item)
    place = (root / item).resolve()
    if again and not place.exists() and item.startswith("../"):
        place = (root / item[3:]).resolve()
    if place.is_dir():
        pattern = str(Path(glob.escape(str(place))) / "**" / "*.*")
        return glob.glob(pattern, recursive=True)  # noqa: PTH207 (as Ultralytics: through links, not hidden files)
    if not place.is_file():
        raise FileNotFoundError(str(place))
    if is_image(item):
        raise ValueError(item)
    lines = map(str.strip, place.read_text(encoding="utf-8-sig").split("\n"))
    return [str(place.parent / line[2:]) if line.startswith("./") else line for line in lines]
