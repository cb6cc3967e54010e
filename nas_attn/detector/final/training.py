"""The full training of an exported model YAML, by Ultralytics' own trainer with Ultralytics' own defaults.

If weights are given, their tensors are first copied into a checkpoint next to the folder of the run, each into its
layer in spite of inserted rows. The training starts from that checkpoint; so do the processes on further GPUs, and so
can plain Ultralytics.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.attention import layers, registry, user
from nas_attn.data.check import DataInfo
from nas_attn.data.download import without_download
from nas_attn.detector.final.plain_command import conditions, plain_command
from nas_attn.detector.final.ready_model import of_ultralytics
from nas_attn.detector.final.training_folder import TrainingFolder, epochs_of
from nas_attn.detector.model.rows import PREFIX
from nas_attn.errors import MissingPart, NasAttnError
from nas_attn.tasks import TASKS

if TYPE_CHECKING:
    from nas_attn.detector.model.base_model import BaseModel


@dataclass(frozen=True)
class FinalResult:
    """The result of one full training.

    Attributes:
        model: name of the model YAML, without suffix.
        seed: the seed.
        val_map50_95, val_map50: mAP of the best checkpoint on val, for the objects that `metric` names.
        test_map50_95: the same on test; None if data.yaml has no test images.
        checkpoint: the best checkpoint.
        metric: the kind of object that the mAP is computed on: `box`, `mask`, `keypoint` or `oriented box`.
        transferred: [number of tensors copied from the weights, number of tensors in them]; None without weights.
        plain_command: the command of plain Ultralytics that does the same training.
    """

    model: str
    seed: int
    val_map50_95: float
    val_map50: float
    test_map50_95: float | None
    checkpoint: str
    metric: str = "box"
    transferred: list[int] | None = None
    plain_command: str = ""


@dataclass(frozen=True)
class Training:
    """All arguments of one full training.

    Attributes:
        name: name of the model in the result.
        path: the model YAML.
        model: the content of that YAML, with the classes and keypoints of the data.
        data: the checked data set.
        seed: the seed.
        folder: the folder for the files of the run.
        arguments: training arguments of Ultralytics (`epochs`, `imgsz`, `batch`, `device`, ...).
        weights: checkpoint of this model, or of a model with the same base.
        partial: True to take the tensors that fit from any checkpoint.
    """

    name: str
    path: Path
    model: BaseModel
    data: DataInfo
    seed: int
    folder: Path
    arguments: Mapping[str, Any]
    weights: Path | None = None
    partial: bool = False

    @property
    def run(self) -> TrainingFolder:
        """The folder that the training writes, which also knows its state."""
        wanted = asked(self.path, self.data, self.arguments, self.weights)
        return TrainingFolder(self.folder.resolve(), {**wanted, "partial": True} if self.partial else wanted)


def train_final(training: Training) -> FinalResult:
    """Train, continue an interrupted training, or read the result of a finished one.

    Files of another training in the folder are overwritten; call `training.run.check` before to refuse that.

    Raises:
        UserError: the weights belong to another model.
        StudyLocked: another process trains in the folder.
        NasAttnError: a process on a further GPU failed.
    """
    run = training.run
    with run.alone():
        return _result(training, run)


def _result(training: Training, run: TrainingFolder) -> FinalResult:
    state, kind = run.state(), TASKS[training.model.task].measured  # 0.1.0 wrote another name for oriented boxes
    if state == "finished":
        return FinalResult(**{**run.content()["result"], "model": training.name, "metric": kind})
    trained = None
    if state in ("new", "other"):
        trained = _train(training, run)
    elif state == "broken off":
        print(f"{run.folder}: continues after epoch {run.resume()}")
        trained = _go_on(training, run)
    else:
        print(f"{run.folder}: already trained; only the final evaluation is missing")
    best = run.best if epochs_of(run.best) else run.last
    val = (trained and _scores(trained, training.model.task)) or _evaluate(training, best, "val")
    test = _evaluate(training, best, "test") if training.data.test else (None, None)
    command = run.content()["plain_command"]
    result = FinalResult(training.name, training.seed, *val, test[0], str(best), kind, run.content()["moved"], command)
    run.finish(asdict(result))
    return result


def asked(model: Path, data: DataInfo, arguments: Mapping[str, Any], weights: Path | None) -> dict[str, Any]:
    """Everything except the seed that decides the result of a training, JSON-ready.

    A file counts by its content, not by its path.

    Args:
        model: the model YAML.
        data: the checked data set.
        arguments: training arguments of Ultralytics.
        weights: the checkpoint that the training starts from, if any.
    """
    content = None if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()
    known = {"data": data.fingerprint, "model": model.read_text("utf-8"), "weights": content, **arguments}
    named = _own_files(known["model"])
    if named:  # an edited module file gives another result
        known["modules"] = [s.digest for s in named]
    plain: dict[str, Any] = json.loads(json.dumps(known))
    return plain


def _own_files(model_text: str) -> list[user.Source]:
    """The user's files that define a module or a layer of a model YAML."""
    own = [s for s in user.sources() if any(registry.get(n).cls.__name__ in model_text for n in s.names)]
    found = (layers.get(n).source for n in layers.names() if f"{PREFIX}{n}," in model_text)
    return [*own, *dict.fromkeys(found)]


def check_processes(device: Any) -> None:
    """Check that a training on several GPUs has the library that starts its processes.

    Raises:
        MissingPart: cloudpickle is missing.
    """
    if "," in str(device) and importlib.util.find_spec("cloudpickle") is None:
        raise MissingPart("Training on several GPUs needs cloudpickle: pip install cloudpickle")


def _train(training: Training, run: TrainingFolder) -> Any:
    """Train from the beginning; return Ultralytics' trainer."""
    from nas_attn.detector.weights.start_model import save_start, start_model

    fit, source = None, training.path
    if training.weights is not None:
        model, fit = start_model(training.model, training.weights, training.seed, partial=training.partial)
        source = run.start
    ours = {"plots": False, "amp": _precision(training.arguments.get("device"))}
    arguments = {**training.arguments, **{k: v for k, v in ours.items() if k not in training.arguments}}
    command = plain_command(training.model.task, source, training.data.path, training.seed, arguments)
    run.begin({"moved": fit and [fit.moved, fit.total], "plain_command": command})
    if fit is not None:
        save_start(model, training.model.task, source)
        print(f"weights of {training.weights}: " + "\n".join(fit.lines()))
    kinds = {bool(source.names) for source in _own_files(training.path.read_text("utf-8"))}
    variables = {True: (user.ENVIRONMENT, "--modules"), False: (user.LAYERS_ENVIRONMENT, "--layers")}
    needed = dict(found for kind, found in variables.items() if kind in kinds)
    print("\n".join(["with plain Ultralytics:", command, *conditions(training.weights, fit, needed)]))
    given = {"data": str(without_download(training.data.path)), "seed": training.seed, **arguments}
    where = {"project": str(run.folder.parent), "name": run.folder.name, "exist_ok": True}
    return _run(of_ultralytics(training.model, source), training.model, {**given, **where})


def _go_on(training: Training, run: TrainingFolder) -> Any:
    """Continue a training with Ultralytics' own `resume`; return its trainer. The folder may have been moved."""
    given = {"resume": True, "data": str(without_download(training.data.path)), "save_dir": str(run.folder)}
    return _run(of_ultralytics(training.model, run.last), training.model, given)


def _run(yolo: Any, model: BaseModel, arguments: Mapping[str, Any]) -> Any:
    from nas_attn.detector.final.trainers import CarriedModules, trainer_of

    yolo.add_callback("on_train_start", CarriedModules((*user.sources(), *model.sources)))
    try:
        yolo.train(trainer=trainer_of(model.head, model.task), **arguments)
    except subprocess.CalledProcessError as error:
        raise NasAttnError(
            f"Training in several processes failed (exit code {error.returncode}); their output is above. "
            "The same command continues after the last complete epoch."
        ) from error
    return yolo.trainer


def _evaluate(training: Training, checkpoint: Path, split: str) -> tuple[float, float]:
    """mAP50-95 and mAP50 of a checkpoint on a split, measured on one device."""
    known = training.arguments
    given = {k: known[k] for k in ("imgsz", "batch", "workers") if k in known}
    device = str(known.get("device", "")).split(",")[0] or None
    if split == "val" and training.model.task != "obb":
        given["batch"] = 2 * given["batch"]  # as Ultralytics' trainer does; the batch decides the padding of images
    name = f"val-{split}"
    where = {"project": str(training.run.folder), "name": name, "exist_ok": True}
    metrics = of_ultralytics(training.model, checkpoint).val(
        data=str(without_download(training.data.path)),
        split=split,
        device=device,
        plots=False,
        verbose=False,
        **given,
        **where,
    )
    with contextlib.suppress(OSError):  # Ultralytics makes this folder for plots, which are off
        (training.run.folder / name).rmdir()
    return map_of(metrics, training.model.task)


def _scores(trainer: Any, task: str) -> tuple[float, float] | None:
    """mAP50-95 and mAP50 of the best checkpoint, as the trainer measured them; None if another process did."""
    return None if trainer.validator is None else map_of(trainer.validator.metrics, task)


def map_of(metrics: Any, task: str) -> tuple[float, float]:
    """mAP50-95 and mAP50 for the objects of a task, from Ultralytics' metrics."""
    part = getattr(metrics, TASKS[task].metrics)
    return float(part.map), float(part.map50)


def _precision(device: Any) -> str | bool:
    """The argument `amp`: bfloat16 if the GPU has it. Ultralytics' default downloads a model to check float16."""
    import torch

    return "bf16" if device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported() else False
