"""How long the cost table takes to build, to read back, and to cost 1,000 architectures.

python tests/benchmarks/cost_table.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

from nas_attn.attention import registry
from nas_attn.cost import CostTable
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.slots import find_slots
from nas_attn.space import Architecture, SearchSpace

IMGSZ = 640
N = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="no large-kernel convolutions in the space; fewer repeats")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    options = parser.parse_args()

    base = load_base("yolo11n")
    module = base.build()
    names = [e.name for e in registry.entries() if not e.is_none and not (options.quick and "trivial" in e.name)]
    space = SearchSpace.build(base.name, find_slots(base, module), dict.fromkeys(names), imgsz=IMGSZ)
    with tempfile.TemporaryDirectory() as folder:
        build_s, table = timed(lambda: CostTable.build(module, space, IMGSZ, cache=Path(folder)))
        read_s, again = timed(lambda: CostTable.build(module, space, IMGSZ, cache=Path(folder)))
    assert again == table

    rng = random.Random(0)
    some = [Architecture.of({s.slot.name: rng.choice(s.genes) for s in space.slots}) for _ in range(N)]
    first_s, costs = timed(lambda: table.many(some))
    repeats = 5 if options.quick else 50
    many_s = statistics.median(timed(lambda: table.many(some))[0] for _ in range(repeats))
    one_by_one_s = statistics.median(timed(lambda: [table.cost(a) for a in some])[0] for _ in range(repeats))
    assert [tuple(row) for row in costs.tolist()] == [table.cost(a).as_tuple() for a in some]

    result = {
        "architectures": N,
        "cells": sum(len(s.genes) for s in space.slots),
        "build_s": round(build_s, 2),
        "read_back_ms": round(1e3 * read_s, 1),
        "first_many_ms": round(1e3 * first_s, 2),
        "many_ms": round(1e3 * many_s, 2),
        "one_by_one_ms": round(1e3 * one_by_one_s, 2),
    }
    if not options.json:
        print(f"{base.name} at {IMGSZ} pixels, {result['cells']} cells, {space.size:,} architectures; wall clock")
        print(f"  build {result['build_s']} s, read back {result['read_back_ms']} ms")
        print(f"  {N:,} architectures: {result['many_ms']} ms at once (first call {result['first_many_ms']} ms),")
        print(f"  {result['one_by_one_ms']} ms one by one")
    print(json.dumps(result))


def timed(call):
    """(wall seconds, result)."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
