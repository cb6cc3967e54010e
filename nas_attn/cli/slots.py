"""`slots`: where attention can matter on your data, before any search."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_attn.cli.options import Json, Modules, Study

NAME = "slots"


def command(
    study: Study = None,
    data: Annotated[str | None, typer.Option(metavar="D.yaml", help="data.yaml in Ultralytics' format.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="W.pt", help="Checkpoint to start the base from.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.")] = None,
    imgsz: Annotated[int | None, typer.Option(help="Image size, pixels.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or GPU indices. [GPUs if any]")] = None,
    jobs: Annotated[int | None, typer.Option(help="Seeds at a time.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Bases trained; their mean is reported.")] = 1,
    seed: Annotated[int | None, typer.Option(help="First seed. [0]")] = None,
    modules: Modules = None,
    as_json: Json = False,
) -> None:
    """Train the base and zero each slot in turn: a slot whose loss costs nothing cannot gain from attention."""
    from nas_attn.cli.progress import Reporter, liveness
    from nas_attn.detector.environment import prepare
    from nas_attn.study.load import load_config

    names = ("data", "model", "weights", "epochs", "imgsz", "batch", "device", "jobs", "seed")
    values = locals()
    given: dict[str, Any] = {n: values[n] for n in names} | {"control_seeds": seeds, "test": False}
    if modules:
        given["module_files"] = modules
    config = load_config(study, given)
    prepare()
    from nas_attn.study.slot_check import check_slots

    with tempfile.TemporaryDirectory(prefix="nas_attn-slots-") as folder, Reporter() as reporter:
        found = check_slots(config, Path(folder), reporter.preparing)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    print(f"{found['base']}, mAP50-95 {found['intact']:.4f} on val over seeds {found['seeds']}")
    for name, drop in found["drop"].items():
        print(f"  {name}: {liveness(drop, config.live_threshold)}")
    if not found["live"]:
        print("No slot matters here: train longer, at a larger size or from weights.", file=sys.stderr)
