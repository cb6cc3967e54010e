"""The cost table: cost per (slot, gene). The cost of an architecture is the cost of the base plus the sum of these.

The sum is exact: a count is a sum over executed ops, and a module that keeps the shape of its map changes no other op.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.atomic_files import write_text_atomic
from nas_attn.attention import registry
from nas_attn.attention.source import PREFIX
from nas_attn.cost.cost import COUNTING, ZERO, Cost
from nas_attn.errors import UnknownName, UserError
from nas_attn.space.architecture import NONE, Architecture, Gene
from nas_attn.space.search_space import SearchSpace
from nas_attn.space.slot import Slot

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

SCALED = Cost(0, 0, 0, 1)  # gamma is one parameter; its product with a map is elementwise, so it has no MACs
COUNTERS = ("fvcore", "torch", "ultralytics")


@dataclass(frozen=True)
class CostTable:
    """Cost of the base, and the cost that each gene adds at each slot.

    Attributes:
        base: cost of the base model.
        cells: slot -> gene -> cost that the gene adds.
        imgsz: image size in pixels for which these costs hold.
    """

    base: Cost
    cells: Mapping[str, Mapping[Gene, Cost]]
    imgsz: int

    @classmethod
    def build(
        cls,
        base_module: nn.Module,
        space: SearchSpace | Mapping[Slot, Iterable[Gene]],
        imgsz: int,
        cache: Path | None = None,
        counting: int = COUNTING,
        tell: Callable[[str], None] | None = None,
    ) -> CostTable:
        """The table with the cost of the base and of every gene at its slot, counted or read from the cache.

        Args:
            base_module: the built base, with the class count and `reg_max` of the final training.
            space: the possible genes of each slot.
            imgsz: image size of the final training in pixels.
            cache: folder in which counted tables are kept; None: no table is kept or read.
            counting: version of the counting rules; 1 counts as release 0.1.0 did.
            tell: takes a few words on the progress, before each gene.

        Raises:
            ConfigError: a user's module does not run at a slot, see `check_places`.
            UserError: a module runs an op without a listed cost, or the folder is not writable.
        """
        from nas_attn.cost.counter import count, gene_cost
        from nas_attn.cost.standing import check_places

        genes = _checked(base_module, space, imgsz)
        path = None
        if cache is not None:
            path = Path(cache) / f"cost-{_fingerprint(base_module, genes, imgsz, counting)}.json"
            if path.is_file():
                return cls.from_dict(json.loads(path.read_text("utf-8")))
        check_places(genes, imgsz)
        done, total = 0, sum(map(len, genes.values()))
        known: dict[tuple[Gene, int, int], Cost] = {}  # without residual, which only adds one scalar
        cells: dict[str, dict[Gene, Cost]] = {}
        for slot, wanted in genes.items():
            size = slot.map_size(imgsz)
            for gene in wanted:
                done += 1
                if tell is not None:
                    tell(f"counting cost, {done} of {total}")
                settings = gene.as_dict()
                residual = settings.pop("residual", "none")
                inner = Gene.of(gene.module, settings)
                key = (inner, slot.channels, size)
                if key not in known:
                    known[key] = gene_cost(inner, slot.channels, size, size, counting=counting)
                own = known[key] + (SCALED if residual == "scaled" else ZERO)
                cells.setdefault(slot.name, {})[gene] = (
                    own if gene == NONE else (own + _beside(slot, size)) * slot.sites
                )
        table = cls(count(base_module, imgsz, imgsz, counting=counting), cells, imgsz)
        if path is not None:
            write_text_atomic(path, json.dumps(table.as_dict()))
        return table

    def cost(self, architecture: Architecture) -> Cost:
        """The cost of an architecture; a slot that it leaves out has `none`.

        Raises:
            UnknownName: the table does not have a slot.
            UserError: a gene was not counted at its slot.
        """
        total = self.base
        for slot, gene in Architecture.meant(architecture):
            total = total + self.cell(slot, gene)
        return total

    def cell(self, slot: str, gene: Gene) -> Cost:
        """The cost that a gene adds at a slot; raises the same errors as `cost`."""
        if slot not in self.cells:
            raise UnknownName("slot", slot, self.cells)
        try:
            return self.cells[slot][Gene.parse(gene)]
        except KeyError:
            raise UserError("a gene must be in the cost table", got=f"`{gene}`", where=slot) from None

    def many(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """The costs of many architectures: int64 of shape (len(architectures), 4), with the columns of `Cost`.

        Raises:
            UnknownName, UserError: the same errors as `cost`.
        """
        import numpy as np

        index, values = self._rows
        architectures = [Architecture.meant(a) for a in architectures]
        try:
            rows = [[index[slot][gene] for slot, gene in a.genes] for a in architectures]
        except KeyError:
            for a in architectures:
                self.cost(a)  # raises an error that names the slot or the gene
            raise
        width = max(map(len, rows), default=0)
        padded = np.array([r + [0] * (width - len(r)) for r in rows], dtype=np.intp).reshape(len(rows), width)
        total: np.ndarray = values[padded].sum(axis=1) + np.array(self.base.as_tuple(), dtype=np.int64)
        return total

    @cached_property
    def _rows(self) -> tuple[dict[str, dict[Gene, int]], np.ndarray]:
        """Slot -> gene -> index of its row, and the rows; row 0 is all zeros."""
        import numpy as np

        index: dict[str, dict[Gene, int]] = {}
        values = [(0, 0, 0, 0)]
        for slot, genes in self.cells.items():
            for gene, cost in genes.items():
                index.setdefault(slot, {})[gene] = len(values)
                values.append(cost.as_tuple())
        return index, np.array(values, dtype=np.int64)

    def as_dict(self) -> dict[str, Any]:
        """The table as a JSON-ready dictionary; `from_dict` reads it back."""
        cells = {s: {str(g): c.as_tuple() for g, c in genes.items()} for s, genes in self.cells.items()}
        return {"imgsz": self.imgsz, "base": self.base.as_tuple(), "cells": cells}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CostTable:
        """The table that `as_dict` wrote."""
        cells = {s: {Gene.parse(g): Cost(*c) for g, c in genes.items()} for s, genes in data["cells"].items()}
        return cls(Cost(*data["base"]), cells, data["imgsz"])


def _checked(base_module: Any, space: Any, imgsz: Any) -> dict[Slot, tuple[Gene, ...]]:
    """The distinct genes of each slot: slot -> genes.

    Raises:
        UserError: `base_module` is no model, `space` is no space, or `imgsz` is no number of pixels.
    """
    from torch import nn

    rule, remedy = "the base of a cost table must be a built model", 'Give `load_base("yolo11n").build()`.'
    if not isinstance(base_module, nn.Module):
        raise UserError(rule, got=type(base_module).__name__, remedy=remedy)
    if not isinstance(imgsz, int) or imgsz < 1:
        raise UserError("`imgsz` must be a number of pixels", got=repr(imgsz))
    genes = {s.slot: s.genes for s in space.slots} if isinstance(space, SearchSpace) else space
    if not isinstance(genes, Mapping) or not all(isinstance(slot, Slot) for slot in genes):
        rule, remedy = "a cost table must get a SearchSpace, or Slot -> genes", "Take the slots from `all_slots`."
        raise UserError(rule, got=type(space).__name__, remedy=remedy)
    return {slot: tuple(dict.fromkeys(map(Gene.parse, wanted))) for slot, wanted in genes.items()}


def _beside(slot: Slot, size: int) -> Cost:
    """The cost of the weights that a gene adds to a site or removes from it, besides its module.

    Each weight costs one multiply-accumulate per map cell. The cost is negative if more weights are removed than added.
    """
    weights = slot.inside.weights if slot.inside else 0
    macs = weights * size * size
    return Cost(macs, macs, 2 * macs, weights)


def _fingerprint(base_module: nn.Module, genes: Mapping[Slot, Sequence[Gene]], imgsz: int, counting: int) -> str:
    """16 hex digits that change if a count could change.

    They depend on the model, the genes, the size, the counting rules, the versions of the counters, and the source of
    the modules and of this package.
    """
    content = {
        "base": getattr(base_module, "yaml", None) or repr(base_module),
        "genes": [[s.as_list(), [str(g) for g in wanted]] for s, wanted in genes.items()],
        "imgsz": imgsz,
        "counting": counting,
        "versions": {name: importlib.metadata.version(name) for name in COUNTERS},
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
    own = (Path(__file__).parent, Path(registry.__file__).parent)
    for file in sorted({f for folder in own for f in folder.rglob("*.py")}):
        digest.update(file.read_bytes())
    entries = {e.name: e for wanted in genes.values() for e in (registry.get(g.module) for g in wanted)}
    for name in sorted(entries):  # the modules of users are in other folders
        digest.update(entries[name].source() + repr(sorted(entries[name].costs.items())).encode())
    own_layers = {type(layer).__module__ for layer in base_module.modules()}  # these names hold digests of sources
    digest.update("".join(sorted(name for name in own_layers if name.startswith(PREFIX))).encode())
    return digest.hexdigest()[:16]
