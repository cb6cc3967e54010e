"""`modules gallery`: the zoo as a page with a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_attn.cli.options import Modules, use_modules

NAME = "gallery"


def command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Markdown file; the picture goes beside it.")],
    picture: Annotated[bool, typer.Option(help="Draw the picture too.")] = True,
    modules: Modules = None,
) -> None:
    """Write the gallery: every module with its formula, settings, cost, paper, licence, and what it sees."""
    use_modules(modules)
    from nas_attn.atomic_files import write_text_atomic
    from nas_attn.attention import registry
    from nas_attn.cost import gallery
    from nas_attn.errors import UserError

    if not out.parent.is_dir():
        raise UserError("the folder of `--out` must exist", got=f"'{out.parent}'")
    write_text_atomic(out, gallery.page(registry.entries()))
    print(out)
    if picture:
        gallery.picture(registry.entries(), out.with_name(gallery.PICTURE))
        print(out.with_name(gallery.PICTURE))
