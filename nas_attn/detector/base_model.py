"""Base models: what an Ultralytics user types, resolved without a download.

A base model is a plain dictionary with exactly one entry under `scales`. Ultralytics takes the scale from the file
name and, where that names none, the first entry: one entry cannot be mistaken for another.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from nas_attn.errors import MissingPart, UnknownName, UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

SCALES = "nsmlx"
HEADS = ("Detect", "v10Detect")
UNLIMITED = 1_000_000  # stands for "no channel limit" where a YAML has no scales
_SCALE_IN_NAME = re.compile(r"(\d+)([nsmlx])(?![a-z])")  # yolo11n, yolov8s-p2; not the `s` of `yolo11-seg`


@dataclass(frozen=True)
class BaseModel:
    """A detector without attention.

    Attributes:
        name: e.g. `yolo11n`; a changed width is part of it (`yolo11n-w0.125`).
        yaml: model dictionary as Ultralytics reads it, exactly one entry under `scales`.
        scale: that entry's key.
        checkpoint: the `.pt` file it came from, where it did.
    """

    name: str
    yaml: dict[str, Any] = field(hash=False)
    scale: str
    checkpoint: Path | None = None

    def build(self) -> nn.Module:
        """A new `DetectionModel` on the CPU, in training mode: (N, 3, H, W) -> predictions.

        Raises:
            UserError: Ultralytics cannot build it (an unknown layer, or a width that its layers do not allow).
        """
        try:
            return build_yaml(self.yaml)
        except (AssertionError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UserError("a base model must be one that Ultralytics builds", got=reason, where=self.name) from error

    @property
    def nc(self) -> int:
        """Number of classes."""
        return int(self.yaml["nc"])

    @cached_property
    def reg_max(self) -> int:
        """Bins of the box regression head, as built: a box side reaches (reg_max - 1) × stride pixels."""
        model: Any = self.build()
        return int(model.model[-1].reg_max)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change whenever the model's dictionary does."""
        return hashlib.sha256(json.dumps(self.yaml, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def changed(self, *, nc: int | None = None, reg_max: int | None = None) -> BaseModel:
        """A copy with another class count or number of regression bins."""
        changes = {k: v for k, v in (("nc", nc), ("reg_max", reg_max)) if v is not None}
        return replace(self, yaml={**copy.deepcopy(self.yaml), **changes})

    def weights(self) -> dict[str, Tensor] | None:
        """The checkpoint's state dict in float32 on the CPU; None where there is no checkpoint."""
        if self.checkpoint is None:
            return None
        return _checkpoint_model(self.checkpoint).float().state_dict()


def build_yaml(model_yaml: dict[str, Any]) -> nn.Module:
    """A new `DetectionModel` of a model dictionary, which stays as it is."""
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel(copy.deepcopy(model_yaml), verbose=False)  # the parser writes into what it is given


def load_base(
    model: str, *, nc: int | None = None, width: float | None = None, reg_max: int | None = None
) -> BaseModel:
    """The base model of that name, YAML path or `.pt` path.

    Args:
        model: `yolo11n.yaml`, `yolo11n`, a path to a YAML, or a path to a checkpoint.
        nc: number of classes, in place of the YAML's.
        width: width factor, in place of the scale's.
        reg_max: bins of the box regression, in place of the YAML's.

    Raises:
        UnknownName: no such model or scale; the message names the nearest.
        UserError: the file is no detector's YAML or checkpoint, or `width` is not positive.
    """
    text = str(model)
    path = Path(text)
    checkpoint = None
    if path.suffix == ".pt":
        if not path.is_file():
            remedy = "Give the path of a file on this machine; nothing is downloaded."
            raise UserError("a checkpoint must exist", got=f"'{text}'", remedy=remedy)
        checkpoint, source = path.resolve(), _checkpoint_yaml(path)
    elif path.suffix in (".yaml", ".yml") and path.is_file():
        source = _read(path)
    else:
        stem = path.name.removesuffix(".yaml").removesuffix(".yml")
        packaged = _packaged()
        found = packaged.get(stem) or packaged.get(_SCALE_IN_NAME.sub(r"\1", stem, count=1))
        if found is None or len(path.parts) > 1:
            raise UnknownName("base model", text, _listing(stem))
        source = _read(found)
    _check_detector(source, text)
    base = _resolve(path.name.rsplit(".", 1)[0] if path.suffix in (".pt", ".yaml", ".yml") else text, source, width)
    return replace(base, checkpoint=checkpoint).changed(nc=nc, reg_max=reg_max)


def _resolve(stem: str, source: dict[str, Any], width: float | None) -> BaseModel:
    """Keep one entry under `scales`: the only one, the checkpoint's, the name's, or the first."""
    scales = source.get("scales")
    named = _SCALE_IN_NAME.search(stem)
    if scales:
        key = source.get("scale") or (named[2] if named else "")
        if len(scales) == 1 or not key:
            key = next(iter(scales))
        if key not in scales:
            raise UnknownName("scale", key, scales, where=f"base model '{stem}'")
        factors = list(scales[key])
    else:
        key = named[2] if named else "n"
        factors = [source.get("depth_multiple", 1.0), source.get("width_multiple", 1.0), UNLIMITED]
    if width is not None:
        if not width > 0:
            raise UserError("`width` must be above 0", got=width)
        factors[1] = width
    kept = {k: v for k, v in source.items() if k not in ("depth_multiple", "width_multiple", "yaml_file", "channels")}
    name = stem if width is None else f"{stem}-w{width:g}"
    return BaseModel(name, {**copy.deepcopy(kept), "scales": {key: factors}, "scale": key}, key)


def _check_detector(source: Any, where: str) -> None:
    if not isinstance(source, dict) or not all(source.get(k) for k in ("nc", "backbone", "head")):
        raise UserError("a model YAML must have `nc`, `backbone` and `head`", where=where)
    for row in (*source["backbone"], *source["head"]):
        if not isinstance(row, list) or len(row) != 4 or not isinstance(row[2], str):
            raise UserError("a row must read [from, repeats, module, arguments]", got=row, where=where)
    head = source["head"][-1][2]
    if head not in HEADS:
        raise UserError(f"a base model must end in one of {', '.join(HEADS)}", got=f"'{head}'", where=where)


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8", errors="ignore"))
    except yaml.YAMLError as error:
        raise UserError("a model YAML must be readable as YAML", got=str(error), where=str(path)) from error


@lru_cache(maxsize=1)
def _packaged() -> dict[str, Path]:
    """stem -> file of the model YAMLs that the installed package has."""
    spec = importlib.util.find_spec("ultralytics")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPart("Ultralytics is not installed: pip install ultralytics")
    folder = Path(spec.submodule_search_locations[0]) / "cfg" / "models"
    return {p.stem: p for p in sorted(folder.rglob("*.yaml"))}


def _listing(stem: str) -> Iterator[str]:
    """Names of the package's detectors, at the scale that the user meant."""
    named = re.search(rf"\d([{SCALES}])", stem)
    scale = named[1] if named else "n"
    for name, path in _packaged().items():
        source = _read(path)
        if source["head"][-1][2] in HEADS:
            many = len(source.get("scales") or ()) > 1
            yield re.sub(r"(\d+)", rf"\g<1>{scale}", name, count=1) if many else name


def _checkpoint_model(path: Path) -> Any:
    import pickle

    import torch
    import ultralytics.nn.tasks  # noqa: F401 (the checkpoint's classes; importing it also registers ours)

    try:
        content = torch.load(path, map_location="cpu", weights_only=False)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ModuleNotFoundError, AttributeError) as error:
        raise UserError("a checkpoint must be one that Ultralytics wrote", got=str(error), where=str(path)) from error
    model = (content.get("ema") or content.get("model")) if isinstance(content, dict) else None
    if not hasattr(model, "yaml"):
        raise UserError("a checkpoint must hold an Ultralytics model", where=str(path))
    return model


def _checkpoint_yaml(path: Path) -> dict[str, Any]:
    return copy.deepcopy(_checkpoint_model(path).yaml)
