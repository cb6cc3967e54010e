"""The signal per second of each way to score: judged by long runs, from the runs of the neck table.

    python tests/benchmarks/proxy_signal.py [--draws 2000] [--json]

Ways are scores of runs (mAP at thresholds, training loss of the last quarter, loss on val) and of trainings (alone, in
groups, from the trained base). `f by mAP50-95` and `f by both` are the posterior's means, of all architectures of the
part with one run each, in standard deviations: `f by both` is the default of a search, which learns from its own runs
what the training loss tells. `g by training loss` is the function that groups measure. Each is judged by the long runs
of the same architectures, which have other seeds. `times` is the signal per second as a multiple of that of the last
mAP50-95 of a run alone, with a 95 % interval: architectures are drawn again. An end of the interval is null if in that
draw the mAP50-95 of runs alone tells nothing. Seeds count that at least 8 architectures of a part have. The last line
of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import numpy as np  # noqa: E402
from neck_table import PARTS, RECIPES, NeckTable, Run  # noqa: E402
from signal_per_second import ratio, resampled, signal  # noqa: E402

from nas_attn.known_cost.kernel import Kernel  # noqa: E402
from nas_attn.known_cost.mixed import with_second  # noqa: E402
from nas_attn.known_cost.observations import Runs  # noqa: E402
from nas_attn.known_cost.posterior import Posterior  # noqa: E402
from nas_attn.space import NONE, Architecture  # noqa: E402
from nas_attn.study.coded import PRIOR, Coded  # noqa: E402

Score = Callable[[Run], float]
LEAST = 8  # architectures


def last(figure: str) -> Score:
    """The figure of the last epoch."""
    return lambda run: run.curve[-1][figure]


def late(*parts: str) -> Score:
    """Minus the mean of a part of the training loss over the last quarter of the epochs."""
    return lambda run: -float(np.mean([sum(row[p] for p in parts) for row in run.curve[-(-3 * len(run.curve) // 4) :]]))


SCORES: dict[str, Score] = {
    "mAP50-95": last("map50_95"),
    "mAP50": last("map50"),
    "mAP75": last("map75"),
    "training loss": late("loss"),
    "its box part": late("box_loss"),
    "its class part": late("cls_loss"),
    "its dfl part": late("dfl_loss"),
    "loss on val": lambda run: -sum(run.curve[-1][f"val_{p}_loss"] for p in ("box", "cls", "dfl")),
}
WAYS = {  # data -> way to train -> part
    "generated": {
        "alone": "generated",
        "together": "generated-together",
        "inherited": "generated-inherited",
        "long": "generated-long",
    },
    "bccd": {"alone": "bccd", "together": "bccd-together", "long": "bccd-long"},
}
for data, ways in WAYS.items():
    ways |= {name: f"{data}-{name}" for name in RECIPES}


def scored(table: NeckTable, part: str, score: Score) -> dict[str, list[float]]:
    """Architecture -> its scores, one for each seed, of the architectures that have all these seeds.

    In a group, a score is the difference to the base of the group: groups do not share their level.
    """
    runs = {key: run for key, run in table.runs.items() if key[0] == part}
    bases = {key[2:]: score(run) for key, run in runs.items() if key[3] and "=" not in _filled(key[1])}
    found: dict[str, dict[int, list[float]]] = {}
    for (_, architecture, seed, group), run in runs.items():
        value = score(run) - (bases[seed, group] if group else 0.0)
        found.setdefault(_plain(architecture), {}).setdefault(seed, []).append(value)
    return _full({a: {seed: float(np.mean(v)) for seed, v in some.items()} for a, some in found.items()})


def estimated(table: NeckTable, part: str, score: Score, second: Score | None = None) -> dict[str, list[float]]:
    """Architecture -> the posterior's means given one run of each architecture, one for each seed, standardised.

    Posteriors of two seeds draw their means together by different factors, which is no noise.

    Args:
        score: what is measured.
        second: a second score of the same runs.
    """
    found: dict[str, dict[int, float]] = {}
    for seed in PARTS[part].seeds:
        runs = [run for (name, _, s, _), run in table.runs.items() if (name, s) == (part, seed)]
        if len(runs) < LEAST:
            continue
        architectures = [Architecture.parse(_plain(run.key[1])) for run in runs]
        genes = {s: {NONE: 0.0} | {a[s]: 0.0 for a in architectures} for s in architectures[0].slots}
        coded = Coded(genes, 0.0)
        every = [point for a in architectures if (point := coded.point(a)) is not None]
        costs = {point: run.facts["gmacs"] for point, run in zip(every, runs, strict=True)}
        points = list(costs)
        cost = (np.array([costs[p] for p in points]) - min(costs.values())) / np.ptp(list(costs.values()))
        at = [points.index(point) for point in every]
        data = Runs(np.array(points), cost, at, [score(r) for r in runs], [r.key[3] for r in runs])
        posterior: Any = Posterior(Kernel(coded.space), data, prior=PRIOR)
        if second is not None:
            posterior = with_second(posterior, [second(r) for r in runs], prior=PRIOR)
        means = posterior.predict(posterior.features)[0]
        for point, mean in zip(points, (means - means.mean()) / max(means.std(), 1e-12), strict=True):
            found.setdefault(str(coded.architecture(point)), {})[seed] = float(mean)
    return _full(found)


def _full(found: dict[str, dict[int, float]]) -> dict[str, list[float]]:
    """The architectures that have all seeds that enough architectures have, and their scores in the order of seeds."""
    seeds = sorted({s for some in found.values() for s in some})
    seeds = [s for s in seeds if sum(s in some for some in found.values()) >= LEAST]
    return {a: [some[s] for s in seeds] for a, some in found.items() if set(seeds) <= set(some)}


def _plain(architecture: str) -> str:
    return architecture.replace(",residual=scaled", "").replace("(residual=scaled)", "")


def _filled(architecture: str) -> str:
    return " ".join(gene for gene in architecture.split() if not gene.endswith("=none"))


def judged(table: NeckTable, data: str, draws: int) -> list[dict[str, Any]]:
    """One row for each way to train and to score."""
    ways = WAYS[data]
    truth, today = (scored(table, ways[way], SCORES["mAP50-95"]) for way in ("long", "alone"))
    if min(len(next(iter(some.values()), ())) for some in (truth, today)) < 2:
        return []
    rows: list[dict[str, Any]] = []
    for way, part in ways.items():
        runs = [r for r in table.runs.values() if r.key[0] == part]
        told = {name: scored(table, part, score) for name, score in SCORES.items()}
        if way == "long":
            del told["mAP50-95"]
        elif way == "alone":
            of, loss = SCORES["mAP50-95"], SCORES["training loss"]
            told |= {"f by mAP50-95": estimated(table, part, of), "f by both": estimated(table, part, of, loss)}
        elif way == "together":
            told["g by training loss"] = estimated(table, part, SCORES["training loss"])
        for name, some in told.items():
            both = [a for a in truth if a in some and a in today]
            if len(both) < LEAST or len(some[both[0]]) < 2:
                continue
            seconds = float(np.mean([r.cpu_seconds for r in runs]))
            usual = float(np.mean([r.cpu_seconds for r in table.runs.values() if r.key[0] == ways["alone"]]))
            x, y, t = (np.array([d[a] for a in both]) for d in (some, truth, today))
            found, times = signal(x, y, seconds), ratio(x, t, y, (seconds, usual))
            ratios = [ratio(x[i], t[i], y[i], (seconds, usual)) for i in resampled(len(both), draws)]
            ends = np.quantile(ratios, [0.025, 0.975], method="closest_observation")
            rows.append(
                {
                    "data": data,
                    "way": way,
                    "score": name,
                    "architectures": len(both),
                    "seeds": [len(some[both[0]]), len(truth[both[0]])],
                    "seconds": round(seconds, 1),
                    "effect": round(found.effect, 4),
                    "noise": round(found.noise, 4),
                    "correlation": round(found.correlation, 2),
                    "corrected": round(found.corrected, 2),
                    "times": _written(times),
                    "interval": [_written(end) for end in ends],
                }
            )
    return rows


def _written(times: float) -> float | None:
    return round(float(times), 2) if np.isfinite(times) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="of the intervals")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    options = parser.parse_args()
    table = NeckTable()
    rows = [row for data in WAYS for row in judged(table, data, options.draws)]
    if not options.json:
        for row in rows:
            print(" ".join(f"{k} {v}" for k, v in row.items()))
        if not rows:
            print("The table has too few long runs yet.")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
