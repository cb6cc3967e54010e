"""The command that trains the same with plain Ultralytics."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas_attn.detector.weights.start_model import Fit


def plain_command(task: str, model: Path, data: Path, seed: int, arguments: Mapping[str, Any]) -> str:
    """What a user of plain Ultralytics types.

    Args:
        task: `detect`, `segment`, `pose` or `obb`.
        model: the YAML to train from scratch, or a checkpoint to start from.
        data: the data.yaml.
        seed: the seed.
        arguments: Ultralytics training arguments.
    """
    given = {"model": shown(model), "data": shown(data), **arguments, "seed": seed}
    pairs = (shlex.quote(f"{name}={value}") for name, value in given.items())
    return f"yolo {task} train {' '.join(pairs)}"


def conditions(weights: Path | None, fit: Fit | None, own_files: bool) -> list[str]:
    """What that command needs and what it must not be replaced by.

    Args:
        weights: the checkpoint that the training starts from.
        fit: what fitted of it.
        own_files: whether the model holds modules of the user's own files.
    """
    if fit is None:
        lines = ["(It needs `nas-attn hook install` once, or a model without attention.)"]
        if own_files:
            lines.append("(And NAS_ATTN_MODULES must name the files that --modules names.)")
        return lines
    lines = ["(It needs nas_attn installed, and no hook: the checkpoint names its modules, which registers them.)"]
    if fit.matched < fit.moved or fit.misplaced:
        wrong = f", {fit.misplaced} of them in another layer" if fit.misplaced else ""
        lines.append(
            f"(The YAML with pretrained={shown(weights)} is not the same: Ultralytics looks for tensors by row number "
            f"and would find {fit.matched} of {fit.total}{wrong}.)"
        )
    return lines


def shown(path: Path | None) -> str:
    """Relative to the working directory where it lies below it."""
    whole = Path(path or "").resolve()
    return str(whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole)
