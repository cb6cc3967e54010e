"""Searches on the table of real trainings: their plan, and the truth that they are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from neck_table import FOLDER, MODULES, PARTS, SLOTS, NeckTable, ReplayEvaluator
from untrained_searches import make_plan

from nas_attn.cost import CostTable
from nas_attn.cost.cost import Cost
from nas_attn.space import Architecture, Gene
from nas_attn.space.written import with_defaults
from nas_attn.study.controls import conv_genes
from nas_attn.study.plan import Plan


@lru_cache(maxsize=4)
def truth_of(part: str, folder: Path = FOLDER) -> dict[Architecture, tuple[float, float]]:
    """Architecture -> (mean mAP50-95 over all its seeds, GMACs), of those that have every seed of a part."""
    table = NeckTable(folder)
    names, scores = table.scores(part)
    cost = {run.key[1]: run.facts["gmacs"] for run in table.runs.values() if run.key[0] == part}
    return {
        Architecture.parse(name): (float(mean), cost[name]) for name, mean in zip(names, scores.mean(1), strict=True)
    }


def replay_plan(part: str, folder: Path = FOLDER, **config: Any) -> Plan:
    """The plan of a search that chooses among the architectures of a part and replays their runs."""
    genes = {m: with_defaults(Gene.of(m)) for m in MODULES}
    modules = {m: {k: [v] for k, v in g.as_dict().items()} | {"residual": ["none"]} for m, g in genes.items()}
    fidelity = PARTS[part].fidelity
    plan = make_plan(
        ReplayEvaluator(part, folder), modules=modules, epochs=fidelity.epochs, imgsz=fidelity.imgsz, **config
    )
    runs = {run.key[1]: run.facts for run in NeckTable(folder).runs.values() if run.key[0] == part}
    none = Architecture.none(SLOTS)
    base = _cost(runs[str(none)])
    cells = {
        s.slot.name: {
            g: _less(_cost(runs.get(str(none.with_gene(s.slot.name, g)), runs[str(none)])), base)
            for g in (*s.genes, *s.aliases, *conv_genes(s.slot, "none"))
        }
        for s in plan.space.slots
    }
    table = CostTable(base, cells, 640)
    return replace(plan, table=table, header={**plan.header, "base_cost": base.as_dict()})


def _cost(facts: Mapping[str, Any]) -> Cost:
    macs = round(facts["gmacs"] * 1e9)
    return Cost(macs, macs, 2 * macs, round(facts["params_m"] * 1e6))


def _less(cost: Cost, base: Cost) -> Cost:
    macs = cost.macs - base.macs
    return Cost(macs, macs, 2 * macs, cost.params - base.params)


def volume(truth: dict[Architecture, tuple[float, float]], chosen: list[Architecture]) -> float:
    """The true hypervolume of some architectures, above the median architecture and up to the highest cost."""
    floor = float(np.median([mean for mean, _ in truth.values()]))
    limit = max(cost for _, cost in truth.values())
    some = np.array([truth[a] for a in chosen if a in truth]).reshape(-1, 2)
    order = np.lexsort((-some[:, 0], some[:, 1]))
    best = np.maximum.accumulate(np.maximum(some[order, 0], floor))
    return float(np.sum(np.diff(best, prepend=floor) * (limit - some[order, 1])))
