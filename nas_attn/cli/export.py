"""`export`: one candidate as a commented model YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_attn.cli.options import RUNS_DEFAULT, Modules, Runs, Study, use_modules

NAME = "export"


def command(
    study: Study = None,
    pick: Annotated[str, typer.Option(help="best, knee or trial:N.")] = "knee",
    max_gmacs: Annotated[float | None, typer.Option(help="Leave out what costs more.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The YAML file.")] = Path("best.yaml"),
    modules: Modules = None,
    runs: Runs = RUNS_DEFAULT,
) -> None:
    """Write a candidate as a model YAML that Ultralytics builds and trains."""
    from nas_attn.analysis.front import pick as choose
    from nas_attn.cli.models import base_of, comments, slots_of
    from nas_attn.detector.export import write_yaml
    from nas_attn.study import load_study
    from nas_attn.study.load import study_name

    use_modules(modules)
    view = load_study(study_name(study), runs=runs)
    candidate = choose(view, pick, max_gmacs)
    write_yaml(
        output,
        base_of(view),
        slots_of(view),
        candidate.architecture,
        final_nc=len(view.header["classes"]),
        comments=comments(view, candidate),
    )
    print(f"{output}: {candidate.architecture}")
