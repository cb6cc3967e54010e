"""The check that a user's modules keep their slot's map: each runs once at the slot's size, untrained.

For the zoo's modules, tests check this. Without the check, a faulty module would fail only after hours of training the
controls.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nas_attn.attention import registry
from nas_attn.attention.residual import build_module
from nas_attn.errors import ConfigError, SlotRefused, UserError
from nas_attn.space.architecture import NONE, Gene
from nas_attn.space.search_space import SearchSpace
from nas_attn.space.slot import Slot

if TYPE_CHECKING:
    from torch import Tensor

NAMED = 3  # further genes and places that a message lists
Fault = tuple[str, str, str]  # the rule, the value that breaks it, the remedy


def check_places(space: SearchSpace | Mapping[Slot, Iterable[Gene]], *sizes: int) -> None:
    """Refuse a user's modules that cannot stand at their slots.

    Each gene runs once for each slot's channels and map, in evaluation mode: on the meta device, or on zeros if it
    cannot. A gene that its module itself refuses at a slot is skipped.

    Args:
        space: the genes that may stand at each slot.
        sizes: sides of square images, in pixels.

    Raises:
        ConfigError: one problem a module; it names the setting and the slot, and the others of the same fault.
    """
    genes = {s.slot: (*s.genes, *s.aliases) for s in space.slots} if isinstance(space, SearchSpace) else space
    faults: dict[str, list[tuple[str, UserError]]] = {}
    known: dict[tuple[Gene, int, int], tuple[Fault, str] | None] = {}
    for slot, gene, size in _cells(genes, sizes):
        entry = registry.get(gene.module)
        settings = entry.complete(gene.as_dict())
        if entry.refusal(slot.channels, size, size, settings) is not None:
            continue
        key = gene, slot.channels, size
        if key not in known:
            known[key] = _fault(entry, slot.channels, size, settings)
        if (found := known[key]) is not None:
            (rule, got, remedy), where = found
            place = f"`{gene}` at {slot.name}"
            error = SlotRefused(rule, got=got, where=f"{where}, class {entry.cls.__name__}, {place}", remedy=remedy)
            faults.setdefault(gene.module, []).append((place, error))
    if faults:
        raise ConfigError([_first(found) for found in faults.values()])


def wrong_output(y: Any, x: Tensor) -> Fault | None:
    """The rule that the output for a map (N, C, H, W) breaks; None if it keeps all rules."""
    import torch

    if not isinstance(y, torch.Tensor):
        return "`forward` must return one tensor", type(y).__name__, "Return the map alone."
    if y.shape != x.shape:
        return (
            "`forward` must keep the shape of its map",
            f"{tuple(y.shape)} for {tuple(x.shape)}",
            "Pad convolutions by k // 2 and bring resized maps back to the input's height and width.",
        )
    if y.dtype != x.dtype:
        return (
            "`forward` must return the type that it got",
            f"{y.dtype} for {x.dtype}",
            "Create tensors with the input's dtype, and cast back what is computed in float32.",
        )
    return None


def _cells(genes: Mapping[Slot, Iterable[Gene]], sizes: Iterable[int]) -> Iterator[tuple[Slot, Gene, int]]:
    """(slot, gene without its residual, side of the map) of all genes of a user's modules, each once."""
    for slot, wanted in genes.items():
        plain = (Gene.of(g.module, {**g.as_dict(), "residual": "none"}) for g in wanted if g != NONE)
        for gene in dict.fromkeys(plain):
            if not registry.get(gene.module).cls.__module__.startswith(registry.ZOO):
                yield from ((slot, gene, size) for size in dict.fromkeys(slot.map_size(s) for s in sizes))


def _fault(
    entry: registry.ModuleEntry, channels: int, size: int, settings: Mapping[str, Any]
) -> tuple[Fault, str] | None:
    """The fault of these settings on a map, and its file and line."""
    if "meta" not in entry.cannot:
        with contextlib.suppress(Exception, SystemExit):  # judged below: the meta device may be the cause
            if _output_fault(entry, channels, size, settings, "meta") is None:
                return None
    try:
        fault = _output_fault(entry, channels, size, settings, "cpu")
        return None if fault is None else (fault, entry.origin)
    except (Exception, SystemExit) as error:  # a user's own code, which may raise anything
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == entry.origin]
        got = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
        remedy = "Correct it, or let a classmethod `unsupported(cls, channels, **settings)` return why it cannot stand."
        rule = f"a module must run on the map of its slot, here {channels}x{size}x{size}"
        return (rule, got, remedy), f"{entry.origin}:{lines[-1]}" if lines else entry.origin


def _output_fault(
    entry: registry.ModuleEntry, channels: int, size: int, settings: Mapping[str, Any], device: str
) -> Fault | None:
    import torch

    # initial weights are drawn, and the caller's random state stays; prints of a user's module must not reach stdout
    with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(sys.stderr), torch.no_grad():
        with torch.device(device):
            module = build_module(entry, channels, settings).eval()
        x = torch.zeros(2, channels, size, size, device=device)
        return wrong_output(module(x), x)


def _first(found: list[tuple[str, UserError]]) -> UserError:
    """The first problem of a module, with the other places that it has."""
    _, error = found[0]
    others = list(dict.fromkeys(place for place, _ in found if place != found[0][0]))
    if others:
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        error.remedy += f" Also: {', '.join(others[:NAMED])}{more}."
    return error
