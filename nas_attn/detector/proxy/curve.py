"""The figures of a validation: those of an epoch in the learning curve, and those of a split at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas_attn.tasks import Task

MAP75 = "metrics/mAP75"  # Ultralytics gives this figure, and the next one, without a key
OF_CLASS = "metrics/AP50-95 of "  # before the name of a class
DIGITS = 5  # to which Ultralytics rounds the figures that have a key


def keyless(found: Any, names: Mapping[int, str]) -> dict[str, float]:
    """Further figures of a validation: `MAP75`, and the AP50-95 of each class that has objects there.

    Args:
        found: Ultralytics' metrics for the objects of the task, after a validation.
        names: number of a class -> its name.
    """
    pairs = zip(found.ap_class_index, found.ap, strict=True)
    classes = {f"{OF_CLASS}{names[int(k)]}": round(float(ap), DIGITS) for k, ap in pairs}
    return {MAP75: float(found.map75), **classes}


def split_figures(metrics: Mapping[str, float], aim: Task) -> dict[str, Any]:
    """The figures of a split, as in `Evaluation.scores`.

    Args:
        metrics: Ultralytics' key -> value, with those of `keyless`.
        aim: the task.
    """
    known = {name: metrics[key] for name, key in _keys(aim).items() if key in metrics}
    classes = {key.removeprefix(OF_CLASS): ap for key, ap in metrics.items() if key.startswith(OF_CLASS)}
    return {**{name: float(value) for name, value in known.items()}, "classes": classes}


def _keys(aim: Task) -> dict[str, str]:
    return {"map50_95": aim.map50_95, "map50": aim.map50, "precision": aim.precision, "recall": aim.recall}


def curve_figures(metrics: Mapping[str, float], aim: Task, validated: bool) -> dict[str, float]:
    """The parts of the training loss, and the scores of a validated epoch, as in `Evaluation.curve`.

    Args:
        metrics: Ultralytics' key -> value: `train/box_loss`, `val/box_loss`, `metrics/mAP50(B)`, ...
        aim: the task, which has the keys of its mAP.
        validated: True if the metrics have scores of this epoch.
    """
    parts = {k.removeprefix("train/"): float(v) for k, v in metrics.items() if k.startswith("train/")}
    if not validated:
        return parts
    held_out = {k.replace("/", "_"): float(v) for k, v in metrics.items() if k.startswith("val/")}
    found = {name: metrics[key] for name, key in {**_keys(aim), "map75": MAP75}.items() if key in metrics}
    return parts | held_out | {k: float(v) for k, v in found.items()}
