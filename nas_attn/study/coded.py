"""The architectures of a study as points of a product space, with their exact costs: what its posterior works on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from nas_attn.errors import RecordLost, UserError
from nas_attn.known_cost.fit import Prior
from nas_attn.known_cost.measured import Point
from nas_attn.known_cost.space import ProductSpace, Variant
from nas_attn.space import NONE, Architecture, Gene
from nas_attn.space.architecture import natural
from nas_attn.study.plan import Plan
from nas_attn.study.view import StudyView

# Measured on proxies of real and generated data: most of the variance of a run is noise, effects of modules at slots
# come next, and little is left to pairs and single architectures. Chosen by simulation: tests/benchmarks/posterior.py.
PRIOR = Prior(
    {
        "option": 0.04,
        "setting": 0.025,
        "shared": 0.025,
        "pair": 0.01,
        "near": 0.01,
        "cost": 0.01,
        "own": 0.015,
        "told": 0.1,
    },
    noise=0.6,
    level=0.1,
    spread=1.2,
    spread_of_noise=0.7,
    nothing=0.05,
)


class Coded:
    """The genes of each slot, numbered.

    Args:
        added: slot -> gene -> multiply-accumulates that it adds to the base, for all genes of the slot.
        base: multiply-accumulates of the base.
    """

    def __init__(self, added: Mapping[str, Mapping[Gene, float]], base: float) -> None:
        self.genes = {slot: tuple(genes) for slot, genes in added.items()}
        self._at = {slot: {g: i for i, g in enumerate(genes)} for slot, genes in self.genes.items()}
        self._macs = padded([list(genes.values()) for genes in added.values()])
        self._base = base
        self.space = ProductSpace({slot: [_variant(g) for g in genes] for slot, genes in self.genes.items()})

    @classmethod
    def of_plan(cls, plan: Plan, genes: Mapping[str, Iterable[Gene]]) -> Coded:
        """The given genes with the costs of a plan."""
        added = {slot: {g: plan.table.cell(slot, g).macs for g in some} for slot, some in genes.items()}
        return cls(added, plan.table.base.macs)

    @classmethod
    def of_view(cls, view: StudyView) -> Coded:
        """All genes that a study could choose or has trained, with their costs.

        The header of an older study has no costs of genes; there, they follow from the costs of its architectures.
        """
        trained = list(dict.fromkeys(t.architecture for t in view.trials if t.state != "refused" and t.cost))
        filled = {slot for a in trained for slot, gene in a if gene != NONE} | set(view.slots.get("searched", ()))
        known = _recorded(view)
        kept: dict[str, dict[Gene, float | None]] = {}
        for slot in sorted(filled or {s for a in trained for s in a.slots}, key=natural):
            kept[slot] = {NONE: 0.0, **known.get(slot, {})}
            for a in trained:
                kept[slot].setdefault(a[slot] if slot in a.slots else NONE, None)
        base, missing = _solved(view, kept, trained)
        added = {s: {g: missing.get((s, g), 0.0) if m is None else m for g, m in gs.items()} for s, gs in kept.items()}
        return cls(added, base)

    def point(self, architecture: Architecture) -> Point | None:
        """The point of an architecture; None if the space does not have it."""
        if any(gene != NONE and slot not in self._at for slot, gene in architecture):
            return None
        found = []
        for slot, at in self._at.items():
            gene = architecture[slot] if slot in architecture.slots else NONE
            if gene not in at:
                return None
            found.append(at[gene])
        return tuple(found)

    def architecture(self, point: Point) -> Architecture:
        """The architecture of a point."""
        return Architecture.of({s: genes[i] for (s, genes), i in zip(self.genes.items(), point, strict=True)})

    def gmacs(self, points: np.ndarray) -> np.ndarray:
        """The costs of points in giga multiply-accumulates, (n, slots) -> (n,)."""
        found: np.ndarray = (self._base + self._macs[np.arange(len(self.genes)), points].sum(1)) / 1e9
        return found


def padded(rows: list[list[float]]) -> np.ndarray:
    """Rows of different lengths as one array, filled up with zeros."""
    found = np.zeros((len(rows), max(map(len, rows))))
    for i, row in enumerate(rows):
        found[i, : len(row)] = row
    return found


def _variant(gene: Gene) -> Variant:
    settings = {} if gene == NONE else {"residual": "none", **gene.as_dict()}
    return Variant(gene.module, settings, {})


def _recorded(view: StudyView) -> dict[str, dict[Gene, float | None]]:
    """Slot -> gene -> multiply-accumulates that it adds, as the header has them.

    Raises:
        RecordLost: the header is damaged.
    """
    if "space" not in view.header:
        return {}
    try:
        content = view.header["space"]
        genes = [Gene.parse(text) for text in content["genes"]]
        return {
            slot: {genes[i]: float(cost[0]) for i, cost in zip(own["counted"], own["costs"], strict=True)}
            for slot, own in content["slots"].items()
        }
    except (UserError, KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise RecordLost(
            f"the first record of study '{view.name}' is damaged: its `space` cannot be read. Restore the record log "
            "from a copy; the Optuna storage of the study holds the same records."
        ) from None


def _solved(
    view: StudyView, genes: Mapping[str, Mapping[Gene, float | None]], trained: list[Architecture]
) -> tuple[float, dict[tuple[str, Gene], float]]:
    """The base's multiply-accumulates, and those of genes without a record, from the costs of architectures."""
    gmacs = {t.architecture: t.gmacs for t in view.trials if t.state != "refused" and t.cost}
    open_ = [(slot, gene) for slot, some in genes.items() for gene, macs in some.items() if macs is None]
    at = {key: i for i, key in enumerate(open_)}
    rows, values = [], []
    for a in trained:
        row, value = np.zeros(len(open_) + 1), gmacs[a] * 1e9
        row[-1] = 1.0
        for slot in genes:
            gene = a[slot] if slot in a.slots else NONE
            if (slot, gene) in at:
                row[at[slot, gene]] = 1.0
            else:
                value -= genes[slot][gene] or 0.0
        rows.append(row)
        values.append(value)
    if not rows:
        return float(view.header.get("base_cost", {}).get("gmacs", 0.0)) * 1e9, {}
    found = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return float(found[-1]), {key: float(found[i]) for key, i in at.items()}
