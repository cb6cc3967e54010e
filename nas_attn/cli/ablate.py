"""`ablate`: tests the parts of an architecture with paired seeds, and reports the significant differences."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_attn.cli.fields import FieldOptions, with_fields
from nas_attn.cli.options import RUNS_DEFAULT, Json, Runs, Study, Trust, Yes
from nas_attn.lines import many, say
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
    *("data", "model", "weights", "start", "space", "slots", "module_files", "layers"),
    *("device", "jobs", "trial_minutes"),
)
WITHOUT_STUDY = {
    "data": "A data.yaml or the name of a data set, if no study is given.",
    "model": "Base model, if no study is given.",
    "weights": "Checkpoint from which every trial starts, if no study is given.",
    "start": "Start of every trial, if no study is given: scratch, weights or base.",
    "space": "Search space, if no study is given.",
    "slots": "Slots of the search space, if no study is given. [those of --base]",
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
    yes: Yes = False,
) -> int:
    """Test which parts of an architecture help, with paired seeds.

    The architecture is the winner of a study, or the one that --base gives. All arms are trained with the same seeds;
    the p-values are corrected for the number of tests; each comparison gets a verdict in words.

    Run the same command again to continue. Tables in Markdown, LaTeX and CSV are written beside the trials.
    """
    from nas_attn.errors import UserError

    if output is not None and output.exists() and not output.is_dir():
        raise UserError("`--output` must be a folder", got=f"the file '{output}'", where="--output")
    given = {**options, **ablation}
    if plan:
        _print_plan(study, given, runs, name, as_json)
        return 0
    return _run(study, given, runs, name, output, as_json)


def _print_plan(study: str | None, options: dict[str, Any], runs: Path, name: str | None, as_json: bool) -> None:
    import tempfile

    from nas_attn.ablation.plan.estimate import estimate, foresight
    from nas_attn.ablation.run import planned
    from nas_attn.api.ablating import ablation_request
    from nas_attn.api.progress import Reporter
    from nas_attn.cli.ablation_tables import plan_table
    from nas_attn.cli.tables import stdout

    request = ablation_request(study, options, runs=runs, name=name)
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
        say(f"note: {note}")
    most = "at most " if cost.at_most else ""
    say(
        f"{most}{many(cost.trials, 'trial')}, {most}{cost.hours:.2f} hours on "
        f"{many(cost.workers, 'worker')} (time per trial from {cost.source}). Nothing was run."
    )
    if text := foresight(plan, view):
        say(text)


def _run(
    study: str | None, options: dict[str, Any], runs: Path, name: str | None, output: Path | None, as_json: bool
) -> int:
    from nas_attn.ablation.report.files import table_files
    from nas_attn.api import ablate
    from nas_attn.api.ablating import ablation_request

    try:
        found = ablate(study, name=name, runs=runs, **options)
    except KeyboardInterrupt:
        folder = ablation_request(study, options, runs=runs, name=name).folder
        if (table := table_files(folder)[0]).exists():
            print(f"the partial table is in {table}", file=sys.stderr)
        raise
    files = found.files
    if output is not None:
        files += found.write(output)
    if as_json:
        print(json.dumps(found.as_dict(), indent=1))
        return 0
    _show(found, files)
    return 0


def _show(ablation: Any, files: list[Path]) -> None:
    from nas_attn.cli.tables import stdout

    out = stdout()
    for table in ablation.tables():
        out.print(table)
        say(table.note)
        out.print()
    say(ablation.summary())
    for file in files:
        print(f"  {file}")
