"""The option to overwrite existing files."""

from __future__ import annotations

from typing import Annotated

import typer

Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
