"""`cost`: counts the cost of architectures, before any training."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from nas_attn.cli.options import Json, Layers, Modules, Trust, use_modules
from nas_attn.lines import say

NAME = "cost"
EXAMPLES = """
nas-attn cost "p3=acmix(head=4) p5=lska(k_size=23)"
nas-attn cost "p3=acmix" "p3=lska" --model yolov8s.yaml --nc 3
"""


def command(
    architecture: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARCHITECTURE", help="Slots and their modules, e.g. 'p3=acmix(head=4) p5=lska'."),
    ] = None,
    model: Annotated[str, typer.Option(help="Base model.")] = "yolo11n.yaml",
    imgsz: Annotated[int, typer.Option(help="Image size of the final training, pixels.")] = 640,
    nc: Annotated[int, typer.Option(help="Number of classes.")] = 80,
    width: Annotated[float | None, typer.Option(metavar="X", help="Width factor. [default: the model's]")] = None,
    modules: Modules = None,
    layers: Layers = None,
    as_json: Json = False,
    trust: Trust = False,
) -> None:
    """Count the GMACs and parameters of architectures.

    The first row is the base without attention. For comparison, the table also has the figures of fvcore, torch and
    Ultralytics.
    """
    from nas_attn.api import costs_of

    use_modules(modules, layers)
    found = costs_of(["", *(architecture or ())], model=model, nc=nc, imgsz=imgsz, width=width)
    if found.note:
        say(found.note, sys.stderr)
    if as_json:
        print(json.dumps({"model": found[0].model, "imgsz": imgsz, "nc": nc, "costs": found.records}, indent=1))
        return
    from nas_attn.cli.tables import stdout

    stdout().print(found)
