"""The data sets that the installed Ultralytics knows by name, such as `coco128.yaml`."""

from __future__ import annotations

import difflib
import importlib.util
import re
from functools import lru_cache
from pathlib import Path

NO_NAMES = ("data", "dataset", "custom")  # what everybody's own file is called: never a slip for a known name


@lru_cache(maxsize=1)
def packaged_data() -> dict[str, Path]:
    """File name -> file of the data sets that the installed package describes; empty where there is no such package."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(spec.submodule_search_locations[0]) / "cfg" / "datasets"
    return {p.name: p.resolve() for p in sorted(folder.glob("*.yaml"))}


def is_packaged(path: str | Path) -> bool:
    """Whether a file is one of these, and not another of the same name."""
    own = packaged_data().get(Path(path).name)
    return own is not None and Path(path).absolute() in (own, own.absolute())


def located(data: str | Path) -> Path:
    """The file that `--data` means: a path that exists, else a known name's, else the path as it is."""
    path = Path(data)
    known = packaged_data().get(str(data))
    return known if known is not None and not exists(path) else path


def meant(data: str, folder: Path) -> str:
    """What a study keeps of `data`, so that it means the same wherever the study is continued.

    Args:
        data: a path, or a known name.
        folder: what the path is relative to.

    Returns:
        The absolute path, or the name where there is no such file.
    """
    path = folder / data
    if not exists(path) and data in packaged_data():
        return data
    try:
        return str(path.resolve())
    except (OSError, ValueError):  # no path that a file system takes: whoever reads it says so
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
    """What a download takes, as Ultralytics' own file says in a comment, e.g. `2.8 GB`; empty where it does not."""
    found = re.search(r"downloads here \(([^)\n]*)\)", path.read_text(encoding="utf-8"))
    return found[1] if found else ""


def exists(path: Path) -> bool:
    """Whether there is something; False for what no file can be called."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
