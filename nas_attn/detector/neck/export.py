"""The export of an architecture as a commented model YAML that `ultralytics.YOLO(path)` builds and trains."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from nas_attn._version import __version__
from nas_attn.atomic_files import write_text_atomic
from nas_attn.attention.user import LAYERS_ENVIRONMENT
from nas_attn.detector.model.base_model import BaseModel
from nas_attn.detector.model.export_key import KEY, export_key
from nas_attn.detector.model.rows import PREFIX, rows_of
from nas_attn.detector.neck.surgery import apply
from nas_attn.errors import UserError
from nas_attn.safe_yaml import parse_yaml
from nas_attn.space.architecture import Architecture
from nas_attn.space.slot import Slot

_LAYOUT = ("nc", "scales", "scale", "reg_max", "backbone", "head")


def yaml_text(
    base: BaseModel, slots: Sequence[Slot], architecture: Architecture, *, final_nc: int, comments: Sequence[str] = ()
) -> str:
    """The model YAML of an architecture.

    Args:
        base: the base of the final training, with its own `reg_max` and not that of a proxy training.
        slots: the slots of the base.
        architecture: the modules to insert.
        final_nc: number of classes of the final training.
        comments: lines for the top of the file.

    Raises:
        UserError: as `apply` in `surgery.py` raises it.
    """
    done = apply(base, slots, architecture)
    genes = dict(architecture.genes)
    notes: dict[int, str] = {}
    for slot, row in done.places.items():
        notes[row] = " ".join(filter(None, [notes.get(row), f"{slot}={genes[slot]}"]))
    model = {k: v for k, v in done.yaml.items() if k != KEY}
    first = len(model["backbone"])
    rest = {k: v for k, v in model.items() if k not in _LAYOUT}
    inserted = [str(row[2]) for row in rows_of(model) if str(row[2]).startswith(PREFIX)]
    settings = [
        f"nc: {final_nc}",
        *([] if base.reg_max is None else [f"reg_max: {base.reg_max}"]),
        f"scales: # only one, so that no file name selects another: {base.name}",
        f"  {base.scale}: {_flow(model['scales'][base.scale])} # depth, width, largest channel count",
        *(f"{key}: {_flow(value)}" for key, value in rest.items()),
    ]
    rows = ["backbone:", *_rows(model["backbone"], 0, notes), "", "head:", *_rows(model["head"], first, notes)]
    key = export_key(parse_yaml("\n".join([*settings, *rows])), architecture, base.name, __version__)
    lines = [
        *_comment([*comments, str(architecture), *_needed(base), *_reading(inserted, base.task)]),
        *settings,
        f"{KEY}: # `train` refuses this file if it was edited; delete this key to train it as it is",
        *(f"  {name}: {_flow(value)}" for name, value in key.items()),
        "",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def _needed(base: BaseModel) -> list[str]:
    """Comment lines about the user's own layers in the base."""
    return [
        f"Needs the layer `{name}` from {source.stem}.py (digest {source.digest}): give the file with --layers or in "
        f"{LAYERS_ENVIRONMENT}."
        for name, source in base.layers.items()
    ]


def _reading(inserted: Sequence[str], task: str) -> list[str]:
    """Comment lines that tell the reader of a file how to train it."""
    if not inserted:
        return ["This model has no module of nas_attn: plain Ultralytics builds and trains it."]
    return [
        f"Plain `yolo {task} train model=THIS_FILE` ends in KeyError: '{inserted[0]}', unknown to Ultralytics.",
        "To train it, run `nas-attn hook install` once, or write `import nas_attn` in a script before YOLO(...).",
        "A checkpoint of this model needs nas_attn. Without it, Ultralytics would pip install any package of that",
        "name. Set YOLO_AUTOINSTALL=0 to prevent this.",
    ]


def _comment(paragraphs: Sequence[str]) -> list[str]:
    return [f"# {line}".rstrip() for text in paragraphs for line in text.splitlines() or [""]]


def write_yaml(
    path: Path,
    base: BaseModel,
    slots: Sequence[Slot],
    architecture: Architecture,
    *,
    final_nc: int,
    comments: Sequence[str] = (),
) -> None:
    """Write `yaml_text` to a file, completely or not at all.

    Args:
        path: the file.
        base, slots, architecture, final_nc, comments: as `yaml_text` takes them.

    Raises:
        UserError: the folder is not writable, or Ultralytics would read another scale from the file name.
    """
    check_name(path, base)
    write_text_atomic(path, yaml_text(base, slots, architecture, final_nc=final_nc, comments=comments))


def check_name(path: Path, base: BaseModel) -> None:
    """Refuse a file name from which Ultralytics would read another scale, or another file.

    Args:
        path: the file.
        base: the base model, which has the right scale.

    Raises:
        UserError: the name is refused.
    """
    from ultralytics.nn.tasks import guess_model_scale

    named = guess_model_scale(path)
    if named not in ("", base.scale) or re.fullmatch(r"yolov[58][nsmlx]6", Path(path).stem):
        raise UserError(
            f"a file name must not name another model than its content (scale `{base.scale}`), because Ultralytics "
            "reads the scale from the name",
            got=f"'{Path(path).name}'",
            remedy="Call it for example best.yaml.",
        )


def _rows(rows: list[list[Any]], first: int, notes: dict[int, str]) -> list[str]:
    """One line for each row, with its number; for an inserted module also with its slot and gene."""
    numbered = enumerate(rows, first)
    return [f"  - {_flow(row)} # {i}" + (f": {notes[i]}" if i in notes else "") for i, row in numbered]


class _Dumper(yaml.SafeDumper):
    """A dumper without anchors: it writes a shared list in full each time, because values are dumped one by one."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _flow(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").rstrip("\n")
