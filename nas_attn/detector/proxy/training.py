"""One proxy training, of a model or of a group, from its first step to its scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn
from ultralytics.models.yolo.obb import OBBTrainer
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer

from nas_attn.detector.proxy.group import Group
from nas_attn.detector.proxy.group_trainer import GroupTrainer
from nas_attn.detector.proxy.job import Job
from nas_attn.detector.proxy.trainer import ProxyTrainer
from nas_attn.errors import EvaluationFailed

STOCK = {"segment": SegmentationTrainer, "pose": PoseTrainer, "obb": OBBTrainer}


def train(model: nn.Module, job: Job, folder: Path) -> ProxyTrainer:
    """Train a model, and return its trainer, which can `evaluate` and must be closed.

    Args:
        model, job, folder: as `ProxyTrainer` takes them.

    Raises:
        EvaluationFailed: the memory is not enough, the loss is not finite, or the model does not fit its input.
    """
    trainer: ProxyTrainer = _trainer_of(ProxyTrainer, job.info.task)(model, job, folder)
    _fit(trainer)
    return trainer


def train_group(group: Group, job: Job, folder: Path, stop_above: Sequence[dict[int, float]] = ()) -> GroupTrainer:
    """Train a group, and return its trainer, which can `evaluate_member` and must be closed.

    Args:
        group, job, folder: as `GroupTrainer` takes them.
        stop_above: for each detector: epoch -> training loss in it above which it leaves the group after this epoch;
            empty for no early stops.

    Raises:
        EvaluationFailed: no detector has a finite loss, or none fits its input.
        TooLarge: the memory is not enough.
    """
    trainer: GroupTrainer = _trainer_of(GroupTrainer, job.info.task)(group, job, folder)
    trainer.limits = list(stop_above) or trainer.limits
    _fit(trainer)
    return trainer


@lru_cache
def _trainer_of(kind: type[ProxyTrainer], task: str) -> Any:
    """The class of a task's trainer. Ultralytics' own derives from its detection trainer, so it comes after ours."""
    return type(f"{task.title()}{kind.__name__}", (kind, STOCK[task]), {}) if task in STOCK else kind


def _fit(trainer: ProxyTrainer) -> None:
    reason = ""
    try:
        trainer.train()
    except (RuntimeError, ValueError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    finally:
        if reason or trainer.curve_is_short:
            trainer.close()
    if reason:  # raised here, outside `except`: otherwise the traceback keeps the model and its loaders alive
        raise EvaluationFailed(reason)
