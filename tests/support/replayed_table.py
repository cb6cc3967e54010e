"""Searches on the table of real trainings: the evaluator that replays it, plans, and the truth that judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from neck_table import FOLDER, MODULES, PARTS, SLOTS, NeckTable, Run
from untrained_searches import make_plan

from nas_attn.cost import CostTable
from nas_attn.cost.cost import Cost
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.space import Architecture, Gene
from nas_attn.space.written import with_defaults
from nas_attn.study.controls import conv_genes
from nas_attn.study.plan import Plan


class ReplayEvaluator:
    """An evaluator that answers from a part of the table: with recorded runs, their seconds and their early stops.

    Args:
        part: name of the part.
        folder: as for `NeckTable`.
    """

    def __init__(self, part: str, folder: Path = FOLDER) -> None:
        self.part, self.folder = part, folder
        self._runs = NeckTable(folder).runs

    def __repr__(self) -> str:
        return f"ReplayEvaluator({self.part!r})"

    def __call__(
        self,
        architecture: Architecture,
        fidelity: Fidelity,
        seed: int,
        *,
        checkpoint: Path | None = None,
        liveness: bool = False,
        stop_above: Mapping[int, float] | None = None,
    ) -> Evaluation:
        """The recorded run; for the arguments see `Evaluator`.

        Raises:
            EvaluationFailed: the table lacks this run, or an epoch at which it may end was not validated.
        """
        part = PARTS[self.part]
        run = self._runs.get((self.part, str(architecture), seed, 0))
        if run is None or fidelity != part.fidelity:
            raise EvaluationFailed(f"the table `{self.part}` has no run of {architecture} with the seed {seed}")
        above = (e for e, limit in sorted((stop_above or {}).items()) if run.curve[e - 1]["loss"] > limit)
        last = next(above, part.epochs)
        if "map50_95" not in run.curve[last - 1]:
            raise EvaluationFailed(f"the table `{self.part}` has no validation after epoch {last}")
        found, filled = run.evaluation(part, last), SLOTS if part.data == "generated" else SLOTS[:2]
        alive = {s: 0.0 if s in filled else found.map50_95 for s in SLOTS}
        return replace(found, liveness=alive) if liveness else found

    def together(
        self,
        architectures: Sequence[Architecture],
        fidelity: Fidelity,
        seed: int,
        *,
        share: str = "trunk",
        checkpoint: Path | None = None,
        stop_above: Sequence[Mapping[int, float]] = (),
    ) -> list[Evaluation | EvaluationFailed]:
        """The recorded runs in groups. The groups of the table have other members, so the level of each is taken out.

        A seed stands for the recorded one with the same remainder.
        """
        name = f"{self.part}-together"
        seeds = PARTS[name].seeds
        recorded = seeds[seed % len(seeds)]
        found: list[Evaluation | EvaluationFailed] = []
        for architecture in architectures:
            text = str(architecture)
            run = next((r for k, r in self._runs.items() if k[:3] == (name, text, recorded)), None)
            if run is None or fidelity != PARTS[name].fidelity:
                found.append(EvaluationFailed(f"the table `{name}` has no run of {text} with the seed {recorded}"))
                continue
            base = str(Architecture.none(architecture.slots))
            level = self._runs[name, base, recorded, run.key[3]].curve[-1]["loss"]
            curve = tuple({**row, "loss": row["loss"] - level} for row in run.curve)
            mark = {"group": f"{seed}", "size": len(architectures), "rows": 0}
            whole = Run(run.facts, curve).evaluation(PARTS[name], PARTS[name].epochs)
            found.append(replace(whole, seed=seed, together=mark))
        return found


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
