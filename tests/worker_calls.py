"""Calls for worker processes: a spawned process must be able to import them."""

from __future__ import annotations

import os
import sys

from nas_attn.errors import DataError
from nas_attn.evaluate import Evaluation


def pinned() -> Evaluation:
    """An evaluation whose `versions` say what the process was pinned to, and whose `seed` is its process id."""
    versions = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
    versions["torch"] = "yes" if "torch" in sys.modules else "no"
    return Evaluation(0.0, 0.0, (), 0.0, seed=os.getpid(), epochs=1, imgsz=32, versions=versions)


def raise_data_error() -> Evaluation:
    """A mistake of the user's."""
    raise DataError("a folder must hold images", got="'none'", where="data.yaml")
