"""The result of a large data set's check, kept until one of its files changes: COCO's labels take half a minute.

Ultralytics keeps such a file beside the labels; ours lie in this user's cache.
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

FORMAT = 1
LARGE = 2000  # images; fewer are read anew each time, which takes less than half a second
KEPT = 16  # data sets


def find(key: str) -> dict[str, Any] | None:
    """The arguments of a `DataInfo` that was kept; None if there is none of use.

    Args:
        key: names the task, the data.yaml and the state of all its files, so it changes with each of them.
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
            "labels": LabelFormat(**{k: _tuple(v) for k, v in found["labels"].items()}),
            "keypoints": Keypoints(**{k: _tuple(v) for k, v in pose.items()}) if pose else None,
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep(found: Mapping[str, Any], key: str) -> None:
    """Keep the arguments of a `DataInfo` if the data set is large; if that fails, the next check takes longer."""
    if found["train"] + found["val"] + found["test"] < LARGE:
        return
    file = _file(key)
    pose = found["keypoints"]
    values = {**found, "path": str(found["path"]), "labels": vars(found["labels"])}
    values["keypoints"] = vars(pose) if pose else None
    with contextlib.suppress(OSError, UserError):
        text = json.dumps(values, ensure_ascii=False)
        write_bytes_atomic(file, text.encode(errors="surrogateescape"))  # names need not be text
        for old in sorted(file.parent.iterdir(), key=lambda f: f.stat().st_mtime_ns)[:-KEPT]:
            old.unlink(missing_ok=True)


def _file(key: str) -> Path:
    name = hashlib.sha256(f"{FORMAT} {__version__} {key}".encode(errors="surrogateescape")).hexdigest()[:24]
    return cache_root() / "data" / f"{name}.json"


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
