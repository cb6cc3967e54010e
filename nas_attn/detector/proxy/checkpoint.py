"""The checkpoint file from which an interrupted proxy training continues."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from nas_attn.atomic_files import write_bytes_atomic

FORMAT = 1


def save(path: Path, key: str, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically: after a crash there is the old file or the new one, never a part.

    Args:
        path: the file.
        key: identifies the training that the state belongs to; `load` returns the state only for the same key.
        state: tensors and plain data.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "key": key, **state}, buffer)
    write_bytes_atomic(path, buffer.getvalue())


def load(path: Path, key: str) -> dict[str, Any] | None:
    """The state that `save` wrote with this key; None if the file is missing, unreadable, or has another key."""
    if not zipfile.is_zipfile(path):  # torch's format; on other content the unpickler may raise any error
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError):
        return None
    if not isinstance(content, dict) or (content.get("format"), content.get("key")) != (FORMAT, key):
        return None
    return content
