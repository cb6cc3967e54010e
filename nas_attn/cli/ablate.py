"""`ablate`: take an architecture apart, with paired seeds, and say what survives."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_attn.cli.options import RUNS_DEFAULT, Json, Modules, Runs, Slots, Study, TrialMinutes, Trust, slot_names

NAME = "ablate"
STUDY_OPTIONS = ("data", "model", "weights", "start", "space", "device", "jobs", "trial_minutes")


def command(
    study: Study = None,
    base: Annotated[
        str | None, typer.Option(metavar='"p3=... p4=..."', help="Architecture, in place of the study's winner.")
    ] = None,
    pick: Annotated[str | None, typer.Option(help="best, knee or trial:N of the study. [best]")] = None,
    kinds: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="leave-one-out, add-one-in, swap, sweep, placement, scale; and, where asked, factorial, a/a. [the "
            "first six]",
        ),
    ] = None,
    arm: Annotated[
        list[str] | None, typer.Option(metavar='"p5=..."', help="A further architecture; may be repeated.")
    ] = None,
    controls: Annotated[
        bool | None, typer.Option("--controls/--no-controls", help="Plain convolutions in place of attention. [yes]")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Seeds of every arm. [5]")] = None,
    hours: Annotated[
        float | None, typer.Option(help="Let results decide the seeds, and start no new trial after this long.")
    ] = None,
    max_seeds: Annotated[int | None, typer.Option(help="Most seeds where results decide. [20]")] = None,
    difference: Annotated[
        float | None, typer.Option(help="Smallest difference in mAP50-95 that matters. [0.01]")
    ] = None,
    scales: Annotated[
        str | None, typer.Option(metavar="s,m", help="Larger scales of the base for `scale`. [the next two]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="First seed. [one that the search did not use]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of a trial. [the study's]")] = None,
    imgsz: Annotated[int | None, typer.Option(help="Image size, pixels. [the study's]")] = None,
    fraction: Annotated[float | None, typer.Option(help="Share of the training images. [the study's]")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step. [the study's]")] = None,
    dead_slots: Annotated[
        str | None, typer.Option(help="skip or keep arms that differ in dead slots only. [the study's]")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the ablation within the study. [ablation]")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would run and what it costs; run nothing.")] = False,
    data: Annotated[str | None, typer.Option(metavar="D.yaml", help="data.yaml, where there is no study.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model, where there is no study.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="W.pt", help="Checkpoint to start every trial from.")] = None,
    start: Annotated[str | None, typer.Option(help="scratch, weights or base, where there is no study.")] = None,
    space: Annotated[str | None, typer.Option(help="Search space, where there is no study. [neck]")] = None,
    slots: Slots = None,
    modules: Modules = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or GPU indices such as 0,1. [GPUs if any]")] = None,
    jobs: Annotated[int | None, typer.Option(help="Trials at a time. [one a GPU, or one a core]")] = None,
    trial_minutes: TrialMinutes = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="Also write the tables here.")
    ] = None,
    runs: Runs = RUNS_DEFAULT,
    as_json: Json = False,
    trust: Trust = False,
) -> int:
    """Ablate a study's winner, or any architecture: paired seeds, corrected p-values, verdicts in words.

    Run it again to continue. Tables are written as Markdown, LaTeX and CSV beside the trials.
    """
    values = locals()
    given: dict[str, Any] = {
        n: values[n]
        for n in (
            *("base", "pick", "controls", "seeds", "hours", "max_seeds", "difference", "seed"),
            *("epochs", "imgsz", "fraction", "batch", "dead_slots"),
        )
    }
    given |= {"kinds": _names(kinds), "arms": arm or None, "scales": _names(scales)}
    options = {n: values[n] for n in STUDY_OPTIONS if values[n] is not None}
    if slots is not None:
        options["slots"] = slot_names(slots)
    if modules:
        from nas_attn.cli.search import modules_given

        options |= modules_given(modules)
    from nas_attn.ablation.plan.settings import load_request
    from nas_attn.environment import prepare
    from nas_attn.errors import UserError

    prepare()
    if output is not None and output.exists() and not output.is_dir():
        raise UserError("`--output` must be a folder", got=f"the file '{output}'", where="--output")
    request = load_request(study, given, options, runs=runs, name=name)
    if plan:
        _print_plan(request, as_json)
        return 0
    if not request.fresh:
        print("warning: these seeds were used before, by the search or another ablation; what they chose they confirm",
              file=sys.stderr)  # fmt: skip
    return _run(request, output, as_json)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else slot_names(text)


def _print_plan(request: Any, as_json: bool) -> None:
    import tempfile

    from nas_attn.ablation.plan.estimate import estimate, foresight
    from nas_attn.ablation.run import planned
    from nas_attn.cli.ablation_tables import plan_table
    from nas_attn.cli.progress import Reporter
    from nas_attn.cli.tables import stdout

    with tempfile.TemporaryDirectory(prefix="nas_attn-plan-") as folder, Reporter() as reporter:
        plan, view = planned(request, Path(folder), reporter.preparing)
        reporter.preparing("estimating")
        cost = estimate(plan, view)
    if as_json:
        arms = [{**a.as_dict(), **plan.costs[a.name], "seconds": cost.seconds[a.name]} for a in plan.design.arms]
        found = {"arms": arms, "looks": list(view.looks.seeds), "trials": cost.trials, "hours": cost.hours}
        found["at_most"], found["foresight"] = cost.at_most, foresight(plan, view)
        print(json.dumps({**found, "workers": cost.workers, "source": cost.source, "notes": plan.notes}, indent=1))
        return
    out = stdout()
    out.print(plan_table(plan, cost, view))
    for note in plan.notes:
        out.print(f"note: {note}", soft_wrap=True, markup=False)
    most = "at most " if cost.at_most else ""
    out.print(
        f"{most}{cost.trials} trials, {most}{cost.hours:.2f} hours on {cost.workers} worker"
        f"{'s' * (cost.workers != 1)} (seconds a trial from {cost.source}). Nothing was run.",
        soft_wrap=True,
    )
    if text := foresight(plan, view):
        out.print(text, soft_wrap=True)


def _run(request: Any, output: Path | None, as_json: bool) -> int:
    from nas_attn.ablation.report.files import table_files, write_tables
    from nas_attn.ablation.run import run_ablation
    from nas_attn.cli.ablation_progress import AblationReporter
    from nas_attn.statistics.paired import MIN_PAIRS

    if request.settings.seeds < MIN_PAIRS and not request.settings.sequential:
        print(
            f"warning: with fewer than {MIN_PAIRS} seeds nothing can be tested: the table will have no p-values",
            file=sys.stderr,
        )
    try:
        with AblationReporter() as reporter:
            view = run_ablation(request, observer=reporter, progress=reporter.preparing)
    except KeyboardInterrupt:
        if (table := table_files(request.folder)[0]).exists():
            print(f"the partial table is in {table}", file=sys.stderr)
        raise
    files = table_files(request.folder)
    if output is not None:
        files += write_tables(view, output)
    if as_json:
        print(json.dumps(summary_json(view), indent=1))
        return 0
    _show(view, files)
    return 0


def summary_json(view: Any) -> dict[str, Any]:
    """The ablation as one JSON-ready object."""
    from nas_attn.ablation.report.files import figures
    from nas_attn.ablation.report.words import summary

    return {
        "ablation": view.name,
        "folder": str(view.folder),
        "full": view.header["ablation"]["full"],
        "partial": view.partial,
        "summary": summary(view),
        "rows": figures(view),
    }


def _show(view: Any, files: list[Path]) -> None:
    from nas_attn.ablation.report.words import summary
    from nas_attn.cli.ablation_tables import ablation_tables
    from nas_attn.cli.tables import stdout

    out = stdout()
    for table, method in ablation_tables(view):
        out.print(table)
        out.print(method, soft_wrap=True, markup=False, style="dim")
        out.print()
    out.print(summary(view), soft_wrap=True, markup=False)
    for file in files:
        print(f"  {file}")
