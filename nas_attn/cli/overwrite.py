"""`--force`: commands overwrite existing files only if it is given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from nas_attn.errors import UserError

Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]


def check_free(files: Iterable[Path], force: bool, option: str = "-o") -> None:
    """Refuse to overwrite an existing file.

    Args:
        files: the files that will be written.
        force: overwrite existing files.
        option: the option that names another file, for the message.

    Raises:
        UserError: a file exists and `force` is false, or a folder has its name.
    """
    for file in files:
        if Path(file).is_dir():
            raise UserError("a file must not have the name of a folder", got=f"'{file}'", where=option)
        if Path(file).exists() and not force:
            raise UserError(
                "an existing file must not be overwritten",
                got=f"'{file}'",
                where=option,
                remedy=f"Name another file with {option}, or give --force.",
            )
