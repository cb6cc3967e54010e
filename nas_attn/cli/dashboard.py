"""`dashboard`: serves a live page of one study."""

from __future__ import annotations

from typing import Annotated

import typer

from nas_attn.cli.options import RUNS_DEFAULT, Modules, Runs, Study, Trust, use_modules

NAME = "dashboard"
EXAMPLES = """
nas-attn dashboard mine
nas-attn dashboard mine --port 8051
"""


def command(
    study: Study = None,
    port: Annotated[int, typer.Option(help="TCP port. 0 takes a free one.")] = 8050,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. If it is not a loopback address, other machines can read the study."),
    ] = ("127.0.0.1"),
    modules: Modules = None,
    runs: Runs = RUNS_DEFAULT,
    trust: Trust = False,
) -> None:
    """Serve a live web page of a study.

    The page shows what `report` writes, and the settings, curves and YAML of each candidate. It also works during a
    search.
    """
    from nas_attn.bundle.winner import yaml_maker
    from nas_attn.dashboard.server import serve
    from nas_attn.dashboard.source import load_shown, shown_folder
    from nas_attn.study.config_sources import study_name

    use_modules(modules)
    folder = shown_folder(study_name(study), runs)
    serve(folder, host=host, port=port, yaml_of=yaml_maker(load_shown(folder).study))
