"""The table of trackers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection
from pathlib import Path

from nas_attn.errors import MissingPart
from nas_attn.tracking.to_mlflow import ToMlflow
from nas_attn.tracking.to_tensorboard import ToTensorBoard
from nas_attn.tracking.to_wandb import ToWandb
from nas_attn.tracking.tracker import Tracker

TABLE: dict[str, Callable[[Path], Tracker]] = {"mlflow": ToMlflow, "tensorboard": ToTensorBoard, "wandb": ToWandb}


def trackers(names: Collection[str], folder: Path) -> list[Tracker]:
    """The trackers with these names, not connected yet.

    Args:
        names: keys of `TABLE`; each is also the name of the library.
        folder: the run folder of the study.

    Raises:
        MissingPart: a library is not installed.
    """
    if lacking := [name for name in names if not _installed(name)]:
        verb = "is" if len(lacking) == 1 else "are"
        remedy = f"run `pip install 'nas_attn[{','.join(lacking)}]'`, or leave out --track"
        raise MissingPart(f"{' and '.join(lacking)} {verb} not installed: {remedy}")
    return [TABLE[name](folder) for name in names]


def _installed(library: str) -> bool:
    """True for an installed library; a folder `wandb` or `mlflow` in the working directory is none."""
    found = importlib.util.find_spec(library)
    return found is not None and found.origin is not None
