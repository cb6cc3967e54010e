"""Writes a bundle: all files are made and checked in a temporary folder, then moved to the folder of the bundle."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas_attn.atomic_files import making, write_bytes_atomic, write_text_atomic
from nas_attn.bundle import card as cards
from nas_attn.bundle import model as models
from nas_attn.bundle.comments import training_lines
from nas_attn.bundle.winner import Winner
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.onnx import detector as onnx_model
from nas_attn.detector.onnx import graph as onnx_graph
from nas_attn.errors import CheckFailed, UserError
from nas_attn.space import Architecture

MODEL, BASE, WEIGHTS = "best.yaml", "base.yaml", "best.pt"
FIXED, DYNAMIC = "best.onnx", "best-dynamic.onnx"


def check_target(folder: Path, force: bool) -> None:
    """Check that a bundle may be written to a folder.

    Args:
        folder: the folder; it may be missing.
        force: an old bundle in the folder may be replaced.

    Raises:
        UserError: the path is a file, or the folder is not empty. With `force`, a folder with a bundle is allowed.
    """
    folder = Path(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    rule = "a bundle's folder must be new or empty"
    if not folder.is_dir():
        raise UserError(rule, got=f"the file '{folder}'", remedy="Name another folder.")
    if not (folder / cards.CARD).is_file():
        remedy = "Name another folder. --force replaces only bundles."
        raise UserError(rule, got=f"'{folder}', which is not a bundle", remedy=remedy)
    if not force:
        raise UserError(rule, got=f"'{folder}', a bundle", remedy="Name another folder, or give --force to replace it.")


def write_bundle(
    folder: Path,
    winner: Winner,
    *,
    onnx: bool = True,
    force: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Write a bundle.

    Args:
        folder: the folder of the bundle; it is made if it is missing.
        winner: the architecture to export.
        onnx: also make ONNX files, and check them against torch.
        force: replace an old bundle in the folder.
        progress: called with one line of text at each step.

    Returns:
        The card of the bundle.

    Raises:
        MissingPart: `onnx` or `onnxruntime` is not installed.
        UserError: the folder is not empty, or the weights belong to another model.
        CheckFailed: the results of an ONNX file differ from torch's.
    """
    folder = Path(folder)
    check_target(folder, force)
    if onnx:
        onnx_graph.require()
    with making(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        card = _make(made, winner, onnx, progress)
        _move(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return card


def _make(folder: Path, winner: Winner, onnx: bool, progress: Callable[[str], None]) -> dict[str, Any]:
    base, slots, architecture = winner.base, winner.slots, winner.architecture
    sources = cards.own_sources(architecture, base)
    how = training_lines(architecture, {source.digest: name for name, source in sources.items()}, base)
    write_text_atomic(folder / MODEL, replace(winner, training=how).yaml())
    why = ("The base of best.yaml, without attention. Train both to compare them.",)
    plain = Architecture.none(architecture.slots)
    write_text_atomic(folder / BASE, replace(winner, architecture=plain, comments=why, training=()).yaml())
    for name, source in sources.items():
        write_text_atomic(folder / name, source.text)
    exported = load_base(str(folder / MODEL))
    if winner.weights is None:
        model = models.initial(base, slots, architecture, winner.seed)
        weights: dict[str, Any] = {"kind": "initial", "seed": winner.seed, **cards.state_sums(model.state_dict())}
    else:
        model = models.trained(exported, winner.weights)
        write_bytes_atomic(folder / WEIGHTS, winner.weights.read_bytes())
        weights = {"kind": "trained", "file": WEIGHTS, "digest": cards.state_digest(model.state_dict())}
    progress(f"counting cost at {winner.imgsz} px")
    found, base_cost = cards.count(base, slots, architecture, winner.imgsz)
    if winner.study is not None and (was := winner.study["recorded_cost"]) != found.as_dict():
        progress(f"the cost differs from the {was['gmacs']:.6g} GMACs that the study recorded; the card has both")
    graphs = _graphs(folder, model, winner, progress) if onnx else []
    modules = cards.modules_part(architecture, sources)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    card: dict[str, Any] = {
        "format": cards.FORMAT,
        "architecture": str(architecture),
        "task": base.task,
        "classes": list(winner.classes),
        "base": {"name": base.name, "head": base.head, "scale": base.scale, "file": BASE},
        "imgsz": winner.imgsz,
        "cost": cards.cost_part(found, base_cost, exported, winner.imgsz),
        "weights": weights,
        "study": winner.study,
        "onnx": graphs or "left out",
        "modules": modules,
        **({"layers": own} if (own := cards.layers_part(base, sources)) else {}),
        "licences": cards.licences(modules) | {row["name"]: "not declared by the author" for row in own},
        "cite": cards.to_cite(modules, base.name),
        "versions": cards.versions(),
        "files": {p.relative_to(folder).as_posix(): cards.file_digest(p) for p in files},
    }
    card["sha256"] = cards.seal(card)
    write_text_atomic(folder / cards.CARD, json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    return card


def _graphs(folder: Path, model: Any, winner: Winner, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Make the ONNX files and check them.

    Raises:
        CheckFailed: the results of an ONNX file differ from torch's.
    """
    size = winner.imgsz
    wider = size + int(max(model.stride))
    awake = onnx_model.awakened(model, size)
    rows: list[dict[str, Any]] = []
    for name, dynamic, shapes in (
        (FIXED, False, [(1, size, size)]),
        (DYNAMIC, True, [(1, size, size), (2, size, size), (2, size, wider)]),
    ):
        reason = next((why for e in cards.entries(winner.architecture) if (why := _cannot(e, dynamic))), None)
        if reason:
            progress(f"{name} is left out: {reason}")
            rows.append({"file": None, "wanted": name, "left_out": reason})
            continue
        progress(f"making {name} and comparing it with torch")
        made = [onnx_model.to_onnx(m, winner.base, size, winner.classes, dynamic=dynamic) for m in (awake, model)]
        checked = []
        for shape in shapes:
            structure = _compared(awake, made[0], shape, name, 0.0, onnx_model.STRUCTURE)
            found = _compared(model, made[1], shape, name, 1.0, onnx_model.TOLERANCE)
            checked.append({"batch_height_width": list(shape), "difference": found, "structure": structure})
        write_bytes_atomic(folder / name, made[1])
        opset = onnx_graph.OPSET
        rows.append({"file": name, "opset": opset, "dynamic": dynamic, "checked": checked, **_TOLERANCES})
    return rows


_TOLERANCES: dict[str, Any] = {
    "tolerance": onnx_model.TOLERANCE,
    "tolerance_means": "limit of the largest difference to torch: absolute in channels whose values are at most 1, "
    "relative to the largest value in other channels (boxes in pixels)",
    "structure_tolerance": onnx_model.STRUCTURE,
    "structure_means": "limit for the same graph with batch norm statistics of random images, relative to the largest "
    "value of each channel; with initial weights, the outputs hardly depend on the image, so they alone prove little",
}


def _cannot(entry: Any, dynamic: bool) -> str | None:
    for limit in ("onnx", "onnx_dynamic")[: 1 + dynamic]:
        if limit in entry.cannot:
            return f"{entry.name} cannot be exported: {entry.cannot[limit]}"
    return None


def _compared(model: Any, content: bytes, shape: Any, name: str, floor: float, tolerance: float) -> float:
    remedy = "Run `python -m nas_attn modules check NAME` on its modules, or give --no-onnx."
    try:
        found = onnx_model.difference(model, content, shape, floor)
    except onnx_graph.GraphFailed as error:
        raise CheckFailed(
            "an ONNX file must run", got=str(error)[:200], where=f"{name} at {shape}", remedy=remedy
        ) from None
    if not found <= tolerance:
        got = f"a difference of {found:.2g}, above {tolerance:g}"
        rule = "an ONNX file must compute the same as torch"
        raise CheckFailed(rule, got=got, where=f"{name} at {shape}", remedy=remedy)
    return found


def _move(made: Path, folder: Path) -> None:
    """Move the new files to the bundle's folder, the card last. Files that an old card lists are deleted first."""
    if (folder / cards.CARD).is_file():
        old = json.loads((folder / cards.CARD).read_text(encoding="utf-8"))
        (folder / cards.CARD).unlink()
        for name in old.get("files", ()):
            inside = (folder / name).resolve()
            if inside.is_relative_to(folder.resolve()):
                inside.unlink(missing_ok=True)
    names = sorted((p.relative_to(made) for p in made.rglob("*") if p.is_file()), key=lambda p: p.name == cards.CARD)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).replace(folder / name)
