"""An architecture as a commented model YAML that `ultralytics.YOLO(path)` builds and trains."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from nas_attn.detector.base_model import BaseModel
from nas_attn.detector.surgery import architecture_yaml
from nas_attn.errors import UserError
from nas_attn.files import write_text_atomic
from nas_attn.space.architecture import Architecture
from nas_attn.space.slot import Slot

_LAYOUT = ("nc", "scales", "scale", "reg_max", "backbone", "head")


def yaml_text(
    base: BaseModel, slots: Sequence[Slot], architecture: Architecture, *, final_nc: int, comments: Sequence[str] = ()
) -> str:
    """The model YAML of an architecture.

    Args:
        base: the base as the final training has it: its own `reg_max`, not a proxy's.
        slots: its slots.
        architecture: what to insert.
        final_nc: number of classes of the final training.
        comments: lines for the top of the file.
    """
    model, row_map = architecture_yaml(base, slots, architecture)
    genes = dict(architecture.genes)
    notes = {row_map[s.row] + 1: f"{s.name}={genes[s.name]}" for s in slots if s.name in genes}
    first = len(model["backbone"])
    rest = {k: v for k, v in model.items() if k not in _LAYOUT}
    lines = [f"# {line}".rstrip() for comment in comments for line in comment.splitlines() or [""]]
    lines += [
        f"# {architecture}",
        "# Needs `import nas_attn` before it is built, except where every slot is `none`.",
        f"nc: {final_nc}",
        f"reg_max: {base.reg_max}",
        f"scales: # only one, so that no file name selects another: {base.name}",
        f"  {base.scale}: {_flow(model['scales'][base.scale])} # depth, width, largest channel count",
        *(f"{key}: {_flow(value)}" for key, value in rest.items()),
        "",
        "backbone:",
        *_rows(model["backbone"], 0, notes),
        "",
        "head:",
        *_rows(model["head"], first, notes),
    ]
    return "\n".join(lines) + "\n"


def write_yaml(
    path: Path,
    base: BaseModel,
    slots: Sequence[Slot],
    architecture: Architecture,
    *,
    final_nc: int,
    comments: Sequence[str] = (),
) -> None:
    """Write `yaml_text` to a file, whole or not at all.

    Raises:
        UserError: the folder is not writable, or the file name itself asks Ultralytics for another scale.
    """
    check_name(path, base)
    write_text_atomic(path, yaml_text(base, slots, architecture, final_nc=final_nc, comments=comments))


def check_name(path: Path, base: BaseModel) -> None:
    """Refuse a file name under which Ultralytics would look for another scale or file than this one.

    Raises:
        UserError: it is such a name.
    """
    from ultralytics.nn.tasks import guess_model_scale

    named = guess_model_scale(path)
    if named not in ("", base.scale) or re.fullmatch(r"yolov[58][nsmlx]6", Path(path).stem):
        raise UserError(
            f"a file name must not name another model than its content (scale `{base.scale}`), for Ultralytics "
            "takes the scale from the name",
            got=f"'{Path(path).name}'",
            remedy="Call it for example best.yaml.",
        )


def _rows(rows: list[list[Any]], first: int, notes: dict[int, str]) -> list[str]:
    """One row a line; inserted rows and those numbered in `from` lists can be found by their index."""
    lines = []
    for index, row in enumerate(rows, first):
        inserted = str(row[2]).startswith("nas_attn.")
        lines.append(f"  - {_flow(row)} # {index}" + (f": {notes[index]}" if inserted and index in notes else ""))
    return lines


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").rstrip("\n")
