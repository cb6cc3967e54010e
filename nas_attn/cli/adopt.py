"""`adopt`: makes a community's model YAML build, and tells its architecture, its cost and its mistakes."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_attn.cli.options import Json, Modules, use_modules
from nas_attn.environment import shell_word

if TYPE_CHECKING:
    from nas_attn.adoption.adopt import Adopted
    from nas_attn.cost.cost import Cost

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
    from nas_attn.environment import prepare
    from nas_attn.errors import UserError

    prepare()
    use_modules(modules)
    if output is not None and output.suffix not in (".yaml", ".yml"):
        raise UserError("a model YAML must be named .yaml or .yml, or `train` refuses it", got=f"'{output}'")
    if output is not None and output.exists() and not force:
        raise UserError("a file must not be written over", got=f"'{output}'", remedy="Give --force, or another -o.")
    from nas_attn.adoption.adopt import adopt
    from nas_attn.detector.neck.export import write_yaml

    found = adopt(article, scale=model_scale, nc=nc, imgsz=imgsz, wiring=wiring, inside=inside,
                  meanings=_meanings(meanings))  # fmt: skip
    base_cost, cost = _cost(found, imgsz)
    if output is not None:
        write_yaml(
            output, found.base, found.slots, found.architecture, final_nc=found.base.nc, comments=found.comments()
        )
    if as_json:
        print(json.dumps(_as_dict(found, base_cost, cost, imgsz, output), indent=1))
    else:
        _show(found, base_cost, cost, imgsz, output, nc)


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


def _cost(found: Adopted, imgsz: int) -> tuple[Cost, Cost]:
    """Cost of the base without attention, and of the whole model."""
    from nas_attn.cost import CostTable
    from nas_attn.errors import UserError
    from nas_attn.space import NONE

    stride = max(s.stride for s in found.slots)
    if imgsz <= 0 or imgsz % stride:
        raise UserError(f"`--imgsz` must be a multiple of the model's stride {stride}", got=imgsz)
    genes: dict[str, Any] = dict(found.architecture)
    table = CostTable.build(found.base.build(), {s: [genes.get(s.name, NONE)] for s in found.slots}, imgsz)
    plain = table if found.plain is found.base else CostTable.build(found.plain.build(), {}, imgsz)
    return plain.base, table.cost(found.architecture)


def _as_dict(found: Adopted, base_cost: Cost, cost: Cost, imgsz: int, output: Path | None) -> dict[str, Any]:
    from dataclasses import asdict

    rows = [
        {
            "row": p.row.number,
            "module": p.row.as_written,
            "slot": p.slot or None,
            "gene": _gene(p),
            "times": p.times,
            "taken": p.reading.taken,
            "said": p.reading.said,
        }
        for p in found.puts
    ]
    return {
        "article": str(found.path),
        "base": found.base.name,
        "known_base": found.known,
        "scale": found.base.scale,
        "task": found.base.task,
        "nc": found.base.nc,
        "architecture": str(found.architecture),
        "rows": rows,
        "imgsz": imgsz,
        "cost": cost.as_dict(),
        "base_cost": base_cost.as_dict(),
        "plain_base": found.plain.name,
        "repairs": [asdict(r) for r in found.repairs],
        "suspicions": [asdict(s) for s in found.suspicions],
        "file": None if output is None else str(output),
    }


def _gene(put: Any) -> str:
    name, arguments = put.reading.raw
    return str(put.reading.gene) if put.reading.gene is not None else f"{name}{arguments}"


def _figures(cost: Cost) -> str:
    return f"{cost.gmacs:.4f} GMACs, {cost.params_m:.4f} M parameters"


def _say(line: str) -> None:
    """Print a line; on a terminal it is wrapped, and its further lines are indented below its text."""
    if sys.stdout.isatty():
        lead = len(line) - len(line.lstrip(" -"))
        width = max(40, shutil.get_terminal_size().columns)
        wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
        wrapper.subsequent_indent = " " * (lead if "-" in line[:lead] else lead + 2)
        line = wrapper.fill(line)
    print(line)


def _show(found: Adopted, base_cost: Cost, cost: Cost, imgsz: int, output: Path | None, nc: int | None) -> None:
    base = found.base
    kind = "" if found.known else ", a network of its own"
    _say(f"{found.path}: on base {base.name}{kind}, scale {base.scale}, {base.nc} classes")
    for put in found.puts:
        where = f"{put.slot}=" if put.slot else "part of the base, " + (f"{put.times} × " if put.times > 1 else "")
        _say(f"  row {put.row.number} {put.row.as_written} -> {where}{_gene(put)}")
        if put.reading.taken:
            _say(f"    not in the file, so taken: {', '.join(f'{k}={v}' for k, v in put.reading.taken.items())}")
        if put.reading.said:
            _say(f"    {put.reading.said}")
    print(f"architecture: {found.architecture}")
    _say(f"cost at {imgsz} px: {_figures(cost)}; without attention ({found.plain.name}) {_figures(base_cost)}")
    for title, lines in (("repaired", found.repairs), ("suspicious", found.suspicions)):
        if lines:
            _say(f"{title}:")
            for line in lines:
                _say(f"  - {line}")
    if output is None:
        _say("nothing written: give -o FILE")
    else:
        print(f"written: {output}")
        print(f"train: python -m nas_attn train {shell_word(output)} --data D.yaml --epochs 300")
        if nc is None:
            _say(f"  D.yaml must have {base.nc} classes; for another count N adopt again with --nc N")
