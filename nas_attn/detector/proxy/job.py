"""The arguments of one proxy training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        chosen: split -> positions of its images in its store; a split that is not named has all of them.
        recipe: the settings of the training.
        epochs, imgsz, fraction: the fidelity; `imgsz` in pixels, `fraction` of the training images in (0, 1].
        seed: decides data order, augmentation and every other random draw.
        device: `cpu`, `cuda` or `cuda:0`.
        precision: `fp32` or `bf16`.
        workers: number of loader processes; 0 on the CPU.
        key: identifies this training in its checkpoint, so that no other training continues from it.
        checkpoint: the checkpoint file; None for a training without one.
        checkpoint_seconds: least number of seconds between two checkpoints.
        stop_above: epoch -> mean training loss in it above which the training ends after it, with a flag.
        after_epoch: is called with the number of finished epochs; if a checkpoint is due, it is written before.
    """

    info: DataInfo
    stores: dict[str, ImageStore]
    recipe: Recipe
    epochs: int
    imgsz: int
    seed: int
    chosen: Mapping[str, Sequence[int]] = field(default_factory=dict)
    fraction: float = 1.0
    device: str = "cpu"
    precision: str = "fp32"
    workers: int = 0
    key: str = ""
    checkpoint: Path | None = None
    checkpoint_seconds: float = 30.0
    stop_above: Mapping[int, float] = field(default_factory=dict, compare=False)
    after_epoch: Callable[[int], None] | None = field(default=None, compare=False)

    def overrides(self, folder: Path) -> dict[str, Any]:
        """The training arguments for Ultralytics.

        Args:
            folder: an empty folder, which may be deleted after the training.
        """
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
            "amp": False,  # the trainer itself does bf16, because Ultralytics' check of amp needs a download
            "end2end": False,  # yolo26 is evaluated with its one-to-many head; newer versions do so by default
            **self.recipe.arguments(),
        }

    @property
    def data(self) -> dict[str, Any]:
        """The data set as the dictionary that Ultralytics' trainers take."""
        return {
            **{split: list(files) for split, files in self.info.files.items()},
            "nc": self.info.nc,
            "names": dict(enumerate(self.info.names)),
            "channels": 3,
            "path": self.info.path.parent,
            "yaml_file": str(self.info.path),
            **(self.info.keypoints.as_dict() if self.info.keypoints else {}),
        }
