"""`train`: trains exported YAMLs in full with Ultralytics, and compares them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_attn.cli.fields import option
from nas_attn.cli.options import Json, Layers, Modules, Trust, Yes, use_modules
from nas_attn.errors import UserError
from nas_attn.study.config import StudyConfig

if TYPE_CHECKING:
    from nas_attn.data.check import DataInfo
    from nas_attn.detector.model.base_model import BaseModel

NAME = "train"
EXAMPLES = """
nas-attn train best.yaml --data D.yaml --epochs 300
nas-attn train best.yaml base.yaml close_mosaic=5 --data D.yaml --seeds 3
"""


def command(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL.yaml|KEY=VALUE", help="Model YAMLs, and training arguments of Ultralytics."),
    ],
    data: Annotated[str, option(StudyConfig, "data")],
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs.")] = 300,
    imgsz: Annotated[int, typer.Option(min=32, help="Image size, pixels.")] = 640,
    batch: Annotated[int, typer.Option(min=1, help="Images per training step.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="First seed.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds; each model is trained once with each seed.")] = 1,
    weights: Annotated[
        Path | None, typer.Option(metavar="W.pt", help="Checkpoint of the base or of the model itself, to start from.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda (the first GPU), or GPU indices such as 0,1. [default: the first GPU, if any]"),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the runs.")] = Path(
        "runs/train"
    ),
    partial: Annotated[
        bool, typer.Option("--partial-weights", help="Load all weights that fit, even from another base.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite run folders of another command.")] = False,
    modules: Modules = None,
    layers: Layers = None,
    as_json: Json = False,
    trust: Trust = False,
    yes: Yes = False,
) -> None:
    """Train exported model YAMLs in full, and compare them.

    Each model is trained once with each seed and scored on val and test. The trainer and the defaults are those of
    Ultralytics, with two exceptions: no plots are drawn (plots=False), and half precision is bfloat16 if the GPU has
    it (amp=bf16), otherwise off (amp=False). Give KEY=VALUE to change these and other arguments.

    After an interruption, repeat the command: finished runs are kept, and the others continue after their last epoch.
    """
    from nas_attn.environment import prepare, stdout_to_stderr

    given = dict(m.split("=", 1) for m in models if "=" in m)
    files = _files(m for m in models if "=" not in m)
    if weights is not None:
        from nas_attn.detector.model.named_checkpoints import fetched

        weights = fetched(weights, lambda text: None)
        if not weights.is_file():
            raise UserError("the file of `--weights` must exist", got=f"'{weights}'")
    prepare()
    use_modules(modules, layers)
    os.environ["YOLO_VERBOSE"] = "true"  # hours of training must show progress, also in further processes
    with stdout_to_stderr():  # before the import, because Ultralytics prints its settings then
        from nas_attn.detector.final.arguments import check_arguments
        from nas_attn.detector.final.plain_command import shown
        from nas_attn.detector.final.training import Training, check_processes, train_final

        arguments: dict[str, Any] = {"epochs": epochs, "imgsz": imgsz, "batch": batch, "device": _device(device)}
        arguments |= check_arguments(given)
        check_processes(arguments["device"])
        trainings = []
        bases = {name: _load(file) for name, file in files.items()}
        info = _check_data(data, bases)
        for name, base in bases.items():
            model = base.changed(kpt_shape=info.kpt_shape)
            _check_model(files[name], model, info.nc, imgsz, weights, partial)
            for s in range(seed, seed + seeds):
                folder = output / f"{name}-seed{s}"
                trainings.append(Training(name, files[name], model, info, s, folder, arguments, weights, partial))
        for training in trainings:
            training.run.check(force=force)
        results = []
        for training in sorted(
            trainings, key=lambda t: t.seed
        ):  # seed by seed, so that an interruption leaves complete pairs
            what = f"{training.name} with seed {training.seed}"
            finished = training.run.state() == "finished"
            print(f"{what} is already finished; its results are read from {shown(training.folder)}" if finished
                  else f"training {what}")  # fmt: skip
            results.append(train_final(training))
    _show(results, as_json)


def _files(models: Iterable[str]) -> dict[str, Path]:
    """Model YAMLs by name: the name of the file, with as many folders as make it unique."""
    files = list(dict.fromkeys(Path(m).resolve() for m in models))
    if not files:
        raise UserError("`train` needs at least one model YAML", remedy="Write one with `python -m nas_attn export`.")
    if missing := [f for f in files if not f.is_file()]:
        raise UserError("a model YAML must exist", got=", ".join(map(str, missing)))
    if other := [f for f in files if f.suffix not in (".yaml", ".yml")]:
        remedy = "Give the model's YAML, and a checkpoint to start from as --weights."
        raise UserError("a model must be a YAML file", got=", ".join(map(str, other)), remedy=remedy)

    def name(file: Path, folders: int) -> str:
        return "/".join(file.with_suffix("").parts[-1 - folders :]).lstrip("/")

    names = {}
    for file in files:
        others = [f for f in files if f != file]
        depths = range(len(file.parts))
        unique = (n for d in depths if (n := name(file, d)).lower() not in [name(o, d).lower() for o in others])
        names[next(unique, file.name)] = file  # unique on macOS and Windows, too
    return names


def _load(file: Path) -> BaseModel:
    """The model of a file, if this command can train it.

    Raises:
        UserError: this command cannot train it, or Ultralytics would build another scale because of the file name.
    """
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.export import check_name
    from nas_attn.tasks import HEADS, TASKS

    model = load_base(str(file))
    check_name(file, model)
    if not HEADS[model.head].trained:
        rule = f"`train` takes models for {', '.join(TASKS)} with a fixed list of classes"
        remedy = "Train it with Ultralytics directly, after `nas-attn hook install`."
        raise UserError(rule, got=f"the head '{model.head}'", where=str(file), remedy=remedy)
    return model


def _check_data(data: str, bases: Mapping[str, BaseModel]) -> DataInfo:
    """The data set, checked for the task of the models; notes are printed on stderr."""
    from nas_attn.data.check import check_data
    from nas_attn.data.download import fetch

    tasks = {base.task for base in bases.values()}
    if len(tasks) > 1:
        rule = "models that are compared must have the same task"
        raise UserError(rule, got=", ".join(f"{name}: {base.task}" for name, base in bases.items()))
    fetch(data, lambda text: print(text, file=sys.stderr))
    info = check_data(data, tasks.pop())
    for note in info.notes:
        print(note, file=sys.stderr)
    return info


def _check_model(file: Path, model: BaseModel, nc: int, imgsz: int, weights: Path | None, partial: bool) -> None:
    """Refuse a model whose training would fail or would train a different model."""
    from nas_attn.detector.weights.start_model import start_model

    if model.nc != nc:
        rule = "a model's `nc` must equal the data set's number of classes"
        remedy = f"Write `nc: {nc}` in the file, or export or adopt it again with --nc {nc}."
        raise UserError(rule, got=f"{model.nc} and {nc}", where=str(file), remedy=remedy)
    built, _ = start_model(model, weights, 0, partial=partial)
    if imgsz % (stride := int(built.stride.max())):
        raise UserError(f"`--imgsz` must be a multiple of the model's stride {stride}", got=imgsz, where=str(file))


def _device(asked: str | None) -> str:
    """The device as Ultralytics names it: `cpu`, or GPU indices."""
    from nas_attn.study.devices import workers

    found = workers(asked, 1)[0][0]
    if found == "cpu":
        return "cpu"
    return "0" if asked in (None, "cuda") else str(asked)


def _show(results: list[Any], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print(json.dumps({"runs": [asdict(r) for r in results]}, indent=1))
        return
    from rich import box
    from rich.table import Table

    from nas_attn.cli.tables import stdout
    from nas_attn.detector.final.plain_command import shown

    table = Table(box=box.SIMPLE)
    kind = "" if results[0].metric == "box" else f"{results[0].metric} "
    for column in ("model", "seeds", f"val {kind}mAP50-95 ± sd", f"test {kind}mAP50-95 ± sd", "each seed, val / test"):
        table.add_column(column, overflow="fold")
    for name in dict.fromkeys(r.model for r in results):
        own = [r for r in results if r.model == name]
        tests = [r.test_map50_95 for r in own if r.test_map50_95 is not None]
        each = "  ".join(f"{r.val_map50_95:.4f} / {_number(r.test_map50_95)}" for r in own)
        seeds = ", ".join(str(r.seed) for r in own)
        table.add_row(name, seeds, _mean([r.val_map50_95 for r in own]), _mean(tests), each)
    stdout().print(table)
    for r in results:
        print(f"{r.model}, seed {r.seed}: {shown(Path(r.checkpoint))}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _mean(values: list[float]) -> str:
    import statistics

    if not values:
        return "–"
    sd = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{sd}"
