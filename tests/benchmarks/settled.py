"""Searches that run until they have settled: the regret at their end, and at twice as many trials.

    python tests/benchmarks/settled.py [--quick] [--json] [--studies 17] [--cap 300] [--only macro,necks] [--jobs 1]
        [--results FILE] [--report]

The spaces are those of `samplers.py`. A search chooses as `nas_attn search --until settled` does, with further runs of
measured points, and goes on to twice the trials. A search that has not settled after `--cap` trials is counted apart.
Regret is the share of the hypervolume that the reported front misses, by true values. Finished searches are kept in
`results/settled.jsonl`. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from sampler_results import digest
from samplers import TABLES
from tabular_spaces import Missing, Table

from nas_attn.known_cost.measured import Measured
from nas_attn.known_cost.proposer import Proposer
from nas_attn.known_cost.space import ProductSpace
from nas_attn.study.settled import EVERY, LEAST, MORE, Ending, ending

RESULTS = Path(__file__).resolve().parent / "results" / "settled.jsonl"
NEAR, GOAL = 0.05, 0.9  # of the hypervolume; share of the searches that settled


class Search:
    """A search on a table."""

    def __init__(self, table: Table, seed: int, cap: int) -> None:
        self.table, self.cap = table, cap
        space = ProductSpace.of(table.choices)

        def costs(points: np.ndarray) -> np.ndarray:
            found: np.ndarray = table.costs[np.ravel_multi_index(np.asarray(points).T, table.sizes)]
            return found

        self.proposer = Proposer(space, costs, seed)
        self.rng = np.random.default_rng(seed)
        self.points: list[tuple[int, ...]] = []
        self.values: list[float] = []
        self.left: int | None = None

    def grow(self, trials: int) -> None:
        while len(self.points) < trials:
            n = len(self.points)
            point = self.proposer.propose(Measured(self.points, self.values), n, self.left or 2 * self.cap - n)
            assert point is not None
            self.points.append(point)
            self.values.append(self.table.accuracy(int(np.ravel_multi_index(point, self.table.sizes)), self.rng))

    def look(self) -> Ending:
        measured = Measured(self.points, self.values)
        now = self.proposer.situation(measured)
        pool = self.proposer.pool(now, measured, len(self.points))
        new = self.proposer.kernel.features(pool, self.proposer.scaled(pool))
        return ending(now.foresee(new, MORE), len(self.proposer.single(now, measured)))

    def regret(self) -> float:
        """Of the front that would be reported: the points whose posterior mean nothing cheaper reaches."""
        now = self.proposer.situation(Measured(self.points, self.values))
        front = now.posterior.runs.points[now.trained[now.members]]
        numbers = np.ravel_multi_index(front.T, self.table.sizes)
        return float(1 - self.table.hypervolume(numbers) / self.table.whole)


def searched(job: tuple[str, int, int]) -> dict[str, Any]:
    """One search: the trials at which it settled, and the regret there and at twice as many."""
    name, seed, cap = job
    search = Search(TABLES[name](seed), seed, cap)
    found: dict[str, Any] = {"table": name, "seed": seed, "cap": cap, "source": digest()}
    for n in range(LEAST, cap + 1, EVERY):
        search.grow(n)
        seen = search.look()
        search.left = 1 if seen.stable else None  # a search then confirms the single runs
        if seen.settled:
            search.left = None
            found |= {"settled": n, "regret": round(search.regret(), 5)}
            search.grow(2 * n)
            return found | {"later": round(search.regret(), 5)}
    return found | {"settled": None, "regret": round(search.regret(), 5), "open": round(seen.gain, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one study of Macro; nothing is kept")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--studies", type=int, default=17, help="of each space")
    parser.add_argument("--cap", type=int, default=300, help="trials after which a search counts as not settled")
    parser.add_argument("--only", default="macro,nb201,necks")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of finished searches")
    parser.add_argument("--report", action="store_true", help="make no search")
    options = parser.parse_args()
    names = options.only.split(",")
    if options.quick:
        names, options.studies, options.cap = ["macro"], 1, 60
    for name in list(names):
        try:
            TABLES[name](0)
        except Missing as missing:
            print(f"left out: {name}, missing part: {missing}", file=sys.stderr)
            names.remove(name)
    rows = [] if options.quick else [r for r in _kept(options.results) if r["cap"] == options.cap]
    done = {(r["table"], r["seed"]) for r in rows}
    jobs = [(t, s, options.cap) for s in range(options.studies) for t in names if (t, s) not in done]
    if jobs and not options.report:
        with Pool(options.jobs) as pool:
            for row in pool.imap_unordered(searched, jobs):
                rows.append(row)
                if not options.quick:
                    with options.results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
    summary = {}
    for name in names:
        some = [r for r in rows if r["table"] == name and r["seed"] < options.studies]
        ended = [r for r in some if r["settled"] is not None]
        near = [r["regret"] - r["later"] <= NEAR for r in ended]
        summary[name] = {
            "studies": len(some),
            "settled": len(ended),
            "median trials": float(np.median([r["settled"] for r in ended])) if ended else None,
            f"within {NEAR:.0%} of twice the trials": round(float(np.mean(near)), 3) if near else None,
            "mean regret at the end": round(float(np.mean([r["regret"] for r in ended])), 4) if ended else None,
        }
        if not options.json:
            print(f"{name}: {summary[name]}")
    print(json.dumps(summary))


def _kept(path: Path) -> Iterator[dict[str, Any]]:
    """The finished searches of the present source of the sampler."""
    if path.exists():
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        yield from (r for r in rows if r["source"] == digest())


if __name__ == "__main__":
    main()
