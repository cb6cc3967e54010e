"""The result of one trial."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from nas_attn.detector.proxy.recipe import STOPPED

SPLIT = "group split"  # flag of architectures whose group was too large for the memory


@dataclass(frozen=True)
class Evaluation:
    """The result of one training of one architecture at one fidelity with one seed, as plain data.

    Attributes:
        map50_95: mAP over IoU 0.50 to 0.95 on val after the last epoch that was trained, in [0, 1]. It is the mAP of
            the task: of boxes, masks, oriented boxes, or keypoints (with object keypoint similarity instead of IoU).
        map50: mAP at IoU 0.50 on val, in [0, 1].
        curve: one dict per epoch: `epoch` (from 1), `loss` (mean over the steps, the sum of the parts), `lr`, the parts
            (`box_loss`, `cls_loss`, `dfl_loss`, ... as Ultralytics names them); of a validated epoch also `map50_95`,
            `map50`, `map75`, `precision`, `recall` and the parts of the loss on val (`val_box_loss`, ...).
        seconds: wall time of the whole evaluation; it includes `steps_seconds` and `val_seconds`.
        seed: the seed.
        epochs: passes over the training data of a run that is not stopped early.
        imgsz: image size in pixels.
        steps_seconds: wall time of the training steps.
        val_seconds: wall time of the validation.
        flags: reasons why the run is not comparable (`batch halved`, `nan reload`, ...); empty if it is comparable.
        test_map50_95: `map50_95` on the test split, if it was asked for.
        liveness: slot -> mAP50-95 with the output of that slot zeroed, if it was asked for.
        recipe: batch, optimizer, learning rate, augmentation: everything that must be equal in compared runs.
        device: e.g. `cpu` or `NVIDIA H200`.
        precision: `fp32` or `bf16`.
        versions: package -> version.
        transferred: share of the base's tensors that the model took from the weights, if weights were given.
        task: `detect`, `segment`, `pose` or `obb`.
        together: of one of several architectures that were trained in one run: `group` (its id), `size` (number of
            architectures), `rows` (number of first rows of the model that they had in common). The wall times are those
            of the run, divided by `size`.
        scores: split (`val`; `test`, if it was asked for) -> its figures after the last epoch: `map50_95`, `map50`,
            `precision` and `recall` (at the confidence with the highest F1), and `classes` (name of a class with
            objects in the split -> its AP50-95). Earlier releases recorded none.
        zeroed: slot -> the same figures on val with the output of that slot zeroed, if `liveness` was asked for.
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
    together: dict[str, Any] | None = None
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    zeroed: dict[str, dict[str, Any]] | None = None

    @property
    def comparable(self) -> bool:
        """True if the run has no flags, so that it may be compared with the other runs of its study."""
        return not self.flags

    @property
    def stopped(self) -> int | None:
        """The epoch after which the run was stopped early; None if it was not, or if it has other flags, too."""
        flag = self.flags[0] if len(self.flags) == 1 else ""
        number = flag.removeprefix(STOPPED)
        return int(number) if flag.startswith(STOPPED) and number.isdecimal() else None

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as a JSON-ready dictionary; `from_dict` reads it back."""
        return {**asdict(self), "curve": list(self.curve), "flags": list(self.flags)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Evaluation:
        """The evaluation that `as_dict` wrote; unknown fields, e.g. of a later version, are ignored."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**{**known, "curve": tuple(data["curve"]), "flags": tuple(data["flags"])})
