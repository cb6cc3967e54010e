"""Ultralytics' own trainers, with checkpoints that are whole or absent, and with our modules in processes of DDP.

A process that Ultralytics starts for a further GPU unpickles its trainer by the name of its class. Because the class
stands in this file, the process imports this package. The training itself and its files are Ultralytics' own.
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
    """Writes a checkpoint under another name first: Ultralytics overwrites last.pt, and a crash would leave a part."""

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
    """Boxes."""


class WholeSegmentationTrainer(_WholeCheckpoints, SegmentationTrainer):
    """Instance masks."""


class WholePoseTrainer(_WholeCheckpoints, PoseTrainer):
    """Keypoints."""


class WholeOBBTrainer(_WholeCheckpoints, OBBTrainer):
    """Oriented boxes."""


class WholeRTDETRTrainer(_WholeCheckpoints, RTDETRTrainer):
    """Boxes, of an RT-DETR head."""


def trainer_of(head: str, task: str) -> type:
    """The trainer of a head's module name and task."""
    tasks = {
        "detect": WholeDetectionTrainer,
        "segment": WholeSegmentationTrainer,
        "pose": WholePoseTrainer,
        "obb": WholeOBBTrainer,
    }
    return WholeRTDETRTrainer if head == "RTDETRDecoder" else tasks[task]


class CarriedModules:
    """A callback that does nothing when called: a process that unpickles it registers the user's own modules.

    Args:
        sources: contents of module files.
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
