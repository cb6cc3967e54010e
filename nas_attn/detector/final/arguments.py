"""The check of Ultralytics' training arguments that a user gives as KEY=VALUE, before any training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas_attn.detector.model.training_arguments import read_value, taken_by_ultralytics
from nas_attn.errors import ConfigError, UnknownName, UserError

OPTIMIZERS = ("Adam", "Adamax", "AdamW", "MuSGD", "NAdam", "RAdam", "RMSprop", "SGD", "auto")
_OUTPUT = "Use --output; the folder of a run is named after the model and the seed."
RESERVED = {  # arguments of Ultralytics that an option or this package sets -> remedy
    "batch": "Use --batch.",
    "cfg": "Give its arguments as KEY=VALUE.",
    "data": "Use --data.",
    "device": "Use --device.",
    "epochs": "Use --epochs.",
    "exist_ok": _OUTPUT,
    "imgsz": "Use --imgsz.",
    "mode": "This command trains.",
    "model": "Give it as MODEL.yaml.",
    "name": _OUTPUT,
    "pretrained": "Use --weights, which finds the layer of each tensor in spite of inserted rows.",
    "project": _OUTPUT,
    "resume": "Give the same command again: finished runs are kept, an interrupted run continues.",
    "save": "The best checkpoint is needed for the result.",
    "save_dir": _OUTPUT,
    "seed": "Use --seed and --seeds.",
    "task": "The head of MODEL.yaml decides it.",
}


def check_arguments(arguments: Mapping[str, str]) -> dict[str, Any]:
    """The values of training arguments given as text, checked by Ultralytics' own rules.

    Raises:
        ConfigError: an argument is unknown to Ultralytics, has a value that it refuses, or is set by an option. The
            error lists all of them.
    """
    from ultralytics.cfg import DEFAULT_CFG_DICT

    problems: list[UserError] = []
    values: dict[str, Any] = {}
    for name, text in arguments.items():
        if name in RESERVED:
            problems.append(UserError(f"`{name}=` must not be given", remedy=RESERVED[name]))
            continue
        if name not in DEFAULT_CFG_DICT:
            problems.append(UnknownName("training argument", name, DEFAULT_CFG_DICT))
            continue
        value = read_value(text)
        try:
            values[name] = taken_by_ultralytics(name, value, text)
        except UserError as error:
            problems.append(error)
        if name == "optimizer" and str(value).lower() not in map(str.lower, OPTIMIZERS):
            problems.append(UnknownName("optimizer", text, OPTIMIZERS))
    if problems:
        raise ConfigError(problems)
    return values
