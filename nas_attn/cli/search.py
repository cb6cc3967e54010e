"""`search`: trains controls and sampled architectures, and shows the Pareto front."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from nas_attn.cli.fields import FieldOptions, with_fields
from nas_attn.cli.options import RUNS_DEFAULT, Json, Runs, Study, Trust, Yes
from nas_attn.environment import shell_word
from nas_attn.study.config import StudyConfig

NAME = "search"
EXAMPLES = """
nas-attn search --trials 24
nas-attn search mine --data D.yaml --model yolo11n.yaml --trials 100 --plan
"""
OFFERED = (
    *("trials", "data", "model", "weights", "start", "space", "slots", "modules", "layers", "first", "sampler"),
    *("epochs", "imgsz", "final_imgsz", "fraction", "folds", "fold_groups", "batch"),
    *("dead_slots", "max_gmacs", "max_params"),
    *("storage", "device", "jobs", "hours", "until", "earlier", "early_stop", "together", "trial_minutes", "seed"),
)


@with_fields
def command(
    study: Study = None,
    *,
    given: Annotated[dict[str, Any], FieldOptions(StudyConfig, OFFERED)],
    plan: Annotated[
        bool, typer.Option("--plan", help="Print the trials, the hours and what they can show; train nothing.")
    ] = False,
    runs: Runs = RUNS_DEFAULT,
    as_json: Json = False,
    trust: Trust = False,
    yes: Yes = False,
) -> int:
    """Train and compare attention modules at the slots of a neck.

    Without STUDY, the demo runs on generated data. Run the same command again to continue a search. Give a larger
    --trials to extend it.
    """
    from nas_attn.api import plan_search, run_search
    from nas_attn.cli.tables import stdout

    if plan:
        foreseen = plan_search(study, runs=runs, **given)
        if as_json:
            print(json.dumps(foreseen.as_dict(), indent=1))
        else:
            stdout().print(f"{foreseen}\nNothing was run.", highlight=False, markup=False)
        return 0
    found = run_search(study, runs=runs, **given)
    if as_json:
        print(json.dumps(found.as_dict(), indent=1))
    else:
        _show(found)
    return 0


def _show(study: Any) -> None:
    from nas_attn.analysis.answer import tried
    from nas_attn.cli.tables import stdout

    out = stdout()
    front, demo = study.front(), study.view.header["config"]["demo"]
    out.print(study.answer())
    if demo:
        out.print("This was the demo on generated data: its ranking does not carry over to real data.")
    for table in (study.slots(), study.modules(), front, study.picks()):
        if table:
            out.print()
            out.print(table)
    out.print()
    if not tried(study.view):
        return  # nothing was tried: there is nothing to export or to prove
    folder = Path(study.folder)
    name = folder.name  # of the folder, not of its records: a copied folder is another study
    where = "" if folder.parent == RUNS_DEFAULT else f" --runs {shell_word(folder.parent)}"
    simplest = next((p.candidate for p in study.picks() if p.rule == "simplest"), None)
    pick = "best" if simplest is None or simplest.architecture.is_base else "simplest"
    word = "" if name == "demo" else f" {shell_word(name)}"
    out.print(f"All files are in {folder}. How sure each figure is, and why, stands in the report.")
    out.print(  # a command is one line, so that it can be copied
        f"  report     python -m nas_attn report{word}{where} -o report.html\n"
        f"  dashboard  python -m nas_attn dashboard{word}{where}\n"
        f"  export     python -m nas_attn export{word}{where} --pick {pick} -o best.yaml\n"
        f"  ablate     python -m nas_attn ablate{word or ' demo'}{where} --plan",
        soft_wrap=True,
        highlight=False,
    )
