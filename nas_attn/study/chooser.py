"""The sampler `known-cost` for a study: it chooses from the architectures that are new and keep to the limits.

It sees what the other samplers do not: the cost of every architecture, and the seed of every trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from nas_attn.known_cost.proposer import Measured, Point, Proposer
from nas_attn.space import Architecture, Gene, SearchSpace
from nas_attn.study.coded import PRIOR, Coded, padded
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
        genes: dict[str, tuple[Gene, ...]] = {}
        for s in space.slots:
            further = [c[s.slot.name] for c in controls]
            genes[s.slot.name] = tuple(dict.fromkeys((*s.genes, *further)))
        self._coded = Coded.of_plan(plan, genes)
        self._offered = np.array([len(s.genes) for s in space.slots])
        self._params = padded([[plan.params(slot, g) for g in some] for slot, some in genes.items()])
        self._base_params, self._config = plan.table.base.params, plan.config
        product, seed = self._coded.space, plan.config.seed
        self._proposer = Proposer(product, self._coded.gmacs, seed, allowed=self._allowed, prior=PRIOR)

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
            if (point := self._coded.point(t.architecture)) is None:
                continue
            if t.usable and t.map50_95 is not None and np.isfinite(t.map50_95):
                points.append(point)
                values.append(t.map50_95)
                seeds.append(t.seed)
            else:
                (running if t.state == "running" else spent).append(point)
        found = self._proposer.propose(Measured(points, values, seeds, running, spent), next_number(trials))
        return None if found is None else self._coded.architecture(found)

    def _allowed(self, points: np.ndarray) -> np.ndarray:
        slots = np.arange(len(self._offered))
        found: np.ndarray = np.all(points < self._offered, axis=1)
        if (limit := self._config.max_gmacs) is not None:
            found = np.logical_and(found, self._coded.gmacs(points) <= limit)
        if (limit := self._config.max_params) is not None:
            params = (self._base_params + self._params[slots, points].sum(1)) / 1e6
            found = np.logical_and(found, params <= limit)
        return found
