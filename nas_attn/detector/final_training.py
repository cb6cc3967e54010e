"""Full training of exported model YAMLs, by Ultralytics' own trainer with Ultralytics' own defaults."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.attention import registry, user
from nas_attn.detector.data import DataInfo
from nas_attn.errors import ConfigError, UnknownName, UserError
from nas_attn.files import write_text_atomic

if TYPE_CHECKING:
    from nas_attn.detector.transfer import TransferReport

OPTIMIZERS = ("Adam", "Adamax", "AdamW", "MuSGD", "NAdam", "RAdam", "RMSprop", "SGD", "auto")
_OUTPUT = "Use --output; a run's folder bears the model's name and the seed."
RESERVED = {  # arguments of Ultralytics that something else here decides
    "batch": "Use --batch.",
    "cfg": "Give its arguments as KEY=VALUE.",
    "data": "Use --data.",
    "device": "Use --device.",
    "epochs": "Use --epochs.",
    "exist_ok": _OUTPUT,
    "imgsz": "Use --imgsz.",
    "mode": "This command trains.",
    "model": "Name it as MODEL.yaml.",
    "name": _OUTPUT,
    "pretrained": "Use --weights; tensors then follow their layers past inserted rows.",
    "project": _OUTPUT,
    "resume": "Give the same command again: what finished is kept.",
    "save": "The best checkpoint is needed for the result.",
    "save_dir": _OUTPUT,
    "seed": "Use --seed and --seeds.",
    "task": "This command trains detectors.",
}


@dataclass(frozen=True)
class FinalResult:
    """One full training.

    Attributes:
        model: name of the model YAML, without suffix.
        seed: the seed.
        val_map50_95, val_map50: of the best checkpoint on val.
        test_map50_95: the same on test; None where data.yaml names none.
        checkpoint: the best checkpoint.
    """

    model: str
    seed: int
    val_map50_95: float
    val_map50: float
    test_map50_95: float | None
    checkpoint: str


def check_arguments(arguments: Mapping[str, str]) -> dict[str, Any]:
    """The values of training arguments given as text, judged by Ultralytics before anything is trained.

    Raises:
        ConfigError: arguments that Ultralytics does not have or take, or that an option stands for; holds all.
    """
    from ultralytics.cfg import DEFAULT_CFG_DICT, check_cfg

    problems: list[UserError] = []
    values: dict[str, Any] = {}
    for name, text in arguments.items():
        if name in RESERVED:
            problems.append(UserError(f"`{name}=` must not be given", remedy=RESERVED[name]))
            continue
        if name not in DEFAULT_CFG_DICT:
            problems.append(UnknownName("training argument", name, DEFAULT_CFG_DICT))
            continue
        one = {name: _value(text)}
        try:
            check_cfg(one)
        except (TypeError, ValueError) as error:
            rule = "a training argument must be one that Ultralytics takes"
            problems.append(UserError(rule, got=str(error).rstrip("."), where=f"{name}={text}"))
        if name == "optimizer" and str(one[name]).lower() not in map(str.lower, OPTIMIZERS):
            problems.append(UnknownName("optimizer", text, OPTIMIZERS))
        values |= one
    if problems:
        raise ConfigError(problems)
    return values


def _value(text: str) -> Any:
    """The value that Ultralytics' own command line reads."""
    named = {"none": None, "true": True, "false": False}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def train_final(
    model: Path,
    data: DataInfo,
    seed: int,
    folder: Path,
    arguments: Mapping[str, Any],
    weights: Path | None = None,
    name: str | None = None,
) -> FinalResult:
    """Train one model YAML with one seed, or read the result of an earlier call that finished.

    Args:
        model: a model YAML, e.g. one that `export` wrote.
        data: the checked data set.
        seed: the seed.
        folder: where the run's files go.
        arguments: Ultralytics training arguments (`epochs`, `imgsz`, `batch`, `device`, ...).
        weights: checkpoint of a model with the same base; its tensors follow their layers past inserted rows.
        name: what the result calls the model; the file's name without suffix if None.

    Raises:
        UserError: the weights are of another model.
    """
    from ultralytics import YOLO

    name = name or model.stem
    done = folder / "result.json"
    wanted = asked(model, data, arguments, weights)
    if done.exists() and (found := json.loads(done.read_text()))["asked"] == wanted:
        return replace(FinalResult(**found["result"]), model=name)
    yolo = YOLO(str(model), task="detect")
    if weights is not None:
        print(load_weights(yolo, model, weights))
    yolo.train(
        data=str(data.path),
        seed=seed,
        project=str(folder.parent.resolve()),
        name=folder.name,
        exist_ok=True,
        **{"plots": False, "amp": _precision(arguments.get("device")), **arguments},
    )
    box = yolo.trainer.validator.metrics.box
    val50_95, val50 = float(box.map), float(box.map50)
    checkpoint = Path(yolo.trainer.best)
    test = None
    if data.test:
        given = {k: v for k, v in arguments.items() if k in ("imgsz", "batch", "device", "workers")}
        metrics = YOLO(str(checkpoint)).val(data=str(data.path), split="test", plots=False, verbose=False, **given)
        test = float(metrics.box.map)
    result = FinalResult(name, seed, val50_95, val50, test, str(checkpoint))
    write_text_atomic(done, json.dumps({"asked": wanted, "result": asdict(result)}, indent=1))
    return result


def asked(model: Path, data: DataInfo, arguments: Mapping[str, Any], weights: Path | None) -> dict[str, Any]:
    """All that a result depends on but its seed, as JSON gives it back; files by their content."""
    content = None if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()
    known = {"data": data.fingerprint, "model": model.read_text(), "weights": content, **arguments}
    named = [s for s in user.sources() if any(registry.get(n).cls.__name__ in known["model"] for n in s.names)]
    if named:  # a module file that was edited since makes another result
        known["modules"] = [s.digest for s in named]
    return json.loads(json.dumps(known))


def _precision(device: Any) -> str | bool:
    """Half precision where the GPU has bfloat16; Ultralytics' own choice starts with a download, to check float16."""
    import torch

    return "bf16" if device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported() else False


def load_weights(yolo: Any, model: Path, weights: Path) -> TransferReport:
    """Carry a checkpoint's weights over: all where it is of this very architecture, otherwise past inserted rows.

    Args:
        yolo: an `ultralytics.YOLO` of the model; trains on from these weights afterwards.
        model: its YAML.
        weights: the checkpoint.

    Raises:
        UserError: it is of another model.
    """
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.transfer import transfer

    base = load_base(str(model))
    state = load_base(str(weights)).weights(base)
    assert state is not None
    report = transfer(yolo.model, state, {row: row for row in range(len(base.rows))})
    yolo.ckpt = {"model": yolo.model}  # without a checkpoint the trainer would build the model anew
    return report
