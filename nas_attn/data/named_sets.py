"""The data sets that the installed Ultralytics knows by name, such as `coco128.yaml`."""

from __future__ import annotations

import difflib
import importlib.util
import re
from functools import lru_cache
from pathlib import Path

NO_NAMES = ("data", "dataset", "custom")  # usual names of users' own files: no known name is suggested for them


@lru_cache(maxsize=1)
def packaged_data() -> dict[str, Path]:
    """File name -> data.yaml, for each data set of the installed Ultralytics; empty if it is not installed."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(spec.submodule_search_locations[0]) / "cfg" / "datasets"
    return {p.name: p.resolve() for p in sorted(folder.glob("*.yaml"))}


def is_packaged(path: str | Path) -> bool:
    """True if a file is a data.yaml of the installed Ultralytics; False for another file of the same name."""
    own = packaged_data().get(Path(path).name)
    return own is not None and Path(path).absolute() in (own, own.absolute())


def located(data: str | Path) -> Path:
    """The file that `--data` means: an existing path, else the file of a known name, else the path as given."""
    path = Path(data)
    known = packaged_data().get(str(data))
    return known if known is not None and not exists(path) else path


def meant(data: str, folder: Path) -> str:
    """The form of `data` that a study stores, so that it means the same when the study continues in another folder.

    Args:
        data: a path, or a known name.
        folder: the folder that the path is relative to.

    Returns:
        The absolute path; the name, if it is a known one and no such file exists.
    """
    path = folder / data
    if not exists(path) and data in packaged_data():
        return data
    try:
        return str(path.resolve())
    except (OSError, ValueError):  # not a possible path; the code that reads it reports that
        return data


def near(data: str | Path) -> str | None:
    """The known name that is most similar to a wrong name; None if no name is similar."""
    stem = Path(data).name.removesuffix(".yaml").removesuffix(".yml")
    if stem.lower() in NO_NAMES:
        return None
    known = {name.removesuffix(".yaml").lower(): name for name in packaged_data()}
    close = difflib.get_close_matches(stem.lower(), known, n=1, cutoff=0.75)
    return known[close[0]] if close else None


def size(path: Path) -> str:
    """The size of a download, e.g. `2.8 GB`, from a comment in Ultralytics' file; empty if there is none."""
    found = re.search(r"downloads here \(([^)\n]*)\)", path.read_text(encoding="utf-8"))
    return found[1] if found else ""


def large(text: str) -> bool:
    """True if a size of a download, as `size` gives it, is 1 GB or more."""
    found = re.search(r"([\d.]+) ?GB", text)
    return found is not None and float(found[1]) >= 1


def exists(path: Path) -> bool:
    """True if the path exists; False also for a path that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
