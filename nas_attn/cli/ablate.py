"""`ablate`: tests the parts of an architecture with paired seeds, and reports the significant differences."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_attn.cli.fields import FieldOptions, with_fields
from nas_attn.cli.options import RUNS_DEFAULT, Json, Runs, Study, Trust
from nas_attn.study.ablation_config import AblationConfig
from nas_attn.study.config import StudyConfig

NAME = "ablate"
EXAMPLES = """
nas-attn ablate mine --seeds 5
nas-attn ablate own --base "p3=acmix p5=lska(k_size=23)" --data D.yaml
"""
OFFERED = (
    *("base", "pick", "kinds", "arms", "controls", "seeds", "hours", "max_seeds", "difference", "scales", "seed"),
    *("epochs", "imgsz", "fraction", "batch", "dead_slots"),
)
OF_THE_STUDY = (
    *("data", "model", "weights", "start", "space", "slots", "module_files"),
    *("device", "jobs", "trial_minutes"),
)
WITHOUT_STUDY = {
    "data": "data.yaml, if no study is given.",
    "model": "Base model, if no study is given.",
    "start": "scratch, weights or base, if no study is given.",
    "space": "Search space, if no study is given.",
}


@with_fields
def command(
    study: Study = None,
    *,
    ablation: Annotated[dict[str, Any], FieldOptions(AblationConfig, OFFERED)],
    name: Annotated[str | None, typer.Option(help="Name of the ablation within the study. [default: ablation]")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the trials and the hours that they need; train nothing.")
    ] = False,
    options: Annotated[dict[str, Any], FieldOptions(StudyConfig, OF_THE_STUDY, WITHOUT_STUDY)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="Also write the tables to this folder.")
    ] = None,
    runs: Runs = RUNS_DEFAULT,
    as_json: Json = False,
    trust: Trust = False,
) -> int:
    """Test which parts of an architecture help, with paired seeds.

    The architecture is the winner of a study, or the one that --base gives. All arms are trained with the same seeds;
    the p-values are corrected for the number of tests; each comparison gets a verdict in words.

    Run the same command again to continue. Tables in Markdown, LaTeX and CSV are written beside the trials.
    """
    from nas_attn.ablation.plan.settings import load_request
    from nas_attn.environment import prepare
    from nas_attn.errors import UserError

    prepare()
    if output is not None and output.exists() and not output.is_dir():
        raise UserError("`--output` must be a folder", got=f"the file '{output}'", where="--output")
    request = load_request(study, ablation, options, runs=runs, name=name)
    if plan:
        _print_plan(request, as_json)
        return 0
    if not request.fresh:
        print(
            "warning: the search or another ablation has used these seeds before; the seeds that chose an architecture "
            "are no independent evidence for it",
            file=sys.stderr,
        )
    return _run(request, output, as_json)


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
