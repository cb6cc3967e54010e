"""The table of tasks and the table of heads, which decide the task of a model.

Imports no other library: configuration is checked with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas_attn.errors import UserError


@dataclass(frozen=True)
class Task:
    """A task that is searched and trained for.

    Attributes:
        name: as Ultralytics calls it.
        measured: the kind of object that the mAP is of.
        letter: the letter behind this mAP's names in the results of Ultralytics' trainer.
        metrics: the attribute of Ultralytics' metrics that holds this mAP.
        labels: the content of its label files.
        example: a base model of this task.
    """

    name: str
    measured: str
    letter: str
    metrics: str
    labels: str
    example: str

    @property
    def objective(self) -> str:
        """The number that a search improves, in words."""
        return f"{self.measured} mAP50-95"

    @property
    def map50_95(self) -> str:
        """Ultralytics' key of the objective."""
        return f"metrics/mAP50-95({self.letter})"

    @property
    def map50(self) -> str:
        """Ultralytics' key of the mAP of the same objects at IoU 0.5."""
        return f"metrics/mAP50({self.letter})"


@dataclass(frozen=True)
class Head:
    """The module of a model's last row.

    Attributes:
        name: as a model YAML has it.
        task: name of its task; `semantic` and `depth` are in no `Task`, as they have no mAP.
        model: name of Ultralytics' class of a model with this head.
        searched: True if a search can train it.
        open_vocabulary: True if it is trained with texts in place of a fixed list of classes.
    """

    name: str
    task: str
    model: str
    searched: bool = False
    open_vocabulary: bool = False

    @property
    def trained(self) -> bool:
        """True if a full training can train it: a superset of `searched`."""
        return self.task in TASKS and not self.open_vocabulary


TASKS = {
    task.name: task
    for task in (
        Task("detect", "box", "B", "box", "boxes", "yolo11n.yaml"),
        Task("segment", "mask", "M", "seg", "polygons", "yolo11n-seg.yaml"),
        Task("pose", "keypoint", "P", "pose", "keypoints", "yolo11n-pose.yaml"),
        Task("obb", "oriented box", "B", "box", "oriented boxes", "yolo11n-obb.yaml"),
    )
}
HEADS = {
    head.name: head
    for head in (
        Head("Detect", "detect", "DetectionModel", searched=True),
        Head("v10Detect", "detect", "DetectionModel", searched=True),
        Head("RTDETRDecoder", "detect", "RTDETRDetectionModel"),
        Head("WorldDetect", "detect", "WorldModel", open_vocabulary=True),
        Head("YOLOEDetect", "detect", "YOLOEModel", open_vocabulary=True),
        Head("Segment", "segment", "SegmentationModel", searched=True),
        Head("Segment26", "segment", "SegmentationModel", searched=True),
        Head("YOLOESegment", "segment", "YOLOESegModel", open_vocabulary=True),
        Head("YOLOESegment26", "segment", "YOLOESegModel", open_vocabulary=True),
        Head("Pose", "pose", "PoseModel", searched=True),
        Head("Pose26", "pose", "PoseModel", searched=True),
        Head("OBB", "obb", "OBBModel", searched=True),
        Head("OBB26", "obb", "OBBModel", searched=True),
        Head("SemanticSegment", "semantic", "SemanticSegmentationModel"),
        Head("Depth", "depth", "DepthModel"),
    )
}


def others(task: str) -> str:
    """Base models of the other tasks, each with the labels that it takes, for messages."""
    return ", ".join(f"{t.example} for {t.labels}" for t in TASKS.values() if t.name != task)


def searched_task(head: str, where: str = "") -> Task:
    """The task of a head that a search can train.

    Args:
        head: name of the last row's module.
        where: the base model, for the message.

    Raises:
        UserError: no search trains this head; it still builds, takes slots, and is counted.
    """
    if head in HEADS and HEADS[head].searched:
        return TASKS[HEADS[head].task]
    heads = ", ".join(h.name for h in HEADS.values() if h.searched)
    examples = ", ".join(task.example for task in TASKS.values())
    raise UserError(
        f"a search needs a base model whose head is one of {heads}",
        got=f"'{head}'",
        where=where,
        remedy=f"Search on a model such as {examples}; `slots` and `cost` take this one too.",
    )
