"""The base model, data set and images that all trials of a process share. They are reloaded if a file changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.errors import UserError
from nas_attn.tasks import searched_task

if TYPE_CHECKING:
    from nas_attn.data.check import DataInfo
    from nas_attn.data.image_cache import ImageStore
    from nas_attn.data.labels import LabelFormat
    from nas_attn.detector.model.base_model import BaseModel
    from nas_attn.space import Slot


def edited_at(file: str) -> tuple[int, int] | None:
    """The size and the modification time of a file, which change if it is edited; None if there is no such file."""
    stat = Path(file).stat() if Path(file).is_file() else None
    return stat and (stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def base(
    model: str, width: float | None, nc: int, kpt_shape: tuple[int, int] | None, edited: object
) -> tuple[BaseModel, tuple[Slot, ...], int]:
    """The base model with its own head, all its slots, and its `reg_max`, from one build.

    Args:
        model: base model, as for `load_base`.
        width: width factor, or None.
        nc: number of classes of the data.
        kpt_shape: (keypoints, values per keypoint) of the data, or None.
        edited: another value means that the model file, or a file of the user's layers, was edited: it is loaded again.
    """
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import all_slots

    found = load_base(model, width=width).for_data(nc, kpt_shape)
    searched_task(found.head, found.name)
    built = found.build()
    return found, all_slots(found, built), int(built.model[-1].reg_max)


@lru_cache(maxsize=4)
def data(path: str, nc: int, task: str, edited: object) -> DataInfo:
    """The checked data set.

    Args:
        path: path of the data.yaml.
        nc: number of classes that the study has.
        task: `detect`, `segment`, `pose` or `obb`.
        edited: another value means that the data was edited, and is checked again.

    Raises:
        UserError: the data breaks a rule, or has another number of classes.
    """
    from nas_attn.data.check import check_data

    info = check_data(path, task)
    if info.nc != nc:
        raise UserError("the data must have the study's number of classes", got=f"{info.nc}, not {nc}", where=path)
    return info


@lru_cache(maxsize=64)
def fold(images: ImageStore, nc: int, folds: int, seed: int, groups: str | None) -> tuple[Sequence[int], Sequence[int]]:
    """The images for training and for validation of a seed, by their positions in a store.

    Args:
        images: the store of train and val together.
        nc: number of classes.
        folds: number of folds.
        seed: the seed.
        groups: regular expression for images that stay together; None if each stands alone.

    Raises:
        UserError: the folds are too many for the data, or the expression names no group.
    """
    from nas_attn.data.folds import group_names, split

    return split(group_names(images.files, groups), images.classes, nc, folds, seed)


@lru_cache(maxsize=8)
def store(
    files: tuple[str, ...], imgsz: int, cache: str, gib: float, threads: int, form: LabelFormat, edited: object
) -> Any:
    """The decoded images of one split.

    Args:
        files: the image files.
        imgsz: image size in pixels.
        cache: folder for decoded images.
        gib: if the decoded images need more GiB, they are not cached.
        threads: CPU threads that decode.
        form: format of the labels.
        edited: another value means that the data was edited, and is read again.
    """
    from nas_attn.data.image_cache import GIB, open_store

    return open_store(files, imgsz, Path(cache), cap=int(gib * GIB), threads=threads, form=form)
