"""Ultralytics' own trainers, with atomic checkpoints, and with our modules in the processes of DDP.

For each further GPU, Ultralytics starts a process that unpickles the trainer by the name of its class. The class is
defined in this file, so the process imports this package. The training and its files are not changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.obb import OBBTrainer
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer

from nas_attn.attention import user

if TYPE_CHECKING:
    from collections.abc import Iterable


class _WholeCheckpoints:
    """A mixin that writes a checkpoint under another name first: a crash cannot leave a partial last.pt."""

    best: Path
    last: Path

    def save_model(self) -> bool:
        last, best = self.last, self.best
        self.last, self.best = last.with_suffix(".part"), best.with_suffix(".part")
        try:
            saved: bool = super().save_model()  # type: ignore[misc]
            for part, whole in ((self.best, best), (self.last, last)):
                if saved and part.exists():
                    part.replace(whole)
        finally:
            self.last, self.best = last, best
        return saved


class WholeDetectionTrainer(_WholeCheckpoints, DetectionTrainer):
    """The trainer for boxes."""


class WholeSegmentationTrainer(_WholeCheckpoints, SegmentationTrainer):
    """The trainer for instance masks."""


class WholePoseTrainer(_WholeCheckpoints, PoseTrainer):
    """The trainer for keypoints."""


class WholeOBBTrainer(_WholeCheckpoints, OBBTrainer):
    """The trainer for oriented boxes."""


class WholeRTDETRTrainer(_WholeCheckpoints, RTDETRTrainer):
    """The trainer for boxes with an RT-DETR head."""


def trainer_of(head: str, task: str) -> type:
    """The trainer class for a head.

    Args:
        head: name of the head's module.
        task: its task.
    """
    tasks = {
        "detect": WholeDetectionTrainer,
        "segment": WholeSegmentationTrainer,
        "pose": WholePoseTrainer,
        "obb": WholeOBBTrainer,
    }
    return WholeRTDETRTrainer if head == "RTDETRDecoder" else tasks[task]


class CarriedModules:
    """A callback that carries the user's own modules: a process that unpickles it registers them.

    Args:
        sources: contents of the module files.
    """

    def __init__(self, sources: Iterable[user.Source]) -> None:
        self.sources = tuple(sources)

    def __call__(self, trainer: Any) -> None:
        """Do nothing; unpickling this callback has registered the modules."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (self.sources,)


def _arrive(sources: tuple[user.Source, ...]) -> CarriedModules:
    user.ensure(sources)
    return CarriedModules(sources)
