"""The figures of one epoch in the learning curve of a proxy training."""

from __future__ import annotations

from collections.abc import Mapping

from nas_attn.tasks import Task

MAP75 = "metrics/mAP75"  # Ultralytics gives this figure without a key


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
    found = {"map50_95": metrics[aim.map50_95], "map50": metrics[aim.map50], "map75": metrics[MAP75]}
    return parts | held_out | {k: float(v) for k, v in found.items()}
