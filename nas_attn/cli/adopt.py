"""`adopt`: makes a community YAML build, and prints its architecture, its cost and its mistakes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from nas_attn.cli.options import Json, Layers, Modules, use_modules
from nas_attn.environment import shell_word

NAME = "adopt"
EXAMPLES = """
nas-attn adopt article.yaml
nas-attn adopt article.yaml -o fixed.yaml --model-scale n --nc 3
"""


def command(
    article: Annotated[Path, typer.Argument(metavar="ARTICLE.yaml", help="Model YAML of an article or a repository.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="File for the fixed YAML. [default: write none]"),
    ] = None,
    model_scale: Annotated[
        str | None,
        typer.Option(
            metavar="n|s|m|l|x", help="Scale of the model. [default: the one that the file states, else its first]"
        ),
    ] = None,
    nc: Annotated[int | None, typer.Option(min=1, help="Number of classes. [default: the file's]")] = None,
    imgsz: Annotated[int, typer.Option(help="Image size of the final training, pixels.")] = 640,
    wiring: Annotated[
        str,
        typer.Option(
            metavar="repair|in-line|keep",
            help="If a row reads the wrong row: repair clear mistakes; put the attention in line, so that all later "
            "rows read it; or keep the file's wiring.",
        ),
    ] = "repair",
    inside: Annotated[
        str | None,
        typer.Option(
            metavar="insert|replace|after",
            help="Place of the attention in blocks such as C2f_ACmix: insert it at the end of each bottleneck, replace "
            "the bottleneck's second convolution by it, or put it after the block. [default: the block's usual place]",
        ),
    ] = None,
    meanings: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            metavar="NAME=MODULE",
            help="Read NAME in the file as MODULE, e.g. CBAM=cbam or C3k2_Strip=C3k2_StripPooling. Needed if a name "
            "has several meanings; may be repeated.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    modules: Modules = None,
    layers: Layers = None,
    as_json: Json = False,
) -> None:
    """Repair a community model YAML, and list its mistakes.

    The command fills in missing arguments, finds the slots, repairs clear mistakes, names doubtful ones, and counts the
    cost.
    """
    from nas_attn.api.adoption import adopt, check_output

    use_modules(modules, layers)
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
    own = "".join(f" --layers {shell_word(file)}" for file in layers or () if found.found.base.layers)
    print(f"train: python -m nas_attn train {shell_word(output)} --data D.yaml --epochs 300{own}")
    if nc is None:
        print(f"  D.yaml must have {found.found.base.nc} classes. For another number N, adopt again with --nc N")


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
