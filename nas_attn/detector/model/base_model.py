"""Base models: the names and files that an Ultralytics user types, resolved without a download.

A base model is a plain dictionary with exactly one entry under `scales`. Ultralytics takes the scale from the file name
or, if the name has none, the first entry; with a single entry there is only one choice. A user's file means the same
model here as in Ultralytics, so that a search runs the model that `yolo train` runs.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.atomic_files import is_file
from nas_attn.attention import layers
from nas_attn.detector.model.build_errors import build_refusal
from nas_attn.detector.model.export_key import KEY, check_export
from nas_attn.detector.model.model_yaml import FACTORS, check_detector, read_yaml
from nas_attn.detector.model.own_layers import completed, own_rows
from nas_attn.detector.model.registration import check_rows
from nas_attn.detector.model.rows import PREFIX, rows_of
from nas_attn.detector.model.shipped_models import located, near, packaged
from nas_attn.errors import UnknownName, UserError
from nas_attn.safe_yaml import too_much
from nas_attn.tasks import HEADS

if TYPE_CHECKING:
    from torch import nn

    from nas_attn.attention.source import Source

YAMLS = (".yaml", ".yml")
UNLIMITED = 1_000_000  # channel limit of a YAML without scales: high enough to be none
BUILD_ERRORS = (  # errors that Ultralytics' parser raises for meaningless rows
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, SyntaxError, TypeError,
    ValueError,
)  # fmt: skip
_SCALE_IN_NAME = re.compile(r"(\d+)([nsmlx])(?![a-z])")  # yolo11n, yolov8s-p2; not the `s` of `yolo11-seg`


@dataclass(frozen=True)
class BaseModel:
    """A detector into which attention is inserted. It may hold attention already, for example as an exported YAML.

    Attributes:
        name: e.g. `yolo11n`, or `yolo11n-w0.125` if the width was changed.
        yaml: model dictionary as Ultralytics reads it, with exactly one entry under `scales`.
        scale: the key of that entry.
        checkpoint: the `.pt` file that the model came from; None if it came from another source.
        file: the file that the model came from, as the user gave it; empty for a model that Ultralytics ships.
    """

    name: str
    yaml: dict[str, Any] = field(hash=False)
    scale: str
    checkpoint: Path | None = None
    file: str = field(default="", compare=False)

    def build(self) -> nn.Module:
        """A new model of the head's task on the CPU, in training mode: (N, 3, H, W) -> predictions.

        Its attribute `block_arguments` maps each row whose block can hold attention to the arguments with which
        Ultralytics built that block.

        Raises:
            UserError: Ultralytics cannot build it (an unknown layer, or a width that its layers do not allow).
        """
        from nas_attn.detector.blocks import noted_arguments

        try:
            with noted_arguments() as noted:
                model: Any = build_yaml(self.yaml)
            model.block_arguments = {row: noted[layer] for row, layer in enumerate(model.model) if layer in noted}
            return model
        except BUILD_ERRORS as error:
            raise build_refusal(error, self.yaml, self.file or self.name) from error

    @property
    def nc(self) -> int:
        """Number of classes."""
        return int(self.yaml["nc"])

    @property
    def head(self) -> str:
        """Name of the module in the last row, e.g. `Segment26`."""
        return str(self.rows[-1][2])

    @property
    def task(self) -> str:
        """The task of the head: `detect`, `segment`, `pose`, `obb`, `semantic` or `depth`."""
        return HEADS[self.head].task

    @cached_property
    def reg_max(self) -> int | None:
        """Bins of the box regression of the built model; None if its head has none.

        A box side lies at most (reg_max - 1) × stride pixels from its anchor point.
        """
        model: Any = self.build()
        return reg_max_of(model)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change whenever the model dictionary or the source of a user's layer in it changes."""
        content = json.dumps(self.yaml, sort_keys=True, default=str)
        digests = [f"{name} {source.digest}" for name, source in sorted(self.layers.items(), key=lambda one: one[0])]
        return hashlib.sha256("\n".join([content, *digests]).encode()).hexdigest()[:16]

    @property
    def layers(self) -> dict[str, Source]:
        """Name -> source for each layer of the user in the rows."""
        bare = (str(row[2]).removeprefix(PREFIX) for row in self.rows if str(row[2]).startswith(PREFIX))
        return {name: layers.get(name).source for name in bare if layers.is_layer(name)}

    def changed(
        self, *, nc: int | None = None, reg_max: int | None = None, kpt_shape: tuple[int, int] | None = None
    ) -> BaseModel:
        """A copy with some numbers changed; None keeps the present value.

        Args:
            nc: number of classes.
            reg_max: bins of the box regression.
            kpt_shape: (keypoints per object, values per keypoint).
        """
        shape = None if kpt_shape is None else list(kpt_shape)
        changes = {k: v for k, v in (("nc", nc), ("reg_max", reg_max), ("kpt_shape", shape)) if v is not None}
        return replace(self, yaml={**copy.deepcopy(self.yaml), **changes})

    def for_data(self, nc: int, kpt_shape: Sequence[int] | None) -> BaseModel:
        """The base of a study: this model as it is trained on a data set.

        All code that reads a study must get exactly this model, so it takes every number that the data set decides.

        Args:
            nc: number of classes.
            kpt_shape: number of keypoints per object, and values per keypoint; None for a task without keypoints.
        """
        return self.changed(nc=nc, kpt_shape=None if kpt_shape is None else (kpt_shape[0], kpt_shape[1]))

    @property
    def sources(self) -> tuple[Source, ...]:
        """The contents of the files of these layers."""
        return tuple(dict.fromkeys(self.layers.values()))

    @property
    def factors(self) -> tuple[float, float, float]:
        """Depth factor, width factor and largest channel count."""
        depth, width, channels = self.yaml["scales"][self.scale]
        return depth, width, channels

    @property
    def rows(self) -> list[list[Any]]:
        """All rows, those of `backbone` first."""
        return rows_of(self.yaml)

    def names(self) -> dict[int, str]:
        """Class number -> class name in the checkpoint; empty if there is no checkpoint or it has no names."""
        from nas_attn.detector.model.safe_checkpoint import checkpoint_model

        return dict(getattr(checkpoint_model(self.checkpoint), "names", None) or {}) if self.checkpoint else {}


def reg_max_of(model: Any) -> int | None:
    """Bins of a built model's box regression; None if its head has none."""
    found = getattr(model.model[-1], "reg_max", None)
    return None if found is None else int(found)


def build_yaml(model_yaml: dict[str, Any]) -> nn.Module:
    """A new model that Ultralytics builds from a model dictionary, for the task of its head."""
    from ultralytics.nn import tasks

    name = HEADS[model_yaml["head"][-1][2]].model
    activation = tasks.Conv.default_act
    try:
        return getattr(tasks, name)(copy.deepcopy(model_yaml), verbose=False)  # the parser changes its argument
    finally:
        tasks.Conv.default_act = activation  # a parser that failed leaves it changed


def load_base(
    model: str, *, nc: int | None = None, width: float | None = None, reg_max: int | None = None
) -> BaseModel:
    """The base model that a name, a YAML path or a `.pt` path stands for.

    Args:
        model: `yolo11n.yaml`, `yolo11n`, a path to a YAML, or a path to a checkpoint.
        nc: number of classes instead of the YAML's.
        width: width factor instead of the scale's.
        reg_max: bins of the box regression instead of the YAML's.

    Raises:
        UnknownName: there is no such model or scale; the message suggests the nearest name.
        UserError: the file is not the YAML or checkpoint of a detector, `width` is not positive, or the row of a user's
            layer cannot be completed (see `own_layers.py`).
    """
    text = str(model)
    path = Path(text)
    checkpoint, file = None, text
    if path.suffix == ".pt":
        path = located(path)
        if not is_file(path):
            remedy = (
                "Give the path of a file on this machine (`search` and `train` download one that Ultralytics knows by "
                f"name); or {path.with_suffix('.yaml').name} to train from scratch."
            )
            raise UserError("a checkpoint must exist", got=f"'{text}'", remedy=remedy)
        checkpoint, source = path.resolve(), _checkpoint_yaml(path)
        scale = source.get("scale") or ""
    elif (on_disk := _on_disk(path)) is not None:
        from ultralytics.nn.tasks import guess_model_scale

        source, scale, file = read_yaml(on_disk), guess_model_scale(path), str(on_disk)
    else:
        stem = path.name.removesuffix(".yaml").removesuffix(".yml")
        shipped = packaged()
        found = shipped.get(stem) or shipped.get(_SCALE_IN_NAME.sub(r"\1", stem, count=1))
        if found is None or len(path.parts) > 1:
            raise UnknownName("base model", text, near(stem))
        source, file = read_yaml(found), ""
        scale = named[2] if (named := _SCALE_IN_NAME.search(stem)) else ""
    check_detector(source, text)
    check_rows(rows_of(source), text)
    if checkpoint is None:
        check_export(source, text)
    stem = path.name.rsplit(".", 1)[0] if path.suffix in (".pt", *YAMLS) else text
    base = _resolve(stem, source, scale, width)
    if checkpoint is None and file and KEY not in source:  # the rows of all others are complete
        base = replace(base, yaml=completed(base.yaml, own_rows(base.rows, text))[0].yaml)
    return replace(base, checkpoint=checkpoint, file=file).changed(nc=nc, reg_max=reg_max)


def _on_disk(path: Path) -> Path | None:
    """The user's YAML of this name, or, as in Ultralytics, of this name without its scale; None if neither exists."""
    if path.suffix not in YAMLS:
        return None
    files = path, Path(re.sub(r"(\d+)[nsmlx]", r"\1", str(path), count=1))
    return next((file for file in files if is_file(file)), None)


def _resolve(stem: str, source: dict[str, Any], scale: str, width: float | None) -> BaseModel:
    """The base model with one entry under `scales`: the only one, the requested one, or the first."""
    scales = source.get("scales")
    if scales:
        key = scale if scale and len(scales) > 1 else next(iter(scales))
        if key not in scales:
            raise UnknownName("scale", key, scales, where=f"base model '{stem}'")
        factors = list(scales[key])
    else:
        key = scale or "n"
        factors = [*(source.get(k, 1.0) for k in FACTORS), UNLIMITED]
    if width is not None:
        if not width > 0:
            raise UserError("`width` must be above 0", got=width)
        factors[1] = width
    kept = {k: v for k, v in source.items() if k not in (*FACTORS, "yaml_file", "channels")}
    name = stem if width is None else f"{stem}-w{width:g}"
    return BaseModel(name, {**copy.deepcopy(kept), "scales": {key: factors}, "scale": key}, key)


def _checkpoint_yaml(path: Path) -> dict[str, Any]:
    from nas_attn.detector.model.safe_checkpoint import checkpoint_model

    found = checkpoint_model(path).yaml
    if reason := too_much(found):
        raise UserError("a checkpoint must hold the YAML of a model", got=reason, where=str(path))
    return copy.deepcopy(found)
