"""The tasks that can be searched, and what sets them apart: their heads, their labels and the number that is improved.

Imports nothing heavy: configuration is checked with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas_attn.errors import UserError


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: as Ultralytics calls it.
        heads: the last row's module of a base model that a search can train.
        objective: what is improved, in words.
        letter: the one that Ultralytics puts behind this metric's name.
        example: a base model of this task.
        labels: what its label files hold.
    """

    name: str
    heads: tuple[str, ...]
    objective: str
    letter: str
    example: str
    labels: str

    @property
    def map50_95(self) -> str:
        """Ultralytics' key of the objective."""
        return f"metrics/mAP50-95({self.letter})"

    @property
    def map50(self) -> str:
        """Ultralytics' key of the same at one threshold."""
        return f"metrics/mAP50({self.letter})"


TASKS = {
    task.name: task
    for task in (
        Task("detect", ("Detect", "v10Detect"), "box mAP50-95", "B", "yolo11n.yaml", "boxes"),
        Task("segment", ("Segment", "Segment26"), "mask mAP50-95", "M", "yolo11n-seg.yaml", "polygons"),
        Task("pose", ("Pose", "Pose26"), "keypoint mAP50-95", "P", "yolo11n-pose.yaml", "keypoints"),
        Task("obb", ("OBB", "OBB26"), "oriented box mAP50-95", "B", "yolo11n-obb.yaml", "oriented boxes"),
    )
}


def others(task: str) -> str:
    """Base models of the other tasks, and what labels these take, for messages."""
    return ", ".join(f"{t.example} for {t.labels}" for t in TASKS.values() if t.name != task)


def searched_task(head: str, where: str = "") -> Task:
    """The task of a head that a search can train.

    Args:
        head: name of the last row's module.
        where: the base model, for the message.

    Raises:
        UserError: no search trains this head; it still builds, takes slots, and is counted.
    """
    for task in TASKS.values():
        if head in task.heads:
            return task
    heads = ", ".join(h for task in TASKS.values() for h in task.heads)
    examples = ", ".join(task.example for task in TASKS.values())
    raise UserError(
        f"a search needs a base model whose head is one of {heads}",
        got=f"'{head}'",
        where=where,
        remedy=f"Search on a model such as {examples}; `slots` and `cost` take this one too.",
    )
