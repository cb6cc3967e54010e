"""Ultralytics' training settings that a study may set for all its trials, and the reasons why it may not set others.

A study may set augmentation and the loss. All else decides whether two trials compare, so this package sets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nas_attn.detector.model.training_arguments import read_value, taken_by_ultralytics
from nas_attn.errors import ConfigError, UnknownName, UserError

MIXES = ("mosaic", "mixup", "cutmix", "copy_paste")  # those that `close_mosaic` ends
FLIPS = ("fliplr", "flipud")
_BOTH = ("segment", "obb")
OF_TASKS = {  # settings that only some tasks read -> these tasks
    **dict.fromkeys(("pose", "kobj", "rle"), ("pose",)),
    **dict.fromkeys(("overlap_mask", "mask_ratio"), ("segment",)),
    **dict.fromkeys(("copy_paste", "copy_paste_mode"), _BOTH),
    "angle": ("obb",),
}
TAKEN = frozenset(
    (
        *("hsv_h", "hsv_s", "hsv_v", "degrees", "translate", "scale", "shear", "perspective", "bgr"),
        *("box", "cls", "cls_pw", "dfl", "close_mosaic", *FLIPS, *MIXES, *OF_TASKS),
    )
)
CHOICES = {"copy_paste_mode": ("flip", "mixup")}  # Ultralytics checks it only when it builds the data set

_RATE = "the learning rate of a short training must rise and end at zero in the same way for all"
_STEPS = "all trials must have the same number of steps"
_SCORES = "all trials must be scored in the same way"
_OPTIMIZER = "all trials have the optimizer that tells most in a short training, AdamW"
_ARITHMETIC = "all trials must be computed in the same way"
_CLASSES = "the head has all classes of the data set"
_FILES = "a trial writes no files of Ultralytics"
_KIND = "no task that is searched reads it"
_START = "a tensor must find its layer in spite of inserted rows"
_BESIDE = "Write `{}` beside `train` in the study YAML."
REFUSED: dict[str, tuple[str, str]] = {  # setting -> the reason, and the option that replaces it
    "seed": ("each trial has its own seed", "Use --seed for the first one."),
    "epochs": (_STEPS, "Use --epochs."),
    "time": (_STEPS, "Use --epochs for a trial, and --hours for the search."),
    "patience": (_STEPS, "Use --early-stop."),
    "batch": (_STEPS, "Use --batch."),
    "nbs": ("every step updates the weights", "Use --batch."),
    "imgsz": ("the cost and the modules that fit depend on it", "Use --imgsz."),
    "multi_scale": ("a module is checked for the maps of one image size", "Use --imgsz."),
    "fraction": ("all trials must see the same images", "Use --fraction."),
    "data": ("all trials must see the same images", "Use --data."),
    "rect": ("each epoch has its own order of the images, and mosaic needs squares", ""),
    "cache": ("the decoded images are kept once for all trials", ""),
    "augmentations": ("a study cannot record them, and their random numbers are not paired", ""),
    "model": ("the search changes the base model", "Use --model."),
    "task": ("the head of the base model decides it", "Use --model."),
    "pretrained": (_START, "Use --weights."),
    "cls_remap": (_START, "Use --weights."),
    "freeze": ("it names rows, and the rows of two architectures differ", ""),
    "resume": ("an interrupted trial continues by itself", "Give the same command again."),
    "device": ("it decides where the workers run", "Use --device."),
    "workers": ("the number of loading processes changes no image, so a study does not set it", ""),
    "deterministic": ("trials of the same seed must be repeatable", ""),
    "lr0": (_RATE, _BESIDE.format("lr0")),
    **dict.fromkeys(("lrf", "cos_lr", "warmup_epochs", "warmup_momentum", "warmup_bias_lr"), (_RATE, "")),
    **dict.fromkeys(("optimizer", "momentum", "weight_decay"), (_OPTIMIZER, "")),
    "amp": (_ARITHMETIC, _BESIDE.format("precision")),
    **dict.fromkeys(("compile", "channels_last", "quantize", "half", "int8"), (_ARITHMETIC, "")),
    **dict.fromkeys(("distill_model", "dis"), ("a trial must learn from the data alone", "")),
    **dict.fromkeys(("single_cls", "classes"), (_CLASSES, "Change the data set.")),
    **dict.fromkeys(("val", "split", "conf", "iou", "max_det", "nms", "agnostic_nms", "augment"), (_SCORES, "")),
    **dict.fromkeys(("save", "save_period", "save_json", "plots", "profile", "verbose"), (_FILES, "")),
    **dict.fromkeys(("project", "name", "exist_ok", "save_dir"), (_FILES, "Use --runs and the name of the study.")),
    **dict.fromkeys(("dropout", "erasing", "auto_augment", "dlog", "dgrad", "dlam"), (_KIND, "")),
    "cfg": ("a study must hold its settings itself", "Write them below `train` in the study YAML."),
}
_OTHER = "it is neither augmentation nor a part of the loss", ""


def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as Ultralytics takes them: whole numbers where it wants fractions become fractions.

    Args:
        settings: name -> value.

    Raises:
        ConfigError: a setting is unknown, is not for a study, or has a value that Ultralytics refuses. The error lists
            all of them.
    """
    from ultralytics.cfg import DEFAULT_CFG_DICT

    problems: list[UserError] = []
    found: dict[str, Any] = {}
    for name, value in settings.items():
        try:
            if name in TAKEN and name in DEFAULT_CFG_DICT:
                taken = taken_by_ultralytics(name, value)
                if taken not in CHOICES.get(name, (taken,)):
                    raise UnknownName(f"value of {name}", taken, CHOICES[name])
                found[name] = float(taken) if isinstance(DEFAULT_CFG_DICT[name], float) and _is_one(taken) else taken
            elif name in REFUSED or name in DEFAULT_CFG_DICT:
                why, instead = REFUSED.get(name, _OTHER)
                problems.append(UserError(f"`{name}` must not be set for trials: {why}", remedy=instead))
            else:
                known = TAKEN.intersection(DEFAULT_CFG_DICT)
                problems.append(UnknownName("training setting", name, known))
        except UserError as error:
            problems.append(error)
    if problems:
        raise ConfigError(problems)
    return found


def check_task(names: Iterable[str], task: str) -> None:
    """Refuse settings that a task does not read.

    Args:
        names: names of settings.
        task: `detect`, `segment`, `pose` or `obb`.

    Raises:
        ConfigError: the error lists all of them.
    """
    if others := [(n, OF_TASKS[n]) for n in names if task not in OF_TASKS.get(n, (task,))]:
        raise ConfigError(
            UserError(f"`{name}` has an effect only for the task {' or '.join(tasks)}", got=f"the task {task}")
            for name, tasks in others
        )


def check_effect(settings: Mapping[str, Any], epochs: int, mirrored: bool) -> None:
    """Refuse settings that would have no effect in a training.

    Args:
        settings: settings that `check_settings` returned.
        epochs: epochs of the training.
        mirrored: True if images of the data set can be mirrored: keypoints need `flip_idx` for this.

    Raises:
        ConfigError: the error lists all of them.
    """
    problems: list[UserError] = []
    closed = settings.get("close_mosaic", 0)
    if closed > 0 and not any(settings.get(name, 0) > 0 for name in MIXES):
        rule = f"`close_mosaic` needs {', '.join(MIXES[:-1])} or {MIXES[-1]}: no trial has them unless they are set"
        problems.append(UserError(rule, got="none of them", remedy="Give mosaic=1.0, for example."))
    elif closed >= epochs:
        rule = "`close_mosaic` must be below the number of epochs, or no epoch has a mosaic"
        problems.append(UserError(rule, got=f"{closed} of {epochs} epochs"))
    if flips := [name for name in FLIPS if settings.get(name, 0) > 0 and not mirrored]:
        rule = "mirrored images need `flip_idx` in the data.yaml, the mirrored order of the keypoints"
        problems.append(UserError(rule, got=", ".join(f"{n}={settings[n]}" for n in flips)))
    if problems:
        raise ConfigError(problems)


def read_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """The settings that texts of the form KEY=VALUE mean.

    Raises:
        ConfigError: texts of another form; the error lists all of them.
    """
    pairs = list(pairs)
    if wrong := [p for p in pairs if "=" not in p]:
        rule = "words after the study must be training settings of the form KEY=VALUE"
        raise ConfigError(UserError(rule, got=f"'{p}'", remedy="For example mosaic=0.5.") for p in wrong)
    return {name: read_value(text) for name, text in (p.split("=", 1) for p in pairs)}


def _is_one(value: Any) -> bool:
    return isinstance(value, int | float)
