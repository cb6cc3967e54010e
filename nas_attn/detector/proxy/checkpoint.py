"""The state from which a broken-off training continues, written whole or not at all."""

from __future__ import annotations

import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch

FORMAT = 1


def save(path: Path, key: str, state: dict[str, Any]) -> None:
    """Write a state atomically.

    Args:
        path: the file.
        key: what the state belongs to; `load` gives it to nobody else.
        state: tensors and plain data.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save({"format": FORMAT, "key": key, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def load(path: Path, key: str) -> dict[str, Any] | None:
    """The state that `save` wrote under this key; None where there is none, or it is another's or unreadable."""
    if not zipfile.is_zipfile(path):  # torch's own format; anything else may raise anything in the unpickler
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError):
        return None
    if not isinstance(content, dict) or (content.get("format"), content.get("key")) != (FORMAT, key):
        return None
    return content
