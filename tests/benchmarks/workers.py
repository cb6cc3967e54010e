"""The trials per hour of a worker for each core, against those of one worker.

    python tests/benchmarks/workers.py [--quick] [--rounds 3] [--json]

Trials of the demo's size (yolo11n at an eighth of its width, 128 px, generated data) through the engine of a search, in
one worker with one thread, one worker with all cores as its threads, and one worker for each core. Each round runs all
of these, in another order. Ratios of trials per second within a round; their median is reported. The time of the first
trial of each worker, which loads libraries and data, is not counted. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
IMGSZ = 128


def rate(workers: int, threads: int, data: str, trials: int, epochs: int) -> float:
    """Trials per second of so many workers, each with so many threads."""
    from nas_attn.detector.proxy.recipe import Recipe
    from nas_attn.engine import Call, LocalEngine
    from nas_attn.evaluate import Evaluation, Fidelity
    from nas_attn.evaluate.proxy import ProxyEvaluator
    from nas_attn.space import Architecture

    evaluator = ProxyEvaluator(
        model="yolo11n", data=data, nc=3, final_imgsz=IMGSZ, width=0.125, recipe=Recipe(batch=16), threads=threads,
        cache=str(Path(data).parent / "cache"),
    )  # fmt: skip
    base = Architecture.parse("p3=none p4=none p5=none")
    waiting = [Call(i, evaluator, (base, Fidelity(1 if i < workers else epochs, IMGSZ), 0)) for i in range(trials)]
    began = 0.0
    with LocalEngine(["cpu"] * workers, threads=threads, load=ProxyEvaluator.load) as engine:
        for first in (True, False):
            now, waiting = (waiting[:workers], waiting[workers:]) if first else (waiting, [])
            began, ended = time.perf_counter(), 0
            count = len(now)
            while ended < count:
                while now and engine.free:
                    engine.submit(now.pop(0))
                outcome = engine.wait(timeout=600)
                assert outcome is not None and isinstance(outcome.value, Evaluation), outcome
                ended += 1
    return count / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one epoch, one round: does it run?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="nothing but the last line")
    options = parser.parse_args()

    from nas_attn.data.demo import write_data
    from nas_attn.study.devices import cores

    count, epochs = cores(), 1 if options.quick else 4
    ways = {"one worker, one thread": (1, 1), "one worker, all cores": (1, count), "a worker for each core": (count, 1)}
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAS_ATTN_CACHE"] = folder
        data = str(write_data(Path(folder), {"train": 128, "val": 64}, IMGSZ, ((10, 24), (27, 56), (64, 104))))
        for number in range(1 if options.quick else options.rounds):
            order = list(ways)[:: 1 if number % 2 == 0 else -1]
            rounds.append({w: rate(*ways[w], data, ways[w][0] * (1 + 4), epochs) for w in order})
            if not options.json:
                print({w: round(v, 4) for w, v in rounds[-1].items()}, flush=True)
    ratios = {w: round(statistics.median(r[list(ways)[-1]] / r[w] for r in rounds), 3) for w in list(ways)[:-1]}
    print(json.dumps({"benchmark": "workers", "cores": count, "a worker for each core, against": ratios}))


if __name__ == "__main__":
    main()
