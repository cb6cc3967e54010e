"""Full training of exported model YAMLs, by Ultralytics' own trainer with Ultralytics' own defaults.

If weights are given, their tensors are copied once, past inserted rows, into a checkpoint beside the run's folder. The
training starts from that checkpoint, as does every process on a further GPU, and as plain Ultralytics can.
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

from nas_attn.attention import registry, user
from nas_attn.data.check import DataInfo
from nas_attn.data.download import without_download
from nas_attn.detector.final.plain_command import conditions, plain_command
from nas_attn.detector.final.ready_model import of_ultralytics
from nas_attn.detector.final.training_folder import TrainingFolder, epochs_of
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
        val_map50_95, val_map50: of the best checkpoint on val; of the task's own objects, see `metric`.
        test_map50_95: the same on test; None if data.yaml names none.
        checkpoint: the best checkpoint.
        metric: the kind of object that the mAP is of: `box`, `mask`, `keypoint` or `oriented box`.
        transferred: number of tensors that were copied from the weights, and that these have; None without weights.
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
    """The order for one full training.

    Attributes:
        name: name of the model in the result.
        path: its YAML.
        model: that YAML as read, with the data's classes and keypoints.
        data: the checked data set.
        seed: the seed.
        folder: the folder for the run's files.
        arguments: Ultralytics training arguments (`epochs`, `imgsz`, `batch`, `device`, ...).
        weights: checkpoint of a model with the same base, or of this very model.
        partial: take the tensors that fit from any checkpoint.
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
        """The folder that it writes, with the state that it is in."""
        wanted = asked(self.path, self.data, self.arguments, self.weights)
        return TrainingFolder(self.folder.resolve(), {**wanted, "partial": True} if self.partial else wanted)


def train_final(training: Training) -> FinalResult:
    """Train, continue an interrupted training, or read the result of a finished one.

    Other files in the run's folder are overwritten: `training.run.check` refuses that beforehand.

    Raises:
        UserError: the weights are of another model.
        StudyLocked: another process trains in the folder.
        NasAttnError: a process on a further GPU failed.
    """
    run = training.run
    with run.alone():
        return _result(training, run)


def _result(training: Training, run: TrainingFolder) -> FinalResult:
    state, kind = run.state(), TASKS[training.model.task].measured  # 0.1.0 wrote another name of oriented boxes
    if state == "finished":
        return FinalResult(**{**run.content()["result"], "model": training.name, "metric": kind})
    trained = None
    if state in ("new", "other"):
        trained = _train(training, run)
    elif state == "broken off":
        print(f"{run.folder}: going on behind epoch {run.resume()}")
        trained = _go_on(training, run)
    else:
        print(f"{run.folder}: trained already; only its figures are missing")
    best = run.best if epochs_of(run.best) else run.last
    val = (trained and _scores(trained, training.model.task)) or _evaluate(training, best, "val")
    test = _evaluate(training, best, "test") if training.data.test else (None, None)
    command = run.content()["plain_command"]
    result = FinalResult(training.name, training.seed, *val, test[0], str(best), kind, run.content()["moved"], command)
    run.finish(asdict(result))
    return result


def asked(model: Path, data: DataInfo, arguments: Mapping[str, Any], weights: Path | None) -> dict[str, Any]:
    """All that a result depends on except its seed, as JSON gives it back; files stand for their content."""
    content = None if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()
    known = {"data": data.fingerprint, "model": model.read_text(), "weights": content, **arguments}
    named = _own_files(known["model"])
    if named:  # a module file that was edited since makes another result
        known["modules"] = [s.digest for s in named]
    return json.loads(json.dumps(known))


def _own_files(model_text: str) -> list[user.Source]:
    """The user's own module files with a module that a model YAML names."""
    return [s for s in user.sources() if any(registry.get(n).cls.__name__ in model_text for n in s.names)]


def check_processes(device: Any) -> None:
    """Refuse several GPUs if the library that starts their processes is missing.

    Raises:
        MissingPart: cloudpickle is missing.
    """
    if "," in str(device) and importlib.util.find_spec("cloudpickle") is None:
        raise MissingPart("Training on several GPUs needs cloudpickle: pip install cloudpickle")


def _train(training: Training, run: TrainingFolder) -> Any:
    """Train from the beginning, and return Ultralytics' trainer."""
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
    own_files = bool(_own_files(training.path.read_text()))
    print("\n".join(["with plain Ultralytics:", command, *conditions(training.weights, fit, own_files)]))
    given = {"data": str(without_download(training.data.path)), "seed": training.seed, **arguments}
    where = {"project": str(run.folder.parent), "name": run.folder.name, "exist_ok": True}
    return _run(of_ultralytics(training.model, source), training.model, {**given, **where})


def _go_on(training: Training, run: TrainingFolder) -> Any:
    """Do the rest of a training by Ultralytics' own resuming; the folder may have been moved meanwhile."""
    given = {"resume": True, "data": str(without_download(training.data.path)), "save_dir": str(run.folder)}
    return _run(of_ultralytics(training.model, run.last), training.model, given)


def _run(yolo: Any, model: BaseModel, arguments: Mapping[str, Any]) -> Any:
    from nas_attn.detector.final.trainers import CarriedModules, trainer_of

    yolo.add_callback("on_train_start", CarriedModules(user.sources()))
    try:
        yolo.train(trainer=trainer_of(model.head, model.task), **arguments)
    except subprocess.CalledProcessError as error:
        raise NasAttnError(
            f"Training in several processes failed (exit code {error.returncode}); what they said stands above. "
            "The same command goes on behind the last whole epoch."
        ) from error
    return yolo.trainer


def _evaluate(training: Training, checkpoint: Path, split: str) -> tuple[float, float]:
    """mAP50-95 and mAP50 of a checkpoint, on one device."""
    known = training.arguments
    given = {k: known[k] for k in ("imgsz", "batch", "workers") if k in known}
    device = str(known.get("device", "")).split(",")[0] or None
    if split == "val" and training.model.task != "obb":
        given["batch"] = 2 * given["batch"]  # as Ultralytics' trainer does; the batch decides how images are padded
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
    with contextlib.suppress(OSError):  # made by Ultralytics, for pictures that were not asked for
        (training.run.folder / name).rmdir()
    return map_of(metrics, training.model.task)


def _scores(trainer: Any, task: str) -> tuple[float, float] | None:
    """mAP50-95 and mAP50 of the best checkpoint as the trainer measured them; None if another process did."""
    return None if trainer.validator is None else map_of(trainer.validator.metrics, task)


def map_of(metrics: Any, task: str) -> tuple[float, float]:
    """mAP50-95 and mAP50 of the task's own objects, from Ultralytics' metrics."""
    part = getattr(metrics, TASKS[task].metrics)
    return float(part.map), float(part.map50)


def _precision(device: Any) -> str | bool:
    """The argument `amp`: bfloat16 if the GPU has it. Ultralytics' own choice downloads a model to check float16."""
    import torch

    return "bf16" if device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported() else False
