"""Weights that follow their layer: index-aware transfer, and initial weights that architectures share.

Everything random here runs in a forked generator of the CPU: the caller's random state, CPU and CUDA, is the same
afterwards as before.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from nas_attn.attention import registry
from nas_attn.attention.residual import build_module
from nas_attn.detector.model.base_model import BaseModel, build_yaml
from nas_attn.detector.model.rows import Rewritten
from nas_attn.detector.neck.surgery import apply
from nas_attn.errors import SlotRefused
from nas_attn.space.architecture import Architecture, Gene
from nas_attn.space.slot import REPLACE, Slot

State = Mapping[str, Tensor]
Left = Sequence[tuple[str, str]]  # key, and the reason why it was not copied
REPLACED = re.compile(r"\.cv2\.conv\.weight$")  # the only tensor of a base that a filled slot does without


@dataclass(frozen=True)
class TransferReport:
    """What became of the tensors of a base's state dict.

    Attributes:
        moved: how many were copied.
        total: how many there were.
        left: (key in the base, reason) of each that was not.
    """

    moved: int
    total: int
    left: tuple[tuple[str, str], ...] = ()

    @property
    def ratio(self) -> float:
        """Share of the tensors that were copied, in [0, 1]."""
        return self.moved / self.total if self.total else 0.0

    def __str__(self) -> str:
        return f"{self.moved} of {self.total} tensors transferred ({100 * self.ratio:.1f} %)"


def transfer(
    model: nn.Module, state: State, row_map: Mapping[int, int], strange: Container[str] = ()
) -> TransferReport:
    """Copy a base's tensors into a model whose rows have moved, wherever the shape is unchanged.

    Args:
        model: the model that receives them, in place.
        state: state dict of the base (`model.<row>.<rest>`).
        row_map: base row -> row in `model`.
        strange: keys of the base whose tensors mean something else in `model`.
    """
    own = model.state_dict()
    left = []
    with torch.no_grad():
        for key, tensor in state.items():
            moved = _moved(key, row_map)
            target = own.get(moved)
            if not moved:
                left.append((key, "no such row in the base"))
            elif key in strange:
                left.append((key, "another module stands there"))
            elif target is None:
                left.append((key, "no such tensor in the model"))
            elif target.shape != tensor.shape:
                left.append((key, f"shape {tuple(tensor.shape)} became {tuple(target.shape)}"))
            else:
                target.copy_(tensor)
    return TransferReport(len(state) - len(left), len(state), tuple(left))


def _row(key: str) -> int:
    """The row of a state dict's key, `model.<row>.<rest>`; -1 where it is none."""
    prefix, row, *_ = [*key.split(".", 2), ""]
    return int(row) if prefix == "model" and row.isdigit() else -1


def _moved(key: str, row_map: Mapping[int, int]) -> str:
    """The key with its row as it now stands; empty where there is no such row."""
    row = row_map.get(_row(key))
    return "" if row is None else ".".join(["model", str(row), *key.split(".", 2)[2:]])


def initial_state(base: BaseModel, seed: int) -> dict[str, Tensor]:
    """The weights with which every architecture of a study starts in its shared layers, for this seed."""
    return {key: tensor.clone() for key, tensor in _initial(base, seed)[0].items()}


@lru_cache(maxsize=4)  # trials of a study share seeds, and building a model takes a good part of a second
def _initial(base: BaseModel, seed: int) -> tuple[dict[str, Tensor], Any]:
    """The shared weights, and whether the base's head works end to end."""
    with seeded(seed):
        model: Any = base.build()
        return model.state_dict(), getattr(model, "end2end", None)


def build(
    base: BaseModel, slots: Sequence[Slot], architecture: Architecture, seed: int, weights: State | None = None
) -> tuple[nn.Module, TransferReport]:
    """A new model of an architecture, the same for the same arguments.

    Shared layers start from `initial_state(base, seed)`, and then from `weights` where these fit. Each inserted module
    is initialised from a seed of its own, so that a gene at a slot starts alike in every architecture.

    Args:
        base: the base model.
        slots: its slots.
        architecture: what to insert.
        seed: fixes every initial weight.
        weights: state dict of a model with the base's rows, e.g. of a trained base.

    Returns:
        The model on the CPU in training mode, and the report of `weights` (of the initial state where None).
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
    """The modules of a filled slot in a built model: one, or one at each site inside a block."""
    layer = model.model[done.places[slot.name]]
    return [layer] if slot.inside is None else layer.attentions(slot.inside.mode)


def _check_unchanged(
    base: BaseModel, slots: Sequence[Slot], done: Rewritten, model: Any, lost: Left, seed: int
) -> None:
    """Refuse a model whose layers beside the inserted ones are not the base's.

    Ultralytics decides some of them by which blocks occur: a model without any of the newer ones gets an older head.

    Args:
        base, slots, seed: as `build` takes them.
        done: how the base became the model.
        model: as built.
        lost: what it could not take of the base's initial state.
    """
    state, end2end = _initial(base, seed)
    filled = [slot for slot in slots if slot.name in done.places]
    gone = Counter({s.row: s.sites for s in filled if s.inside and s.inside.mode == REPLACE})
    wrong = []
    for key, reason in lost:
        row = _row(key)
        if REPLACED.search(key) and gone[row]:
            gone[row] -= 1
        else:
            wrong.append(f"{key}: {reason}")
    known = {_moved(key, done.row_map) for key in state}
    own = set(done.places.values())
    wrong += [f"{k}: no such tensor in the base" for k in model.state_dict() if k not in known and _row(k) not in own]
    if not wrong and (after := getattr(model, "end2end", None)) != end2end:
        wrong = [f"end2end {after}, where the base has {end2end}"]
    if wrong:
        raise SlotRefused(
            "inserting must leave every other layer of the base as it is",
            got=wrong[0],
            where=base.name,
            remedy="Use the other slots: without this block Ultralytics builds another head.",
        )


def _fresh_module(slot: Slot, gene: Gene, seed: int, site: int = 0) -> nn.Module:
    entry = registry.get(gene.module)
    settings = entry.complete(gene.as_dict())
    whole = Gene.of(gene.module, settings)  # a setting left at its default and one written out are the same gene
    with seeded(_derived(seed, slot.name, whole, *([site] if site else []))):
        return build_module(entry, slot.channels, settings)


def _derived(seed: int, *parts: object) -> int:
    """A seed of its own for what the parts name."""
    digest = hashlib.sha256("|".join(map(str, (seed, *parts))).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The CPU generator at `seed` inside, and as it was afterwards; CUDA's generators are never touched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would seed CUDA too, which is not forked here
        yield
