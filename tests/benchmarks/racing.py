"""Rules that spend further seeds: the regret of the reported front, at equal numbers of runs.

    python tests/benchmarks/racing.py [--quick] [--json] [--repetitions 200] [--jobs 1] [--results FILE] [--report]

Every architecture has one run. Further runs go by a rule: to all in turn; to what looks best (the observed front, in
turn); or, as in a search, to the largest expected gain (`nas_attn.known_cost.knowledge`). All rules report the front of
the same posterior means. Regret is the share of the true front's hypervolume that the reported front misses. Finished
repetitions are kept in `results/racing.jsonl`; `--report` makes none. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from multiprocessing import Pool
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from nas_attn.known_cost.knowledge import gain_of_run, hypervolume
from nas_attn.known_cost.situation import NEAR
from nas_attn.statistics.pareto import front_of

RESULTS = Path(__file__).resolve().parent / "results" / "racing.jsonl"
SPREAD = 0.006  # standard deviation of the truth, mAP50-95
SIZES, NOISES = (40, 100), (0.007, 0.014)
LOOKS = (3, 5)  # runs per architecture at which the rules are compared
GOAL = 0.5


class Race:
    """Architectures with runs, and what is known of them."""

    def __init__(self, n: int, noise: float, seed: int) -> None:
        self.rng = np.random.default_rng([n, round(1e6 * noise), seed])
        self.truth = SPREAD * self.rng.standard_normal(n)
        self.cost = np.sort(self.rng.random(n))
        self.noise, self.n = noise, n
        self.runs, self.sums = np.zeros(n), np.zeros(n)
        for i in range(n):
            self.run(i)

    def run(self, i: int) -> None:
        self.runs[i] += 1
        self.sums[i] += self.truth[i] + self.noise * self.rng.standard_normal()

    def known(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances, given the true spread and noise."""
        precision = 1 / SPREAD**2 + self.runs / self.noise**2
        return self.sums / self.noise**2 / precision, 1 / precision

    def regret(self) -> float:
        floor = float(self.truth.min())
        chosen = front_of(self.known()[0], self.cost)
        whole = hypervolume(self.truth, self.cost, floor)
        return float(1 - hypervolume(self.truth[chosen], self.cost[chosen], floor) / whole)


def in_turn(race: Race) -> int:
    return int(np.argmin(race.runs))


def looks_best(race: Race) -> int:
    front = front_of(race.sums / race.runs, race.cost)
    return min(front, key=lambda i: race.runs[i])


def expected_gain(race: Race) -> int:
    mean, variance = race.known()
    height = np.maximum.accumulate(mean)
    some = np.flatnonzero((height - mean) / np.sqrt(variance) < NEAR)
    floor = float(np.quantile(mean, 0.1))
    gains = gain_of_run(mean[some], np.diag(variance[some]), race.cost[some], race.noise**2, floor)
    return int(some[np.argmax(gains)])


RULES: dict[str, Callable[[Race], int]] = {f.__name__: f for f in (in_turn, looks_best, expected_gain)}


def repetition(job: tuple[int, float, int]) -> dict[str, Any]:
    """All rules on one set of architectures."""
    n, noise, seed = job
    found: dict[str, Any] = {"n": n, "noise": noise, "seed": seed}
    for name, rule in RULES.items():
        race = Race(n, noise, seed)
        for look in LOOKS:
            while race.runs.sum() < look * n:
                race.run(rule(race))
            found[f"{name} {look}"] = round(race.regret(), 5)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 repetitions of the small race; nothing is kept")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of finished repetitions")
    parser.add_argument("--report", action="store_true", help="make no repetition")
    options = parser.parse_args()
    sizes = SIZES[:1] if options.quick else SIZES
    wanted = 4 if options.quick else options.repetitions
    rows = [] if options.quick else list(_kept(options.results))
    done = {(r["n"], r["noise"], r["seed"]) for r in rows}
    jobs = [(n, s, seed) for seed in range(wanted) for n in sizes for s in NOISES if (n, s, seed) not in done]
    if jobs and not options.report:
        with Pool(options.jobs) as pool:
            for row in pool.imap_unordered(repetition, jobs):
                rows.append(row)
                if not options.quick:
                    with options.results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
    summary = {}
    for n in sizes:
        for noise in NOISES:
            some = [r for r in rows if (r["n"], r["noise"]) == (n, noise) and r["seed"] < wanted]
            for look in LOOKS if some else ():
                means = {name: float(np.mean([r[f"{name} {look}"] for r in some])) for name in RULES}
                ours = means["expected_gain"]
                ratios = {k: round(ours / v, 3) for k, v in means.items() if k != "expected_gain"}
                key = f"{n} architectures, noise {noise}, {look} runs each"
                summary[key] = {
                    **{k: round(v, 4) for k, v in means.items()},
                    "ratios": ratios,
                    "repetitions": len(some),
                }
                if not options.json:
                    told = ", ".join(f"{k} {v:.4f}" for k, v in means.items())
                    kept = all(v <= GOAL for v in ratios.values())
                    print(f"{key}: {told}; ratios {ratios} (at most {GOAL}: {'yes' if kept else 'no'})")
    print(json.dumps(summary))


def _kept(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    main()
