"""`report`: writes a study as one self-contained HTML file, and its trials as CSV."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nas_attn.cli.options import RUNS_DEFAULT, Modules, Runs, Score, Study, Trust, use_modules
from nas_attn.cli.overwrite import Force

NAME = "report"
STDOUT = Path("-")
EXAMPLES = """
nas-attn report mine -o report.html --csv trials.csv
"""


def command(
    study: Study = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="HTML file to write.")] = Path(
        "report.html"
    ),
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write a CSV with one row per trial; - is stdout.")
    ] = None,
    score: Score = None,
    modules: Modules = None,
    runs: Runs = RUNS_DEFAULT,
    force: Force = False,
    trust: Trust = False,
) -> None:
    """Write a study as one HTML file that opens offline.

    The file shows the Pareto front, the effects of the modules, the slots, the ablations and every trial.
    """
    from nas_attn.atomic_files import check_free
    from nas_attn.bundle.winner import yaml_maker
    from nas_attn.dashboard.report import check_report, write_report
    from nas_attn.dashboard.source import load_shown, shown_folder
    from nas_attn.study.config_sources import study_name

    check_report(output, force)
    piped = csv == STDOUT
    check_free([csv] if csv is not None and not piped and csv.suffix.lower() != ".csv" else [], force, "--csv")
    use_modules(modules)
    shown = load_shown(shown_folder(study_name(study), runs), score)
    write_report(shown, output, yaml_maker(shown.study))
    print(output, file=sys.stderr if piped else sys.stdout)
    if piped:
        print(shown.frame().to_csv(index=False), end="")
    elif csv is not None:
        from nas_attn.atomic_files import write_text_atomic

        write_text_atomic(csv, shown.frame().to_csv(index=False))
        print(csv)
