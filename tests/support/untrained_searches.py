"""Searches without training: a plan on a synthetic evaluator, and an engine that runs in this process."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas_attn.cost import COUNTING, CostTable
from nas_attn.cost.cost import Cost
from nas_attn.engine import InlineEngine
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import Gene, SearchSpace, Slot
from nas_attn.study.config import StudyConfig
from nas_attn.study.controls import conv_genes
from nas_attn.study.folder import RunFolder
from nas_attn.study.mirror import Mirror
from nas_attn.study.observer import Silent
from nas_attn.study.plan import Plan
from nas_attn.study.recorded_space import to_header
from nas_attn.study.search import Search
from nas_attn.study.view import StudyView

SLOTS = (Slot("p3", 16, 64, 8), Slot("p4", 19, 128, 16), Slot("p5", 22, 256, 32))
MODULES = {"acmix": {"head": [2, 4], "kernel_att": [3, 7]}, "conv": None, "lska": None}


class NoMirror:
    """A mirror that stores nothing: the decisions of a search must not depend on it."""

    def __enter__(self) -> NoMirror:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def __contains__(self, number: int) -> bool:
        return False

    def write_header(self, record: dict[str, Any]) -> None:
        pass

    def write_trial(self, *arguments: Any) -> None:
        pass


def make_plan(evaluator: Any = None, **config: Any) -> Plan:
    """A plan on three slots of a fake yolo11n; costs are drawn from the names of the genes."""
    values = StudyConfig.of({"name": "synthetic", "demo": True, "trials": 12, **config})
    space = SearchSpace.build("yolo11n", SLOTS, values.modules or MODULES, imgsz=320, final_imgsz=640)
    cells = {
        s.slot.name: {g: _cost(s.slot.name, g) for g in (*s.genes, *s.aliases, *conv_genes(s.slot, "none"))}
        for s in space.slots
    }
    table = CostTable(Cost(3_000_000_000, 3_000_000_000, 6_000_000_000, 2_600_000), cells, 640)
    header = {
        "format": 1,
        "id": "0123",
        "version": "0",
        "name": values.name,
        "config": values.model_dump(mode="json"),
        "base": "yolo11n",
        "classes": ["a", "b"],
        "space_slots": [[s.name, s.row, s.channels, s.stride] for s in SLOTS],
        "space_size": space.size,
        "aliases": {},
        "base_cost": table.base.as_dict(),
        "fingerprints": {"data": "d", "space": space.fingerprint(), "base": "b", "weights": None},
    }
    fidelity = Fidelity(values.epochs, values.imgsz)
    return Plan(values, space, table, evaluator or SyntheticEvaluator(), fidelity, ("cpu",), 1, header)


def with_costs(plan: Plan) -> Plan:
    """The plan with its space and its costs in the header, as every release since 0.1.0 writes them."""
    return replace(plan, header={**plan.header, **to_header(plan.space, plan.table, COUNTING, {})})


def run_plan(plan: Plan, path: Path, engine: Any = None, observer: Any = None, url: str | None = None) -> StudyView:
    """Run or continue a plan in a folder; if `url` is given, the plan is mirrored there."""
    folder = RunFolder(path)
    folder.create()
    folder.log.repair()
    if not folder.log.exists():
        folder.log.append("study", **plan.header)
    storage: Any = Mirror(url, plan.config.name, plan.header["id"]) if url else NoMirror()
    with engine or InlineEngine() as e, storage as mirror:
        return Search(plan, folder, e, mirror, observer or Silent()).run()


def content(log: bytes) -> list[dict]:
    """The records without wall times, which differ between runs."""
    records = [json.loads(line) for line in log.splitlines()]
    for r in records:
        if "evaluation" in r:
            for key in ("seconds", "steps_seconds", "val_seconds"):
                r["evaluation"].pop(key, None)
    return records


def _cost(slot: str, gene: Gene) -> Cost:
    if gene.module == "none":
        return Cost(0, 0, 0, 0)
    digest = hashlib.sha256(f"{slot}{gene}".encode()).digest()
    macs = int.from_bytes(digest[:4], "big") % 100_000_000
    return Cost(macs, macs, 2 * macs, int.from_bytes(digest[4:7], "big") % 100_000)
