"""`train`: exported YAMLs, trained in full by Ultralytics and put side by side."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_attn.cli.options import Json
from nas_attn.errors import UserError

NAME = "train"


def command(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL.yaml... [KEY=VALUE]...", help="Model YAMLs; then Ultralytics arguments."),
    ],
    data: Annotated[str, typer.Option(metavar="D.yaml", help="data.yaml in Ultralytics' format.")],
    epochs: Annotated[int, typer.Option(min=1, help="Epochs.")] = 300,
    imgsz: Annotated[int, typer.Option(min=32, help="Image size, pixels.")] = 640,
    batch: Annotated[int, typer.Option(min=1, help="Images a step.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="First seed.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds: each model is trained once with each.")] = 1,
    weights: Annotated[Path | None, typer.Option(metavar="W.pt", help="Checkpoint of the base to start from.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, or a GPU index. [the first GPU if any]")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where runs go.")] = Path(
        "runs/train"
    ),
    as_json: Json = False,
) -> None:
    """Train exported model YAMLs in full, with one or more seeds, and compare them on val and test.

    What finished is not trained again: repeat the command after an interruption.
    """
    from nas_attn.detector.base_model import load_base
    from nas_attn.detector.data import check_data
    from nas_attn.detector.environment import prepare

    files = [Path(m) for m in models if "=" not in m]
    if not files:
        raise UserError("`train` needs at least one model YAML", remedy="Write one with `python -m nas_attn export`.")
    if missing := [f for f in files if not f.is_file()]:
        raise UserError("a model YAML must exist", got=", ".join(map(str, missing)))
    if weights is not None and not weights.is_file():
        raise UserError("the file of `--weights` must exist", got=f"'{weights}'")
    prepare()
    info = check_data(data)
    for file in files:
        if (nc := load_base(str(file)).nc) != info.nc:
            raise UserError(
                "a model's `nc` must equal the data set's number of classes", got=f"{nc} and {info.nc}", where=str(file)
            )
    from nas_attn.detector.final_training import check_arguments, train_final

    arguments: dict[str, Any] = {"epochs": epochs, "imgsz": imgsz, "batch": batch, "device": device or _device()}
    arguments |= dict(_key_value(m) for m in models if "=" in m)
    check_arguments(arguments)
    results = []
    with _stdout_to_stderr():
        for s in range(seed, seed + seeds):  # seed by seed, so that an early stop leaves whole pairs
            for file in files:
                print(f"training {file.name} with seed {s}")
                results.append(train_final(file, info, s, output / f"{file.stem}-seed{s}", arguments, weights))
    _show(results, as_json)


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Ultralytics writes its progress to stdout, which is for results here."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _device() -> str:
    import torch

    return "0" if torch.cuda.is_available() else "cpu"


def _key_value(text: str) -> tuple[str, Any]:
    import yaml

    name, _, value = text.partition("=")
    return name, yaml.safe_load(value)


def _show(results: list[Any], as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print(json.dumps([asdict(r) for r in results], indent=1))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for column in ("model", "seeds", "val mAP50-95 ± sd", "test mAP50-95 ± sd", "each seed, val / test"):
        table.add_column(column, overflow="fold")
    for name in dict.fromkeys(r.model for r in results):
        own = [r for r in results if r.model == name]
        tests = [r.test_map50_95 for r in own if r.test_map50_95 is not None]
        each = "  ".join(f"{r.val_map50_95:.4f} / {_number(r.test_map50_95)}" for r in own)
        seeds = ", ".join(str(r.seed) for r in own)
        table.add_row(name, seeds, _mean([r.val_map50_95 for r in own]), _mean(tests), each)
    Console().print(table)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _mean(values: list[float]) -> str:
    import statistics

    if not values:
        return "–"
    sd = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{sd}"
