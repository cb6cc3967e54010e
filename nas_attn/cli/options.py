"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_attn.study import RUNS

Study = Annotated[
    str | None,
    typer.Argument(
        metavar="[STUDY]", help="A shipped study, a path to a study YAML, or a name. Default: demo.", show_default=False
    ),
]
Runs = Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="Folder of the run folders.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
RUNS_DEFAULT = RUNS
