"""The recipe of a proxy training: all settings that comparable trials must share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

STOPPED = "stopped after epoch "  # begin of the flag of a run that was stopped early
AUGMENTATION = ("mosaic", "scale", "translate", "hsv_h", "hsv_s", "hsv_v", "fliplr")


@dataclass(frozen=True)
class Recipe:
    """A short training whose learning rate ends at zero.

    The learning rate rises linearly over the first steps and then falls linearly, step by step, to zero. The default
    optimizer and the light default augmentation gave the most signal per second in small runs from scratch.

    Attributes:
        batch: images per step. It is also Ultralytics' nominal batch, so every step updates the weights.
        optimizer: name of a torch optimizer that Ultralytics knows.
        lr0: highest learning rate.
        momentum: momentum, or beta1 of the Adam family.
        weight_decay: weight decay of convolution weights; biases and norms have none.
        warmup_steps: steps over which the learning rate rises; at most a quarter of the run.
        bn_momentum: momentum of every batch norm, high enough that the statistics settle in a short run.
        val_every: epochs between validations; 0 validates after the last epoch only.
        mosaic, scale, translate, hsv_h, hsv_s, hsv_v, fliplr: augmentation, in Ultralytics' own units.
        more: further settings of augmentation and loss, as pairs of Ultralytics' name and value.
    """

    batch: int = 8
    optimizer: str = "AdamW"
    lr0: float = 2e-3
    momentum: float = 0.937
    weight_decay: float = 5e-4
    warmup_steps: int = 30
    bn_momentum: float = 0.1
    val_every: int = 0
    mosaic: float = 0.0
    scale: float | tuple[float, ...] = 0.25
    translate: float = 0.1
    hsv_h: float = 0.015
    hsv_s: float = 0.4
    hsv_v: float = 0.3
    fliplr: float = 0.5
    more: tuple[tuple[str, Any], ...] = ()

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """The same recipe with other augmentation and loss.

        Args:
            settings: settings that `check_settings` returned: Ultralytics' name -> value.
        """
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
        own: dict[str, Any] = {name: value for name, value in plain.items() if name in AUGMENTATION}
        more = dict(self.more) | {name: value for name, value in plain.items() if name not in own}
        return replace(self, **own, more=tuple(sorted(more.items())))

    def without_flips(self) -> Recipe:
        """The same recipe without mirrored images, for keypoints without a known mirrored order (`flip_idx`)."""
        return replace(self, fliplr=0.0, more=tuple(pair for pair in self.more if pair[0] != "flipud"))

    def open_epochs(self, epochs: int) -> int:
        """The number of first epochs with mosaic, mixup, cutmix and copy-paste: `close_mosaic` ends them.

        Args:
            epochs: number of epochs of the run.
        """
        closed: int = dict(self.more).get("close_mosaic", 0)
        return epochs - max(0, closed)

    def as_dict(self) -> dict[str, Any]:
        """The recipe as a JSON-ready dictionary."""
        found = asdict(self)
        found |= dict(found.pop("more"))
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}

    def arguments(self) -> dict[str, Any]:
        """Ultralytics' training arguments; everything that makes trials less comparable is switched off."""
        return {
            "batch": self.batch,
            "nbs": self.batch,
            "optimizer": self.optimizer,
            "lr0": self.lr0,
            "momentum": self.momentum,
            "weight_decay": self.weight_decay,
            "warmup_epochs": 0.0,
            "warmup_bias_lr": 0.0,
            "mosaic": self.mosaic,
            "mixup": 0.0,
            "cutmix": 0.0,
            "copy_paste": 0.0,
            "scale": self.scale,
            "translate": self.translate,
            "hsv_h": self.hsv_h,
            "hsv_s": self.hsv_s,
            "hsv_v": self.hsv_v,
            "fliplr": self.fliplr,
            "erasing": 0.0,
            "auto_augment": None,
            "augmentations": [],
            "patience": 0,
            **dict(self.more),
            "close_mosaic": 0,  # the data set ends it by itself, see `open_epochs`
        }

    def factor(self, step: int, steps: int) -> float:
        """The learning rate of a step as a share of `lr0`, in [0, 1]; it reaches 0 one step after the last.

        Args:
            step: number of the step, from 0.
            steps: number of steps of the run.
        """
        warmup = max(1, min(self.warmup_steps, steps // 4))
        return min(1.0, (step + 1) / warmup) * (1.0 - max(0, step - warmup) / max(1, steps - warmup))
