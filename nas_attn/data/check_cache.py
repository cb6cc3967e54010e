"""The cache for checks of large data sets, valid until a file of the set changes: a check of COCO takes half a minute.

Ultralytics writes its cache files next to the labels; ours are in the cache folder of this user.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas_attn._version import __version__
from nas_attn.atomic_files import write_bytes_atomic
from nas_attn.data.keypoints import Keypoints
from nas_attn.data.labels import LabelFormat
from nas_attn.environment import cache_root
from nas_attn.errors import UserError

FORMAT = 3
LARGE = 2000  # least number of images for the cache; a smaller set is read in less than half a second
KEPT = 16  # largest number of data sets in the cache


def find(key: str) -> dict[str, Any] | None:
    """The arguments of a cached `DataInfo`; None if the cache has none, or a damaged one.

    Args:
        key: identifies the task, the data.yaml and the state of all its files; a change of any of them changes the key.
    """
    try:
        found = json.loads(_file(key).read_text(encoding="utf-8", errors="surrogateescape"))
        pose = found["keypoints"]
        return {
            **found,
            "path": Path(found["path"]),
            "names": tuple(found["names"]),
            "files": {split: tuple(files) for split, files in found["files"].items()},
            "notes": tuple(found["notes"]),
            "details": tuple(found["details"]),
            "of_class": {split: tuple(counts) for split, counts in found["of_class"].items()},
            "labels": LabelFormat(**{k: _tuple(v) for k, v in found["labels"].items()}),
            "keypoints": Keypoints(**{k: _tuple(v) for k, v in pose.items()}) if pose else None,
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep(found: Mapping[str, Any], key: str) -> None:
    """Put the arguments of a `DataInfo` into the cache if the data set is large.

    A failure is ignored, because it only makes the next check slower.

    Args:
        found: the arguments.
        key: as `find` takes it.
    """
    if found["train"] + found["val"] + found["test"] < LARGE:
        return
    file = _file(key)
    pose = found["keypoints"]
    values = {**found, "path": str(found["path"]), "labels": vars(found["labels"])}
    values["keypoints"] = vars(pose) if pose else None
    with contextlib.suppress(OSError, UserError):
        text = json.dumps(values, ensure_ascii=False)
        write_bytes_atomic(file, text.encode(errors="surrogateescape"))  # file names need not be valid text
        for old in sorted(file.parent.iterdir(), key=lambda f: f.stat().st_mtime_ns)[:-KEPT]:
            old.unlink(missing_ok=True)


def _file(key: str) -> Path:
    name = hashlib.sha256(f"{FORMAT} {__version__} {key}".encode(errors="surrogateescape")).hexdigest()[:24]
    return cache_root() / "data" / f"{name}.json"


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
