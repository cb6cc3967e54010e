"""The image paths that a data.yaml names, by Ultralytics' rules. Reads only; needs neither torch nor OpenCV."""

from __future__ import annotations

import glob
import hashlib
import os
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
SPLITS = ("train", "val", "test")
NO_YAML = "Write one with `train`, `val` and `names`, as Ultralytics reads it."


def load(data: str | Path) -> tuple[Path, dict[str, Any]]:
    """The file that a path or a name of Ultralytics' own means, and its content.

    Raises:
        ConfigError: there is no such file, or it is not a mapping.
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
    """The entry of a data.yaml for a split."""
    return spec.get(split) or (spec.get("validation") if split == "val" else None)


def root_of(spec: dict[str, Any], path: Path) -> Path:
    """The folder that the splits are relative to."""
    given = spec.get("path")
    if not given:
        return path.resolve().parent
    rule, remedy = "`path` must be a folder that can exist", "Leave it out where the images lie beside data.yaml."
    if not isinstance(given, str):
        raise ConfigError([DataError(rule, got=short(given), where=str(path), remedy=remedy)])
    try:
        root = Path(given)
        return root.resolve() if root.is_absolute() or root.exists() else (datasets_folder() / root).resolve()
    except (OSError, ValueError):  # too long, or characters that no path may have
        raise ConfigError([DataError(rule, got=short(given), where=str(path), remedy=remedy)]) from None


def images_of(entry: Any, split: str, root: Path, path: Path, problems: list[UserError]) -> tuple[str, ...]:
    """The image paths of a split, sorted.

    Args:
        entry: the data.yaml's entry for it.
        split: its name.
        root: the folder that the entry is relative to.
        path: the data.yaml.
        problems: receives a `DataError` for each mistake.
    """
    found: list[str] = []
    where = f"`{split}` of {path}"
    count = len(problems)
    many = isinstance(entry, list)
    for item in entry if many else [entry]:
        try:
            found += _listed(item, root, again=not many)
        except FileNotFoundError as error:
            remedy = "Correct the path; it is relative to `path`, or to data.yaml's own folder where `path` is absent."
            remedy = whole_again(root) if is_packaged(path) else remedy
            problems.append(DataError("an image folder must exist", got=short(error), where=where, remedy=remedy))
        except (OSError, TypeError, ValueError):
            rule = "a split must name folders, or text files with an image path a line"
            problems.append(DataError(rule, got=short(item), where=where))
    images = tuple(sorted(f.replace("/", os.sep) for f in found if is_image(f)))
    if not images and len(problems) == count:
        remedy = whole_again(root) if is_packaged(path) else ""
        problems.append(DataError("a split must hold at least one image", got="none", where=where, remedy=remedy))
    return images


def whole_again(root: Path) -> str:
    """The remedy for a data set of Ultralytics' own that is not whole."""
    return f"Complete the data set, or move {root} away: it is downloaded anew where there is nothing."


def stamp(data: str | Path) -> str:
    """A digest of the sizes and times of all files that `check_data` reads: it changes when one of them does.

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
    """The files that one entry of a split means.

    Args:
        item: the entry.
        root: the folder that it is relative to.
        again: True if `../x` may also mean `x`, as Ultralytics allows for an entry that is not a list.

    Raises:
        FileNotFoundError: there is nothing at that path, which is the error's text.
        OSError, TypeError, ValueError: the entry cannot be a path, or the file there is not a list.
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
