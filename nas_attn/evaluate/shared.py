"""Base, data and images that the trials of one process share: loaded once, and anew if a file was edited."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.errors import UserError
from nas_attn.tasks import searched_task

if TYPE_CHECKING:
    from nas_attn.data.check import DataInfo
    from nas_attn.data.labels import LabelFormat
    from nas_attn.detector.model.base_model import BaseModel
    from nas_attn.space import Slot


def edited_at(file: str) -> tuple[int, int] | None:
    """Another value whenever a file was edited; None for what is no file."""
    stat = Path(file).stat() if Path(file).is_file() else None
    return stat and (stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def base(
    model: str, width: float | None, nc: int, kpt_shape: tuple[int, int] | None, edited: object
) -> tuple[BaseModel, tuple[Slot, ...], int]:
    """The base with its own head, all its slots and its `reg_max`, from one build; anew if its file was edited."""
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import all_slots

    found = load_base(model, width=width).for_data(nc, kpt_shape)
    searched_task(found.head, found.name)
    built = found.build()
    return found, all_slots(found, built), int(built.model[-1].reg_max)


@lru_cache(maxsize=4)
def data(path: str, nc: int, task: str, edited: object) -> DataInfo:
    """The checked data; anew if its stamp has changed."""
    from nas_attn.data.check import check_data

    info = check_data(path, task)
    if info.nc != nc:
        raise UserError("the data must have the study's number of classes", got=f"{info.nc}, not {nc}", where=path)
    return info


@lru_cache(maxsize=8)
def store(
    files: tuple[str, ...], imgsz: int, cache: str, gib: float, threads: int, form: LabelFormat, edited: object
) -> Any:
    """The decoded images of one split; anew if its stamp has changed."""
    from nas_attn.data.image_cache import GIB, open_store

    return open_store(files, imgsz, Path(cache), cap=int(gib * GIB), threads=threads, form=form)
