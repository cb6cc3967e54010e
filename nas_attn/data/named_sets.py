"""The data sets that the installed Ultralytics knows by name, such as `coco128.yaml`."""

from __future__ import annotations

import difflib
import importlib.util
import re
from functools import lru_cache
from pathlib import Path

NO_NAMES = ("data", "dataset", "custom")  # usual names of users' own files: never a misspelt known name


@lru_cache(maxsize=1)
def packaged_data() -> dict[str, Path]:
    """File name -> file of the data sets that the installed package describes; empty if it is not installed."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(spec.submodule_search_locations[0]) / "cfg" / "datasets"
    return {p.name: p.resolve() for p in sorted(folder.glob("*.yaml"))}


def is_packaged(path: str | Path) -> bool:
    """True if a file is one of these, and not another of the same name."""
    own = packaged_data().get(Path(path).name)
    return own is not None and Path(path).absolute() in (own, own.absolute())


def located(data: str | Path) -> Path:
    """The file that `--data` means: a path that exists, else a known name's, else the path as it is."""
    path = Path(data)
    known = packaged_data().get(str(data))
    return known if known is not None and not exists(path) else path


def meant(data: str, folder: Path) -> str:
    """The form of `data` that a study keeps, so that it means the same in whatever folder the study is continued.

    Args:
        data: a path, or a known name.
        folder: the folder that the path is relative to.

    Returns:
        The absolute path, or the name if there is no such file.
    """
    path = folder / data
    if not exists(path) and data in packaged_data():
        return data
    try:
        return str(path.resolve())
    except (OSError, ValueError):  # no path at all: the code that reads it says so
        return data


def near(data: str | Path) -> str | None:
    """The known name that a wrong one was probably meant to be, if any."""
    stem = Path(data).name.removesuffix(".yaml").removesuffix(".yml")
    if stem.lower() in NO_NAMES:
        return None
    known = {name.removesuffix(".yaml").lower(): name for name in packaged_data()}
    close = difflib.get_close_matches(stem.lower(), known, n=1, cutoff=0.75)
    return known[close[0]] if close else None


def size(path: Path) -> str:
    """The size of a download, from a comment in Ultralytics' own file, e.g. `2.8 GB`; empty if there is none."""
    found = re.search(r"downloads here \(([^)\n]*)\)", path.read_text(encoding="utf-8"))
    return found[1] if found else ""


def exists(path: Path) -> bool:
    """True if the path exists; False also for a name that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
