"""The command of plain Ultralytics for the same training, and the conditions under which it works."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.environment import shell_word

if TYPE_CHECKING:
    from nas_attn.detector.weights.transfer import TransferReport


def plain_command(task: str, model: Path, data: Path, seed: int, arguments: Mapping[str, Any]) -> str:
    """The command line of plain Ultralytics for a training.

    Args:
        task: `detect`, `segment`, `pose` or `obb`.
        model: the YAML to train from scratch, or a checkpoint to start from.
        data: the data.yaml.
        seed: the seed.
        arguments: training arguments of Ultralytics.
    """
    given = {"model": shown(model), "data": shown(data), **arguments, "seed": seed}
    pairs = (shell_word(f"{name}={value}") for name, value in given.items())
    return f"yolo {task} train {' '.join(pairs)}"


def conditions(weights: Path | None, fit: TransferReport | None, variables: Mapping[str, str]) -> list[str]:
    """Lines for the user: the conditions of `plain_command`, and a similar command that would not do the same.

    Args:
        weights: the checkpoint that the training starts from, if any.
        fit: the report on its transfer into the model; None without a checkpoint.
        variables: variable -> option, if the model has modules or layers from files of the option.
    """
    if fit is None:
        lines = ["(It needs `nas-attn hook install` once, or a model without attention.)"]
        lines += [f"(The variable {name} must name the files of {option}.)" for name, option in variables.items()]
        return lines
    lines = ["(nas_attn must be installed. No hook is needed: loading the checkpoint registers its modules.)"]
    if fit.matched < fit.moved or fit.misplaced:
        wrong = f", {fit.misplaced} of them in another layer" if fit.misplaced else ""
        loaded = shell_word(f"pretrained={shown(weights)}")
        lines.append(
            f"(The YAML with {loaded} is not the same: Ultralytics looks for tensors by row number "
            f"and would find {fit.matched} of {fit.total}{wrong}.)"
        )
    return lines


def shown(path: Path | None) -> str:
    """The path as text, relative to the working directory if it lies inside it."""
    whole = Path(path or "").resolve()
    return str(whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole)
