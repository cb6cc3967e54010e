"""`modules check`: tests modules by the conformance rules, and measures their latency and memory on this machine."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas_attn.cli.options import Json, Modules, use_modules

if TYPE_CHECKING:
    from nas_attn.attention import ModuleEntry
    from nas_attn.conformance import Result
    from nas_attn.space import Slot

NAME = "check"
EXAMPLES = """
nas-attn modules check acmix lska
nas-attn modules check mine --modules mine.py
"""
CONTROL = "conv"  # the plain convolution that all figures are compared with
SLOW = LARGE = 10  # a figure is marked from this multiple of the control's


def command(
    name: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Modules to check. [default: all]")] = None,
    model: Annotated[str, typer.Option(help="Base model. Modules are measured at its slots.")] = "yolo11n.yaml",
    imgsz: Annotated[int, typer.Option(min=32, help="Image size, pixels.")] = 640,
    batch: Annotated[int, typer.Option(min=1, help="Images per training step.")] = 4,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. [default: cuda, if any]")] = None,
    all_settings: Annotated[
        bool, typer.Option("--all-settings", help="Run the slow checks on every setting, not only on some of them.")
    ] = False,
    modules: Modules = None,
    as_json: Json = False,
) -> int:
    """Test modules by the conformance rules, and measure them.

    Latency and memory are measured at each slot of a model, on this machine. The exit code is 1 if a check fails.
    """
    from nas_attn.attention import registry
    from nas_attn.conformance import check_modules
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import find_slots
    from nas_attn.environment import prepare
    from nas_attn.space.architecture import module_name

    use_modules(modules)
    entries = [registry.get(n) for n in dict.fromkeys(map(module_name, name))] if name else registry.entries()
    device = _device(device)
    prepare()
    base = load_base(model)
    slots = find_slots(base)
    control = {slot.name: _measured(registry.get(CONTROL), slot, imgsz, batch, device) for slot in slots}
    found: list[dict[str, Any]] = []
    begun = time.monotonic()
    for number, (entry, results) in enumerate(check_modules(entries, all_settings=all_settings, device=device), 1):
        checks = summary(results)
        at_slots = [] if entry.is_none else [_against(control, entry, s, imgsz, batch, device) for s in slots]
        wrong = [str(c["check"]) for c in checks if c["wrong"]]
        found.append({"name": entry.name, "ok": not wrong, "checks": checks, "slots": at_slots})
        words = f"{len(wrong)} checks failed: {', '.join(wrong)}" if wrong else "all right"
        print(
            f"[{number}/{len(entries)}] {entry.name}: {words} ({time.monotonic() - begun:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
        if not as_json:
            _print(found[-1])
    ok = all(m["ok"] for m in found)
    if as_json:
        head = {"ok": ok, "model": base.name, "imgsz": imgsz, "batch": batch, "device": device}
        head |= {"threads": 1} if device == "cpu" else {}
        print(json.dumps({**head, "control": control, "modules": found}, indent=1))
    else:
        where = "one CPU thread" if device == "cpu" else device
        print(
            f"Measured at each slot of {base.name} at {imgsz} px on {where}: forward at batch 1, forward + backward at "
            f"batch {batch}. A module is marked if a figure is at least {SLOW} times that of `{CONTROL}` at the slot."
        )
        print(verdict(found))
    return 0 if ok else 1


def verdict(found: list[dict[str, Any]]) -> str:
    """The last line of the output: the wrong modules, and the modules marked as slow or large."""
    wrong = [m["name"] for m in found if not m["ok"]]
    marked = []
    for m in found:
        kinds = dict.fromkeys(mark.partition(":")[0] for row in m["slots"] for mark in row.get("marks", ()))
        marked += [f"{m['name']} ({', '.join(kinds)})"] if kinds else []
    parts = [f"wrong: {', '.join(wrong)}" if wrong else "all right"]
    parts += [f"marked: {', '.join(marked)}"] if marked else []
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def summary(results: list[Result]) -> list[dict[str, Any]]:
    """One row per check: its worst state, the number of settings in this state, and the first reason."""
    from nas_attn.conformance import DECLARED, FAILED, MISSING, NOT_RUN, PASSED, STALE, UNFIT

    order = (FAILED, STALE, MISSING, NOT_RUN, DECLARED, PASSED, UNFIT)
    by_check: dict[str, list[Result]] = {}
    for result in results:
        by_check.setdefault(result.check, []).append(result)
    rows = []
    for check, of_check in by_check.items():
        worst = min((r.state for r in of_check), key=order.index)
        same = [r for r in of_check if r.state == worst]
        first = next((r for r in same if r.reason), same[0])
        rows.append(
            {
                "check": check,
                "state": worst,
                "wrong": first.wrong,
                "genes": len(same),
                "of": len(of_check),
                "gene": first.gene,
                "reason": first.reason,
            }
        )
    return rows


def _device(asked: str | None) -> str:
    import torch

    from nas_attn.errors import MissingPart, UserError

    if asked is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked.split(":")[0] not in ("cpu", "cuda"):
        raise UserError("`--device` must be cpu or cuda", got=asked)
    if asked != "cpu" and not torch.cuda.is_available():
        raise MissingPart(f"`--device {asked}` needs a CUDA device, and this machine has none. Give `--device cpu`.")
    return asked


def _measured(entry: ModuleEntry, slot: Slot, imgsz: int, batch: int, device: str) -> dict[str, Any]:
    from nas_attn.attention.residual import build_module
    from nas_attn.conformance.surroundings import kept
    from nas_attn.cost.latency import measure

    side = slot.map_size(imgsz)
    row: dict[str, Any] = {"slot": slot.name, "map": [slot.channels, side, side]}
    with kept():
        try:
            if (reason := entry.refusal(slot.channels, side, side, entry.defaults())) is not None:
                return {**row, "refused": reason}
            module = build_module(entry, slot.channels, entry.defaults())
            return {**row, **asdict(measure(module, slot.channels, side, side, batch=batch, device=device))}
        except (Exception, SystemExit) as error:  # a user's module may raise anything; the checks report it
            words = " ".join(str(error).split())[:200] or "no message"
            return {**row, "error": f"{type(error).__name__}: {words}"}


def _against(
    control: dict[str, dict[str, Any]], entry: ModuleEntry, slot: Slot, imgsz: int, batch: int, device: str
) -> dict[str, Any]:
    row = _measured(entry, slot, imgsz, batch, device)
    marks = []
    if "step_ms" in row and "step_ms" in control[slot.name]:
        plain = control[slot.name]
        slower = max(row[key] / plain[key] for key in ("forward_ms", "step_ms"))
        larger = row["saved_mb"] / max(plain["saved_mb"], 1e-9)
        marks = [f"slow: {slower:.0f} x {CONTROL}"] if slower >= SLOW else []
        marks += [f"large: {larger:.0f} x {CONTROL}"] if larger >= LARGE else []
    return {**row, "marks": marks}


def _print(module: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    from nas_attn.cli.tables import stdout

    out = stdout()
    table = Table(title=module["name"], box=box.SIMPLE, title_justify="left")
    for column in ("check", "result", "settings"):
        table.add_column(column, no_wrap=True)
    table.add_column("reason", overflow="fold")
    for row in module["checks"]:
        several = row["of"] > 1 and row["wrong"]
        reason = f"{row['gene']}: {row['reason']}" if several else row["reason"]
        table.add_row(row["check"], row["state"], f"{row['genes']} of {row['of']}", reason.replace("[", r"\["))
    out.print(table)
    if not module["slots"]:
        return
    table = Table(box=box.SIMPLE)
    table.add_column("slot")
    for column in ("map", "forward ms", "forward + backward ms", "kept MB per image"):
        table.add_column(column, justify="right")
    table.add_column("remark", overflow="fold")
    for row in module["slots"]:
        figures = [f"{row[k]:.2f}" if k in row else "" for k in ("forward_ms", "step_ms", "saved_mb")]
        remark = row.get("refused") or row.get("error") or ", ".join(row["marks"])
        table.add_row(row["slot"], "x".join(map(str, row["map"])), *figures, remark.replace("[", r"\["))
    out.print(table)
