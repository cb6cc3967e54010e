"""`search`: train controls and sampled architectures, and show the Pareto front."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_attn.cli.options import RUNS_DEFAULT, Json, Runs, Slots, Study, TrialMinutes, Trust, slot_names

NAME = "search"


def command(
    study: Study = None,
    trials: Annotated[int | None, typer.Option(help="Trials of the whole study, controls included. [100]")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="D.yaml", help="data.yaml, or one of Ultralytics', as VOC.yaml.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Base model, e.g. yolo11n.yaml or yolov8s.yaml.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="W.pt", help="Checkpoint to start every trial from.")] = None,
    start: Annotated[str | None, typer.Option(help="scratch, weights, or base (train the base once, go on).")] = None,
    space: Annotated[str | None, typer.Option(help="Search space: a shipped name or a YAML path. [neck]")] = None,
    slots: Slots = None,
    modules: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...|FILE.py", help="Modules to search, e.g. acmix,lska; or a file of your own ones."
        ),
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe, gp, nsga2 or random. [tpe]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of a proxy run.")] = None,
    imgsz: Annotated[int | None, typer.Option(help="Image size of the proxy, pixels.")] = None,
    final_imgsz: Annotated[
        int | None, typer.Option(help="Image size of the final training; cost is for it. [640]")
    ] = None,
    fraction: Annotated[float | None, typer.Option(help="Share of the training images used. [1]")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step. [8]")] = None,
    dead_slots: Annotated[
        str | None, typer.Option(help="skip or keep slots that the base does not use. [skip]")
    ] = None,
    max_gmacs: Annotated[float | None, typer.Option(help="Refuse costlier architectures before training.")] = None,
    max_params: Annotated[float | None, typer.Option(help="The same, in million parameters.")] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Optuna storage. [NAS_ATTN_STORAGE, or SQLite in the run folder]")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or GPU indices such as 0,1. [GPUs if any]")] = None,
    jobs: Annotated[int | None, typer.Option(help="Trials at a time. [one a GPU, or one a core]")] = None,
    hours: Annotated[float | None, typer.Option(help="Start no new trial after this long.")] = None,
    trial_minutes: TrialMinutes = None,
    seed: Annotated[int | None, typer.Option(help="First seed. [0]")] = None,
    runs: Runs = RUNS_DEFAULT,
    as_json: Json = False,
    trust: Trust = False,
) -> int:
    """Search attention modules for a neck. Run it again to continue, or with more --trials to go on."""
    from nas_attn.cli.progress import Reporter
    from nas_attn.study import run_search

    given: dict[str, Any] = {
        k: v
        for k, v in locals().items()
        if k not in ("study", "runs", "as_json", "trust", "Reporter", "run_search", "given") and v is not None
    }
    if slots is not None:
        given["slots"] = slot_names(slots)
    given |= modules_given(given.pop("modules", None) or ())
    with Reporter() as reporter:
        view = run_search(study, runs=runs, observer=reporter, progress=reporter.preparing, **given)
    if as_json:
        print(json.dumps(summary(view), indent=1))
    else:
        _show(view)
    return 0


def modules_given(items: Iterable[str]) -> dict[str, Any]:
    """What `--modules` says: names of modules to search, separated by commas, and files of a user's own."""
    files = [item for item in items if item.endswith(".py") or os.sep in item]
    names = [n.strip() for item in items if item not in files for n in item.split(",") if n.strip()]
    given: dict[str, Any] = {"module_files": files} if files else {}
    return given | ({"modules": dict.fromkeys(names)} if names else {})


def summary(view: Any) -> dict[str, Any]:
    """The study as one JSON-ready object: `study`, `front` (candidates) and `trials`."""
    from nas_attn.analysis.front import front

    return {
        "study": {"name": view.name, "folder": str(view.folder), "base": view.header["base"], "slots": view.slots},
        "front": [
            {
                "architecture": str(c.architecture),
                "map50_95": c.score,
                "mean": c.mean,
                "sd": c.sd,
                "delta": c.delta,
                "seeds": list(c.seeds),
                **c.cost,
            }
            for c in front(view)
        ],
        "trials": [
            {
                "number": t.number,
                "architecture": str(t.architecture),
                "seed": t.seed,
                "map50_95": t.map50_95,
                "gmacs": t.cost.get("gmacs"),
                "params_m": t.cost.get("params_m"),
                "state": t.state,
            }
            for t in view.trials
        ],
    }


def _show(view: Any) -> None:
    from nas_attn.analysis.noise import noise_words
    from nas_attn.cli.tables import front_table, liveness_table, stdout

    out = stdout()
    if view.slots:
        out.print(liveness_table(view))
    out.print(front_table(view))
    out.print(noise_words(view), soft_wrap=True)
    if view.header["config"]["demo"]:
        out.print("This was the demo on generated data: its ranking does not carry over to real data.", soft_wrap=True)
    folder = Path(view.folder)
    name = folder.name  # a copied folder is another study than the one that its records name
    where = "" if folder.parent == RUNS_DEFAULT else f" --runs {folder.parent}"
    word = "" if name == "demo" else f" {name}"
    out.print(
        f"Everything lies in {folder}\n"
        f"  report     python -m nas_attn report{word}{where} -o report.html\n"
        f"  dashboard  python -m nas_attn dashboard{word}{where}\n"
        f"  export     python -m nas_attn export{word}{where} --pick knee -o best.yaml\n"
        f"  ablate     python -m nas_attn ablate{word or ' demo'}{where} --plan",
        soft_wrap=True,
        highlight=False,
    )
