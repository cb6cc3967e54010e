"""`adopt`: makes a community's model YAML build, and tells its architecture, its cost and its mistakes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from nas_attn.cli.options import Json, Modules, use_modules

NAME = "adopt"


def command(
    article: Annotated[Path, typer.Argument(metavar="ARTICLE.yaml", help="A community's model YAML.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="File for the fixed YAML; else nothing is written."),
    ] = None,
    model_scale: Annotated[
        str | None, typer.Option(metavar="n|s|m|l|x", help="One of the file's scales. [the one it states or names]")
    ] = None,
    nc: Annotated[int | None, typer.Option(min=1, help="Number of classes. [the file's]")] = None,
    imgsz: Annotated[int, typer.Option(help="Image size of the final training, pixels.")] = 640,
    wiring: Annotated[
        str,
        typer.Option(
            metavar="repair|in-line|keep",
            help="Rows that read the wrong row: repair those that are certainly mistakes, let all readers read the "
            "attention, or keep what the file says.",
        ),
    ] = "repair",
    inside: Annotated[
        str | None,
        typer.Option(
            metavar="insert|replace|after",
            help="Place of attention in blocks such as C2f_ACmix: at the end of each bottleneck, instead of its second "
            "convolution, or after the whole block. [as usual]",
        ),
    ] = None,
    meanings: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            metavar="NAME=MODULE",
            help="Read the file's NAME as MODULE, such as CBAM=cbam or C3k2_Strip=C3k2_StripPooling; for names "
            "with several meanings; may be repeated.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over FILE.")] = False,
    modules: Modules = None,
    as_json: Json = False,
) -> None:
    """Make a community's model YAML build: fill arguments, find slots, repair or name mistakes, and count the cost.

    Without -o, nothing is written.
    """
    from nas_attn.api.adoption import adopt, check_output

    use_modules(modules)
    if output is not None:
        check_output(output, force)
    found = adopt(
        article,
        scale=model_scale,
        nc=nc,
        imgsz=imgsz,
        wiring=wiring,
        inside=inside,
        meanings=_meanings(meanings),
    )
    if output is not None:
        found.write(output, force=force)
    if as_json:
        print(json.dumps(found.as_dict(output), indent=1))
        return
    print(found.text(shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    if output is None:
        print("nothing written: give -o FILE")
        return
    print(f"written: {output}")
    print(f"train: python -m nas_attn train {output} --data D.yaml --epochs 300")
    if nc is None:
        print(f"  D.yaml must have {found.found.base.nc} classes; for another count N adopt again with --nc N")


def _meanings(given: list[str] | None) -> dict[str, str]:
    """Texts NAME=MODULE as a dictionary."""
    from nas_attn.errors import UserError

    found: dict[str, str] = {}
    for text in given or ():
        name, equals, module = (part.strip() for part in text.partition("="))
        if not (name and equals and module) or found.get(name, module) != module:
            raise UserError("`--as` must be NAME=MODULE, with one MODULE for a NAME", got=f"'{text}'")
        found[name] = module
    return found
