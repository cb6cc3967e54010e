"""Learning curves of real proxy runs on BCCD: recorded once, replayed by the benchmarks of early stops.

Each run is the ready study `bccd` (15 epochs at 160 px) with validations after epochs 4, 8, 12 and 15, of the base and
of random architectures of the space `neck` at P3 and P4; P5 is a dead slot there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nas_attn.space import Architecture

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "bccd_320" / "data.yaml"
CURVES = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "bccd_curves.jsonl"
SLOTS = ("p3", "p4")
SEEDS = (0, 1, 2)
RUNS, EPOCHS, IMGSZ, EVERY = 60, 15, 160, 4


def jobs() -> list[tuple[str, int]]:
    """The architecture, as text, and the seed of each run; the base with every seed comes first."""
    from nas_attn.space import SearchSpace
    from nas_attn.study.space_files import load_space

    evaluator = _evaluator()
    slots = [s for s in evaluator.slots(IMGSZ) if s.name in SLOTS]
    space = SearchSpace.build("yolo11n", slots, load_space("neck")["modules"], imgsz=IMGSZ, final_imgsz=640)
    rng = np.random.default_rng(0)
    found = [(str(Architecture.none(SLOTS)), seed) for seed in SEEDS]
    modules = {s.slot.name: sorted({g.module for g in s.genes}) for s in space.slots}
    while len(found) < RUNS:  # every module is as likely, however many settings it has
        genes = {}
        for s in space.slots:
            module = str(rng.choice(modules[s.slot.name]))
            some = [g for g in s.genes if g.module == module]
            genes[s.slot.name] = some[int(rng.integers(len(some)))]
        text = str(Architecture.of(genes))
        if text not in {a for a, _ in found}:
            found.append((text, SEEDS[len(found) % len(SEEDS)]))
    return found


def record(job: tuple[str, int]) -> dict[str, Any]:
    """Train one run; its architecture, seed, cost, seconds and curve."""
    from nas_attn.evaluate import Fidelity

    architecture = Architecture.parse(job[0])
    found = _evaluator()(architecture, Fidelity(EPOCHS, IMGSZ), job[1])
    return {
        "architecture": job[0],
        "seed": job[1],
        "gmacs": round(gmacs(architecture), 6),
        "steps_seconds": round(found.steps_seconds, 2),
        "val_seconds": round(found.val_seconds, 2),
        "seconds": round(found.seconds, 2),
        "curve": [{k: round(row[k], 6) for k in ("epoch", "loss", "map50_95") if k in row} for row in found.curve],
    }


def gmacs(architecture: Architecture) -> float:
    """Giga multiply-accumulates of the final model."""
    from nas_attn.cost import CostTable

    base, slots, _ = _evaluator().final_base()
    genes = {s: (architecture[s.name],) for s in slots if s.name in SLOTS}
    return float(CostTable.build(base.build(), genes, 640).cost(architecture).gmacs)


def recorded(path: Path = CURVES) -> Iterator[dict[str, Any]]:
    """The recorded runs."""
    if path.exists():
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def _evaluator() -> Any:
    from nas_attn.detector.proxy.recipe import Recipe
    from nas_attn.evaluate.proxy import ProxyEvaluator

    return ProxyEvaluator("yolo11n.yaml", str(DATA), 3, final_imgsz=640, recipe=Recipe(batch=8, val_every=EVERY))
