"""The model YAMLs that the installed Ultralytics ships."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from nas_attn.detector.model_yaml import HEADS, read_yaml
from nas_attn.errors import MissingPart


@lru_cache(maxsize=1)
def packaged() -> dict[str, Path]:
    """stem -> file of the model YAMLs that the installed package has."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPart("Ultralytics is not installed: pip install ultralytics")
    folder = Path(spec.submodule_search_locations[0]) / "cfg" / "models"
    return {p.stem: p for p in sorted(folder.rglob("*.yaml"))}


def near(stem: str) -> Iterator[str]:
    """Names of the package's detectors, at the scale that the user meant."""
    named = re.search(r"\d([nsmlx])", stem)
    yield from detectors(named[1] if named else "n")


def detectors(scale: str = "n") -> Iterator[str]:
    """Names of every base model that the installed Ultralytics ships, as `load_base` takes them.

    Args:
        scale: of those that have more than one.
    """
    for name, path in packaged().items():
        source = read_yaml(path)
        if source["head"][-1][2] in HEADS:
            many = len(source.get("scales") or ()) > 1
            yield re.sub(r"(\d+)", rf"\g<1>{scale}", name, count=1) if many else name
