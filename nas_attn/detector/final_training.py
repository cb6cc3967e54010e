"""Full training of exported model YAMLs, by Ultralytics' own trainer with Ultralytics' own defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas_attn.detector.data import DataInfo
from nas_attn.errors import UserError
from nas_attn.files import write_text_atomic


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


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse training arguments that Ultralytics does not have, before anything is trained.

    Raises:
        UnknownName: such an argument; the message names the nearest.
    """
    from ultralytics.cfg import DEFAULT_CFG_DICT

    from nas_attn.errors import UnknownName

    for name in arguments:
        if name not in DEFAULT_CFG_DICT:
            raise UnknownName("training argument", name, DEFAULT_CFG_DICT)


def train_final(
    model: Path, data: DataInfo, seed: int, folder: Path, arguments: Mapping[str, Any], weights: Path | None = None
) -> FinalResult:
    """Train one model YAML with one seed, or read the result of an earlier call that finished.

    Args:
        model: a model YAML, e.g. one that `export` wrote.
        data: the checked data set.
        seed: the seed.
        folder: where the run's files go.
        arguments: Ultralytics training arguments (`epochs`, `imgsz`, `batch`, `device`, ...).
        weights: checkpoint of a model with the same base; its tensors follow their layers past inserted rows.

    Raises:
        UserError: the weights fit no layer.
    """
    from ultralytics import YOLO

    done = folder / "result.json"
    asked = {"data": data.fingerprint, "model": model.read_text(), "weights": str(weights), **arguments}
    if done.exists() and (found := json.loads(done.read_text()))["asked"] == asked:
        return FinalResult(**found["result"])
    yolo = YOLO(str(model), task="detect")
    if weights is not None:
        _transfer(yolo, weights)
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
    result = FinalResult(model.stem, seed, val50_95, val50, test, str(checkpoint))
    write_text_atomic(done, json.dumps({"asked": asked, "result": asdict(result)}, indent=1))
    return result


def _precision(device: Any) -> str | bool:
    """Half precision where the GPU has bfloat16; Ultralytics' own choice starts with a download, to check float16."""
    import torch

    return "bf16" if device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported() else False


def _transfer(yolo: Any, weights: Path) -> None:
    """Carry a base's weights over, past the rows that attention inserted."""
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.transfer import transfer

    state = load_base(str(weights)).weights()
    assert state is not None
    rows = [*yolo.model.yaml["backbone"], *yolo.model.yaml["head"]]
    own = [i for i, row in enumerate(rows) if not str(row[2]).startswith("nas_attn.")]
    report = transfer(yolo.model, state, dict(enumerate(own)))
    if report.moved == 0:
        raise UserError("`--weights` must fit the model's layers", got=f"'{weights}', of which no tensor does")
    print(report)
    yolo.ckpt = {"model": yolo.model}  # without a checkpoint the trainer would build the model anew
