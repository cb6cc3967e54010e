"""`cost`: counts the cost of architectures, before any training."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from nas_attn.cli.options import Json, Modules, Trust, use_modules

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
    as_json: Json = False,
    trust: Trust = False,
) -> None:
    """Count the GMACs and parameters of architectures.

    The base comes first. Beside our figures stand those that fvcore and Ultralytics would print.
    """
    from nas_attn.bundle.named_model import named_architecture, named_model
    from nas_attn.cost import CostTable
    from nas_attn.detector.model.base_model import build_yaml
    from nas_attn.detector.model.flops import ultralytics_gflops
    from nas_attn.detector.model.head_form import check_head
    from nas_attn.detector.neck.surgery import architecture_yaml
    from nas_attn.space import NONE, Architecture

    use_modules(modules)
    named = named_model(model, nc=nc, width=width, imgsz=imgsz)
    for note in named.notes:
        print(note, file=sys.stderr)
    base, slots = named.base, named.slots
    by_name = {s.name: s for s in slots}
    wanted = []
    for text in architecture or []:
        wanted.append(named_architecture(text, slots, imgsz))
        check_head(base, [by_name[slot] for slot, gene in wanted[-1] if gene != NONE], where=text)
    architectures = [Architecture.none(n for n in by_name if "." not in n), *wanted]
    cells = {s: [dict(a).get(s.name, NONE) for a in architectures] for s in slots}
    table = CostTable.build(named.built, cells, imgsz)
    with redirect_stdout(sys.stderr):  # output of a module is no result
        rows = [
            {
                "architecture": str(a),
                **table.cost(a).as_dict(),
                "gflops_ultralytics": ultralytics_gflops(build_yaml(architecture_yaml(base, slots, a)[0]), imgsz),
            }
            for a in architectures
        ]
    if as_json:
        print(json.dumps({"model": base.name, "imgsz": imgsz, "nc": nc, "costs": rows}, indent=1))
        return
    from rich import box
    from rich.table import Table

    from nas_attn.cli.tables import stdout

    out = Table(title=f"{base.name} at {imgsz} px, {nc} classes", box=box.SIMPLE, title_justify="left")
    for column in rows[0]:
        out.add_column(column, overflow="fold", justify="left" if column == "architecture" else "right")
    for row in rows:
        out.add_row(
            *(v.replace("[", r"\[") if isinstance(v, str) else "-" if v is None else f"{v:.4f}" for v in row.values())
        )
    stdout().print(out)
