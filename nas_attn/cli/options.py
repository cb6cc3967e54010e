"""Arguments and options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from nas_attn.cli.fields import option
from nas_attn.environment import TRUST, YES
from nas_attn.study import RUNS
from nas_attn.study.config import StudyConfig

Study = Annotated[
    str | None,
    typer.Argument(
        metavar="STUDY",
        help="Name of a shipped study or of your own, or path of a study YAML. [default: demo]",
        show_default=False,
    ),
]
Runs = Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="Folder of all run folders.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Modules = Annotated[list[str] | None, option(StudyConfig, "module_files")]
Layers = Annotated[list[str] | None, option(StudyConfig, "layers")]
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
        help="Trust checkpoints and run folders from other people: run their module files and load any pickle.",
    ),
]


def _yes(said: bool) -> None:
    if said:
        os.environ[YES] = "1"


Yes = Annotated[
    bool, typer.Option("--yes", callback=_yes, expose_value=False, help="Download a missing data set of over 1 GB.")
]


def epilog(examples: str) -> str:
    """The end of a command's help: its example command lines, which are not wrapped."""
    lines = examples.strip().splitlines()
    return "\n".join(("\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)))


def use_modules(files: list[str] | None, layers: list[str] | None = None) -> None:
    """Register the attention modules in the files of `--modules`, and load the layers in the files of `--layers`.

    Raises:
        ConfigError: all mistakes in these files.
    """
    if not (files or layers):
        return
    from nas_attn.attention import trust, user
    from nas_attn.environment import prepare
    from nas_attn.errors import ConfigError, UserError

    prepare()  # such a file may import ultralytics
    trust.remember_files([*(files or ()), *(layers or ())])
    problems: list[UserError] = []
    for file in files or ():
        try:
            user.load(file)
        except UserError as error:
            problems.append(error)
    try:
        user.load_layers(layers or ())
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems, where=" and ".join(["--modules"] * bool(files) + ["--layers"] * bool(layers)))
