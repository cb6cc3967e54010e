"""The table of tasks and the table of heads, which decide the task of a model.

It imports no other library, because the checks of a configuration use it.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas_attn.errors import UserError


@dataclass(frozen=True)
class Task:
    """A task that searches and full trainings support.

    Attributes:
        name: Ultralytics' name of the task.
        measured: the kind of object that the mAP is computed on.
        letter: the letter in Ultralytics' key of this mAP, e.g. B in `metrics/mAP50-95(B)`.
        metrics: the attribute of Ultralytics' metrics that holds this mAP.
        labels: the content of the label files, in words.
        example: a base model of this task.
    """

    name: str
    measured: str
    letter: str
    metrics: str
    labels: str
    example: str

    @property
    def map50_95(self) -> str:
        """Ultralytics' key of the mAP over IoU 0.5 to 0.95."""
        return f"metrics/mAP50-95({self.letter})"

    @property
    def map50(self) -> str:
        """Ultralytics' key of the mAP at IoU 0.5, on the same kind of object."""
        return f"metrics/mAP50({self.letter})"

    @property
    def precision(self) -> str:
        """Ultralytics' key of the precision at the confidence with the highest F1, on the same kind of object."""
        return f"metrics/precision({self.letter})"

    @property
    def recall(self) -> str:
        """Ultralytics' key of the recall at the same confidence, on the same kind of object."""
        return f"metrics/recall({self.letter})"


@dataclass(frozen=True)
class Head:
    """The module of a model's last row.

    Attributes:
        name: the name in a model YAML.
        task: name of its task; `semantic` and `depth` have no entry in `TASKS`, because they have no mAP.
        model: name of Ultralytics' class for a model with this head.
        searched: True if a search can train it.
        open_vocabulary: True if it is trained with texts instead of a fixed list of classes.
    """

    name: str
    task: str
    model: str
    searched: bool = False
    open_vocabulary: bool = False

    @property
    def trained(self) -> bool:
        """True if a full training supports this head; every head with `searched` is among them."""
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
    """Text for messages: an example base model of each other task, with the labels that it needs."""
    return ", ".join(f"{t.example} for {t.labels}" for t in TASKS.values() if t.name != task)


def searched_task(head: str, where: str = "") -> Task:
    """The task of a head that a search can train.

    Args:
        head: name of the module in the last row.
        where: the base model, for the message.

    Raises:
        UserError: a search cannot train this head. Such a model can still be built, has slots, and its cost is counted.
    """
    if head in HEADS and HEADS[head].searched:
        return TASKS[HEADS[head].task]
    heads = ", ".join(h.name for h in HEADS.values() if h.searched)
    examples = ", ".join(task.example for task in TASKS.values())
    raise UserError(
        f"a search needs a base model whose head is one of {heads}",
        got=f"'{head}'",
        where=where,
        remedy=f"Search on a model such as {examples}. The commands `slots` and `cost` accept this model too.",
    )
