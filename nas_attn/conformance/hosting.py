"""Ultralytics functions for the conformance checks: a name in its parser, its EMA, a detector with one module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas_attn.detector.model.registration import register
from nas_attn.detector.model.rows import PREFIX
from nas_attn.environment import prepare

if TYPE_CHECKING:
    from torch import nn


def name_is_taken(cls: type) -> bool:
    """True if Ultralytics' YAML parser knows another class with the same name."""
    prepare()
    from ultralytics.nn import tasks

    return vars(tasks).get(cls.__name__, cls) is not cls


def averaged(module: nn.Module) -> nn.Module:
    """A copy of the module in evaluation mode: Ultralytics' exponential moving average after one update."""
    prepare()
    from ultralytics.utils.torch_utils import ModelEMA

    ema = ModelEMA(module)
    ema.update(module)
    return ema.ema


def small_detector(name: str, arguments: list[Any], channels: int) -> tuple[Any, int]:
    """A detection model with one attention module before its head, built from a YAML row.

    Args:
        name: class of the module, as a YAML row names it without prefix.
        arguments: the arguments in that row.
        channels: channels of the map at the module; its stride is 8.

    Returns:
        The model, and the index of the module's row.
    """
    prepare()
    from ultralytics.nn import tasks

    register(tasks)
    rows: list[list[Any]] = [[-1, 1, "Conv", [c, 3, 2]] for c in (8, 16, channels)]
    rows.append([-1, 1, PREFIX + name, arguments])
    model_yaml = {"nc": 1, "backbone": rows, "head": [[[len(rows) - 1], 1, "Detect", ["nc"]]]}
    return tasks.DetectionModel(model_yaml, ch=3, nc=1, verbose=False), len(rows) - 1
