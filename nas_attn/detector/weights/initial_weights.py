"""New models of architectures. For the same seed, layers that architectures share start with the same weights.

Random numbers come from a forked generator of the CPU, so the caller's random state on CPU and CUDA does not change.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from nas_attn.attention import registry
from nas_attn.attention.residual import build_module
from nas_attn.detector.model.base_model import BaseModel, build_yaml
from nas_attn.detector.model.rows import Rewritten
from nas_attn.detector.neck.surgery import apply
from nas_attn.detector.weights.transfer import REPLACED, Left, State, TransferReport, moved_key, row_of, transfer
from nas_attn.errors import SlotRefused
from nas_attn.space.architecture import Architecture, Gene
from nas_attn.space.slot import REPLACE, Slot


def initial_state(base: BaseModel, seed: int) -> dict[str, Tensor]:
    """The initial state dict of the layers that all architectures of a study share: that of the base.

    Args:
        base: the base model.
        seed: decides every initial weight.
    """
    return {key: tensor.clone() for key, tensor in _initial(base, seed)[0].items()}


@lru_cache(maxsize=4)  # trials of a study share seeds, and building a model takes most of a second
def _initial(base: BaseModel, seed: int) -> tuple[dict[str, Tensor], Any]:
    """(shared initial weights, `end2end` of the base's head as Ultralytics set it)."""
    with seeded(seed):
        model: Any = base.build()
        return model.state_dict(), getattr(model, "end2end", None)


def build(
    base: BaseModel, slots: Sequence[Slot], architecture: Architecture, seed: int, weights: State | None = None
) -> tuple[nn.Module, TransferReport]:
    """A new model of an architecture; equal arguments give equal weights.

    Shared layers start from `initial_state(base, seed)`. Then the tensors of `weights` that fit replace them. Each
    inserted module has its own seed, so a gene at a slot starts with the same weights in every architecture.

    Args:
        base: the base model.
        slots: the slots of the base.
        architecture: the modules to insert.
        seed: decides every initial weight.
        weights: state dict of a model with the rows of the base, e.g. of the trained base.

    Returns:
        The model on the CPU in training mode, and the report on the transfer of `weights` (of the initial state if
        `weights` is None).

    Raises:
        SlotRefused: the rewritten base would differ from the base in a layer that was not inserted.
        UserError: as `apply` in `surgery.py` raises it.
    """
    done = apply(base, slots, architecture)
    with seeded(seed):
        model: Any = build_yaml(done.yaml)
    report = transfer(model, _initial(base, seed)[0], done.row_map)
    _check_unchanged(base, slots, done, model, report.left, seed)
    if weights is not None:
        report = transfer(model, weights, done.row_map)
    genes = dict(architecture.genes)
    for slot in slots:
        if slot.name in done.places:
            for site, module in enumerate(modules_at(model, slot, done)):
                module.load_state_dict(_fresh_module(slot, genes[slot.name], seed, site).state_dict())
            if slot.inside is not None and slot.inside.mode == REPLACE:
                for site, project in enumerate(model.model[done.places[slot.name]].projections()):
                    with seeded(_derived(seed, slot.name, "project", site)):
                        project.reset_parameters()
    return model, report


def modules_at(model: Any, slot: Slot, done: Rewritten) -> list[nn.Module]:
    """The modules of a filled slot in a built model: one, or one per site inside a block.

    Args:
        model: the built model.
        slot: the filled slot.
        done: the rewrite of the base into this model.
    """
    layer = model.model[done.places[slot.name]]
    return [layer] if slot.inside is None else layer.attentions(slot.inside.mode)


def _check_unchanged(
    base: BaseModel, slots: Sequence[Slot], done: Rewritten, model: Any, left: Left, seed: int
) -> None:
    """Refuse a model if any layer besides the inserted ones differs from the base.

    Ultralytics chooses some layers by the blocks in the model: a model without any of the newer blocks gets an older
    head.

    Args:
        base, slots, seed: as `build` takes them.
        done: the rewrite of the base.
        model: the built model.
        left: (key, reason) for each tensor of the base's initial state that was not copied.
    """
    state, end2end = _initial(base, seed)
    filled = [slot for slot in slots if slot.name in done.places]
    gone = Counter({s.row: s.sites for s in filled if s.inside and s.inside.mode == REPLACE})
    wrong = []
    for key, reason in left:
        row = row_of(key)
        if REPLACED.search(key) and gone[row]:
            gone[row] -= 1
        else:
            wrong.append(f"{key}: {reason}")
    known = {moved_key(key, done.row_map) for key in state}
    own = set(done.places.values())
    wrong += [f"{k}: no such tensor in the base" for k in model.state_dict() if k not in known and row_of(k) not in own]
    if not wrong and (after := getattr(model, "end2end", None)) != end2end:
        wrong = [f"end2end {after} (the base has {end2end})"]
    if wrong:
        raise SlotRefused(
            "an insertion must not change any other layer of the base",
            got=wrong[0],
            where=base.name,
            remedy="Use other slots: without this block, Ultralytics builds another head.",
        )


def _fresh_module(slot: Slot, gene: Gene, seed: int, site: int = 0) -> nn.Module:
    """A new module of a gene with its initial weights, which depend on seed, slot, gene and site only."""
    entry = registry.get(gene.module)
    settings = entry.complete(gene.as_dict())
    whole = Gene.of(gene.module, settings)  # a default that is written out makes no other gene
    with seeded(_derived(seed, slot.name, whole, *([site] if site else []))):
        return build_module(entry, slot.channels, settings)


def _derived(seed: int, *parts: object) -> int:
    """A seed that depends on all parts, so that everything that they identify draws its own random numbers."""
    digest = hashlib.sha256("|".join(map(str, (seed, *parts))).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context with the CPU generator at `seed`, which is restored at the end. CUDA's generators are not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would seed CUDA too, which is not forked here
        yield
