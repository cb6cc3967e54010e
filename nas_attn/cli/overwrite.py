"""Existing files are kept, unless `--force` is given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from nas_attn.errors import UserError

Force = Annotated[bool, typer.Option("--force", help="Write over what is there.")]


def check_free(files: Iterable[Path], force: bool, option: str = "-o") -> None:
    """Refuse to write over a file.

    Args:
        files: the files that will be written.
        force: write over existing files.
        option: the option that names another file, for the message.

    Raises:
        UserError: one of them exists, or is a folder.
    """
    for file in files:
        if Path(file).is_dir():
            raise UserError("a file must not have the name of a folder", got=f"'{file}'", where=option)
        if Path(file).exists() and not force:
            raise UserError(
                "a file that exists is not written over",
                got=f"'{file}'",
                where=option,
                remedy=f"Name another file with {option}, or give --force.",
            )
