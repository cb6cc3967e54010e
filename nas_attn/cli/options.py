"""Arguments that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from nas_attn.environment import TRUST
from nas_attn.study import RUNS

Study = Annotated[
    str | None,
    typer.Argument(
        metavar="[STUDY]", help="A shipped study, a path to a study YAML, or a name. Default: demo.", show_default=False
    ),
]
Runs = Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="Folder of the run folders.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Modules = Annotated[
    list[str] | None,
    typer.Option("--modules", metavar="FILE", help="Python file with attention modules of your own; may be repeated."),
]
Slots = Annotated[
    str | None,
    typer.Option(metavar="NAME,...", help="Slots, e.g. p3,td.p4; or patterns of names, e.g. 'p?,inner.*'."),
]
TrialMinutes = Annotated[
    float | None,
    typer.Option(help="A trial that takes longer is stopped and fails. [ten times the base's own time, at least 10]"),
]
RUNS_DEFAULT = RUNS


def _trust(said: bool) -> None:
    if said:
        os.environ[TRUST] = "1"


Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        callback=_trust,
        expose_value=False,
        help="Run what checkpoints and run folders of others bring: module files, and any pickle.",
    ),
]


def slot_names(text: str) -> list[str]:
    """The names that `--slots` gives."""
    return [name.strip() for name in text.split(",") if name.strip()]


def use_modules(files: list[str] | None) -> None:
    """Register the modules of the files that `--modules` names.

    Raises:
        ConfigError: what is wrong with them, everything together.
    """
    if not files:
        return
    from nas_attn.attention import trust, user
    from nas_attn.environment import prepare
    from nas_attn.errors import ConfigError, UserError

    prepare()  # such a file may import ultralytics
    trust.remember_files(files)
    problems: list[UserError] = []
    for file in files:
        try:
            user.load(file)
        except UserError as error:
            problems.append(error)
    if problems:
        raise ConfigError(problems, where="--modules")
