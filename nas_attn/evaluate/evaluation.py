"""The result of one trial."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """The result of one training of one architecture at one fidelity with one seed. Plain data: JSON and back.

    Attributes:
        map50_95: the task's own mAP averaged over IoU 0.50 to 0.95 on val after the last epoch, in [0, 1]: of boxes,
            masks, keypoints (object keypoint similarity in place of IoU) or oriented boxes.
        map50: mAP at IoU 0.50 on val.
        curve: one dict an epoch: `epoch` (from 1), `loss`, `lr`, and `map50_95` if that epoch was validated.
        seconds: wall seconds of the whole evaluation; `steps_seconds` and `val_seconds` are parts of it.
        seed: the seed.
        epochs: passes over the training data.
        imgsz: image size in pixels.
        flags: the reasons why it is not comparable (`batch halved`, `nan reload`, ...); empty for a comparable run.
        test_map50_95: `map50_95` on the test split, if it was asked for.
        liveness: slot -> mAP50-95 with that slot's output zeroed, if it was asked for.
        recipe: batch, optimizer, learning rate, augmentation: everything that must be equal to compare.
        device: e.g. `cpu` or `NVIDIA H200`.
        precision: `fp32` or `bf16`.
        versions: package -> version.
        transferred: share of the base's tensors that were carried over, if weights were given.
        task: `detect`, `segment`, `pose` or `obb`: the task whose mAPs these are.
    """

    map50_95: float
    map50: float
    curve: tuple[dict[str, float], ...]
    seconds: float
    seed: int
    epochs: int
    imgsz: int
    steps_seconds: float = 0.0
    val_seconds: float = 0.0
    flags: tuple[str, ...] = ()
    test_map50_95: float | None = None
    liveness: dict[str, float] | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    precision: str = "fp32"
    versions: dict[str, str] = field(default_factory=dict)
    transferred: float | None = None
    task: str = "detect"

    @property
    def comparable(self) -> bool:
        """True if nothing happened that sets this run apart from the others of its study."""
        return not self.flags

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` reads it back."""
        return {**asdict(self), "curve": list(self.curve), "flags": list(self.flags)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Evaluation:
        """The evaluation that `as_dict` wrote; further fields of a later version are passed over."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**{**known, "curve": tuple(data["curve"]), "flags": tuple(data["flags"])})
