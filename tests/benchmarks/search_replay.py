"""The whole search with its defaults against that of the last release: run seconds until the front is good.

    python tests/benchmarks/search_replay.py [--quick] [--json] [--seeds 20] [--trials 200] [--jobs 1] [--results FILE]
        [--report]

Both search the same space with the same synthetic truth and noise (`tests/support/simulated_studies.py`, the figures of
BCCD) on a simulated clock: a run takes one second, a stopped one its share. The last release had the sampler `tpe`,
three seeds per control, no early stops, and reported the front of raw differences to the base. Ours reports the front
of the posterior. After every `STEP` trials, the reported front is compared with the true front of the whole space:
regret is the share of its hypervolume that is missed. Finished searches are kept in `results/search_replay.jsonl`. The
last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from sampler_results import digest, seconds_to
from simulated_studies import BCCD, plan_of, simulated

from nas_attn.analysis.front import front
from nas_attn.space import Architecture
from nas_attn.statistics.pareto import front_of
from nas_attn.study.trial import paired
from nas_attn.study.view import StudyView

RESULTS = Path(__file__).resolve().parent / "results" / "search_replay.jsonl"
WAYS: dict[str, dict[str, Any]] = {
    "this release": {},
    "0.1.0": {"sampler": "tpe", "control_seeds": 3, "early_stop": "off"},
}
STEP, START = 10, 20
NEAR = 0.05  # of the true hypervolume
MOMENTS = (30, 60, 100)  # seconds
GOAL = 0.5


def raw_front(view: StudyView) -> list[Architecture]:
    """The front of raw differences to the base at equal seeds, as 0.1.0 reported it."""
    scored = [c for c in view.candidates() if c.score is not None]
    values, gmacs = np.array([c.score or 0.0 for c in scored]), np.array([c.gmacs for c in scored])
    return [scored[i].architecture for i in front_of(values, gmacs)]


def searched(job: tuple[str, int, int]) -> dict[str, Any]:
    """One search: after every few trials, the run seconds until then and the regret of the reported front."""
    way, seed, trials = job
    kind = replace(BCCD, trials=trials)
    view, truth = simulated(kind, seed, **WAYS[way])
    plan = plan_of(kind, seed)
    every = list(plan.space.enumerate())
    values = np.array([truth.truth(a) for a in every])
    costs = np.array([plan.table.cost(a).gmacs for a in every])
    floor, limit = float(np.median(values)), float(costs.max())

    def volume(chosen: list[Architecture]) -> float:
        true = np.array([truth.truth(a) for a in chosen])
        cost = np.array([plan.table.cost(a).gmacs for a in chosen])
        order = np.lexsort((-true, cost))
        best = np.maximum.accumulate(np.maximum(true[order], floor))
        return float(np.sum(np.diff(best, prepend=floor) * (limit - cost[order])))

    whole = volume([every[i] for i in front_of(values, costs)])
    seconds = np.cumsum([t.evaluation.seconds if t.evaluation else 0.0 for t in view.trials])
    points = []
    for n in range(START, len(view.trials) + 1, STEP):
        part = replace(view, trials=paired(replace(t, delta=None) for t in view.trials[:n]))
        reported = [c.architecture for c in front(part)] if way == "this release" else raw_front(part)
        points.append([round(float(seconds[n - 1]), 2), round(1 - volume(reported) / whole, 4)])
    return {"way": way, "seed": seed, "trials": trials, "source": digest(), "points": points}


def at(points: list[list[float]], seconds: float) -> float:
    """The regret at a moment, of the last front before it."""
    return next((missed for t, missed in reversed(points) if t <= seconds), 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed of 60 trials; nothing is kept")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of finished searches")
    parser.add_argument("--report", action="store_true", help="make no search")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.trials = 1, 60
    rows = [] if options.quick else [r for r in _kept(options.results) if r["trials"] == options.trials]
    done = {(r["way"], r["seed"]) for r in rows}
    jobs = [(w, s, options.trials) for s in range(options.seeds) for w in WAYS if (w, s) not in done]
    if jobs and not options.report:
        with Pool(options.jobs) as pool:
            for row in pool.imap_unordered(searched, jobs):
                rows.append(row)
                if not options.quick:
                    with options.results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
    print(json.dumps(_summary(rows, options.json)))


def _summary(rows: list[dict[str, Any]], quiet: bool) -> dict[str, Any]:
    by = {(r["way"], r["seed"]): r["points"] for r in rows}
    seeds = sorted(s for w, s in by if w == "0.1.0" and ("this release", s) in by)
    near = {w: [seconds_to(by[w, s], NEAR) for s in seeds] for w in WAYS}
    ratios = []
    for s in seeds:  # at the regret that 0.1.0 has at its end
        last = by["0.1.0", s][-1][1]
        ratios.append(seconds_to(by["this release", s], last) / seconds_to(by["0.1.0", s], last))
    found = {
        "seeds": len(seeds),
        **{
            f"regret after {t} seconds": {w: round(float(np.mean([at(by[w, s], t) for s in seeds])), 4) for w in WAYS}
            for t in MOMENTS
        },
        "regret at the end": {w: round(float(np.mean([by[w, s][-1][1] for s in seeds])), 4) for w in WAYS},
        f"searches within {NEAR:.0%} of the true hypervolume": {w: int(np.isfinite(near[w]).sum()) for w in WAYS},
        "median seconds until then": {w: _finite(float(np.median(near[w]))) for w in WAYS},
        "median ratio of seconds to the last regret of 0.1.0": _finite(float(np.median(ratios))),
    }
    if not quiet:
        print("\n".join(f"{k}: {v}" for k, v in found.items()))
        print(f"goal: a ratio of at most {GOAL}")
    return found


def _finite(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None


def _kept(path: Path) -> Iterator[dict[str, Any]]:
    """The finished searches; ours only by the present source of the sampler."""
    if path.exists():
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            if row["way"] != "this release" or row["source"] == digest():
                yield row


if __name__ == "__main__":
    main()
