"""The arguments of one proxy training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas_attn.data.check import DataInfo
from nas_attn.data.image_cache import ImageStore
from nas_attn.detector.proxy.recipe import Recipe


@dataclass(frozen=True)
class Job:
    """All arguments of one proxy training except its model.

    Attributes:
        info: the checked data set.
        stores: split -> its images at `imgsz`.
        recipe: how to train.
        epochs, imgsz, fraction: the fidelity.
        seed: data order, augmentation and every other random draw.
        device: `cpu`, `cuda` or `cuda:0`.
        precision: `fp32` or `bf16`.
        workers: loader processes; none on the CPU.
        key: names this training in its checkpoint, so that no other one continues from it.
        checkpoint: the checkpoint file, if any.
        checkpoint_seconds: least time between two checkpoints.
        after_epoch: called with the number of finished epochs, after a due checkpoint is on disk.
    """

    info: DataInfo
    stores: dict[str, ImageStore]
    recipe: Recipe
    epochs: int
    imgsz: int
    seed: int
    fraction: float = 1.0
    device: str = "cpu"
    precision: str = "fp32"
    workers: int = 0
    key: str = ""
    checkpoint: Path | None = None
    checkpoint_seconds: float = 30.0
    after_epoch: Callable[[int], None] | None = field(default=None, compare=False)

    def overrides(self, folder: Path) -> dict[str, Any]:
        """Ultralytics' training arguments; `folder` is empty and may be deleted afterwards."""
        return {
            "model": "nas_attn.yaml",
            "data": str(self.info.path),
            "epochs": self.epochs,
            "imgsz": self.imgsz,
            "seed": self.seed,
            "device": self.device,
            "workers": self.workers,
            "save_dir": str(folder),
            "save": False,
            "val": bool(self.recipe.val_every),
            "plots": False,
            "verbose": False,
            "deterministic": True,
            "amp": False,  # the trainer does bf16 itself: Ultralytics' check of amp needs a download
            "end2end": False,  # yolo26 is scored with its one-to-many head; newer versions do so by default
            **self.recipe.arguments(),
        }

    @property
    def data(self) -> dict[str, Any]:
        """The data set in the form that Ultralytics' trainers take."""
        return {
            **{split: list(files) for split, files in self.info.files.items()},
            "nc": self.info.nc,
            "names": dict(enumerate(self.info.names)),
            "channels": 3,
            "path": self.info.path.parent,
            "yaml_file": str(self.info.path),
            **(self.info.keypoints.as_dict() if self.info.keypoints else {}),
        }
