"""The check that a user's modules fit their slots: each untrained module runs once on a map of the slot's size.

Without this check, a faulty module would fail only after hours, when the controls are trained. The modules of the zoo
are checked by the tests.
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

NAMED = 3  # further genes and slots that a message lists
Fault = tuple[str, str, str]  # the rule, the value that breaks it, the remedy


def check_places(space: SearchSpace | Mapping[Slot, Iterable[Gene]], *sizes: int) -> None:
    """Refuse a user's modules that do not run at their slots.

    Each gene runs once, in evaluation mode, with the channels and map size of each slot: on the meta device, or on
    zeros if the module cannot run there. If a module itself refuses a gene at a slot, the gene is skipped.

    Args:
        space: the possible genes of each slot.
        sizes: sides of square images, in pixels.

    Raises:
        ConfigError: one problem for each module; it names the gene and the slot, and further ones with the same fault.
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
    """The rule that the output for a map (N, C, H, W) breaks; None if the output is correct."""
    import torch

    if not isinstance(y, torch.Tensor):
        return "`forward` must return one tensor", type(y).__name__, "Return only the map."
    if y.shape != x.shape:
        return (
            "`forward` must keep the shape of its map",
            f"{tuple(y.shape)} for {tuple(x.shape)}",
            "Pad convolutions by k // 2, and resize maps back to the height and width of the input.",
        )
    if y.dtype != x.dtype:
        return (
            "`forward` must return the dtype of its input",
            f"{y.dtype} for {x.dtype}",
            "Create tensors with the dtype of the input, and cast float32 results back.",
        )
    return None


def _cells(genes: Mapping[Slot, Iterable[Gene]], sizes: Iterable[int]) -> Iterator[tuple[Slot, Gene, int]]:
    """(slot, gene without residual, side of the map) for each distinct gene of a user's modules."""
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
        with contextlib.suppress(Exception, SystemExit):  # tried again below: the meta device may be the cause
            if _output_fault(entry, channels, size, settings, "meta") is None:
                return None
    try:
        fault = _output_fault(entry, channels, size, settings, "cpu")
        return None if fault is None else (fault, entry.origin)
    except (Exception, SystemExit) as error:  # a user's own code, which may raise anything
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == entry.origin]
        got = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
        remedy = "Correct it, or return the reason from a classmethod `unsupported(cls, channels, **settings)`."
        rule = f"a module must run on the map of its slot, here {channels}x{size}x{size}"
        return (rule, got, remedy), f"{entry.origin}:{lines[-1]}" if lines else entry.origin


def _output_fault(
    entry: registry.ModuleEntry, channels: int, size: int, settings: Mapping[str, Any], device: str
) -> Fault | None:
    import torch

    # building draws random weights, but the random state of the caller must not change; prints of a user's module must
    # not reach stdout
    with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(sys.stderr), torch.no_grad():
        with torch.device(device):
            module = build_module(entry, channels, settings).eval()
        x = torch.zeros(2, channels, size, size, device=device)
        return wrong_output(module(x), x)


def _first(found: list[tuple[str, UserError]]) -> UserError:
    """The first problem of a module; its remedy also lists the other genes and slots with this fault."""
    _, error = found[0]
    others = list(dict.fromkeys(place for place, _ in found if place != found[0][0]))
    if others:
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        error.remedy += f" Also: {', '.join(others[:NAMED])}{more}."
    return error
