"""The sampler `known-cost` for a study: it chooses from the architectures that are new and keep to the limits.

It sees what the other samplers do not: the cost of every architecture, and the seed of every trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from nas_attn.known_cost.proposer import Measured, Point, Proposer
from nas_attn.known_cost.space import ProductSpace, Variant
from nas_attn.space import NONE, Architecture, Gene, SearchSpace
from nas_attn.study.plan import Plan
from nas_attn.study.trial import Trial, next_number


class Chooser:
    """Chooses the architecture of the next trial.

    Args:
        plan: the plan of the study, with costs and limits.
        space: the space, restricted to the slots that are searched.
        controls: architectures of controls; the space need not have their genes.
    """

    def __init__(self, plan: Plan, space: SearchSpace, controls: Iterable[Architecture] = ()) -> None:
        self._genes: dict[str, tuple[Gene, ...]] = {}
        for s in space.slots:
            further = [c[s.slot.name] for c in controls]
            self._genes[s.slot.name] = tuple(dict.fromkeys((*s.genes, *further)))
        self._at = {slot: {g: i for i, g in enumerate(genes)} for slot, genes in self._genes.items()}
        self._offered = np.array([len(s.genes) for s in space.slots])
        cells = [[plan.table.cell(slot, g) for g in genes] for slot, genes in self._genes.items()]
        self._macs = _padded([[c.macs for c in row] for row in cells])
        self._params = _padded([[c.params for c in row] for row in cells])
        self._base = plan.table.base
        self._config = plan.config
        product = ProductSpace({s: [_variant(g) for g in genes] for s, genes in self._genes.items()})
        self._proposer = Proposer(product, self._gmacs, plan.config.seed, allowed=self._allowed)

    def choose(self, trials: Sequence[Trial]) -> Architecture | None:
        """The architecture to train next; None if all that the limits allow were trained.

        Args:
            trials: all trials of the study so far.
        """
        points: list[Point] = []
        values: list[float] = []
        seeds: list[int] = []
        running: list[Point] = []
        spent: list[Point] = []
        for t in trials:
            if (point := self._point(t.architecture)) is None:
                continue
            if t.usable and t.map50_95 is not None and np.isfinite(t.map50_95):
                points.append(point)
                values.append(t.map50_95)
                seeds.append(t.seed)
            else:
                (running if t.state == "running" else spent).append(point)
        found = self._proposer.propose(Measured(points, values, seeds, running, spent), next_number(trials))
        if found is None:
            return None
        return Architecture.of({s: genes[i] for (s, genes), i in zip(self._genes.items(), found, strict=True)})

    def _point(self, architecture: Architecture) -> Point | None:
        found = []
        for slot, at in self._at.items():
            gene = architecture[slot] if slot in architecture.slots else NONE
            if gene not in at:
                return None
            found.append(at[gene])
        return tuple(found)

    def _gmacs(self, points: np.ndarray) -> np.ndarray:
        slots = np.arange(len(self._offered))
        found: np.ndarray = (self._base.macs + self._macs[slots, points].sum(1)) / 1e9
        return found

    def _allowed(self, points: np.ndarray) -> np.ndarray:
        slots = np.arange(len(self._offered))
        found: np.ndarray = np.all(points < self._offered, axis=1)
        if (limit := self._config.max_gmacs) is not None:
            found = np.logical_and(found, self._gmacs(points) <= limit)
        if (limit := self._config.max_params) is not None:
            params = (self._base.params + self._params[slots, points].sum(1)) / 1e6
            found = np.logical_and(found, params <= limit)
        return found


def _variant(gene: Gene) -> Variant:
    settings = {} if gene == NONE else {"residual": "none", **gene.as_dict()}
    return Variant(gene.module, settings, {})


def _padded(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Rows of different lengths as one array, filled up with zeros."""
    found = np.zeros((len(rows), max(map(len, rows))))
    for i, row in enumerate(rows):
        found[i, : len(row)] = row
    return found
