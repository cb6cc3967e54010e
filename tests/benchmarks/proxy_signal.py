"""The signal per second of each way to score: judged by long runs, from the runs of the neck table.

    python tests/benchmarks/proxy_signal.py [--draws 2000] [--json]

Ways are scores of runs (mAP at thresholds, training loss of the last quarter, loss on val) and of trainings (alone, in
groups, from the trained base). Each is judged by the long runs of the same architectures, which have other seeds. The
last column is the signal per second as a multiple of that of today's default, the last mAP50-95 of a run alone, with a
95 % interval: architectures are drawn again. The last line of the output is one JSON object.
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
from neck_table import PARTS, NeckTable, Run  # noqa: E402
from signal_per_second import resampled, signal  # noqa: E402

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


def scored(table: NeckTable, part: str, score: Score) -> dict[str, list[float]]:
    """Architecture -> its scores, one for each seed, of the architectures that have every seed.

    In a group, a score is the difference to the base of the group: groups do not share their level.
    """
    found: dict[str, dict[int, list[float]]] = {}
    runs = {key: run for key, run in table.runs.items() if key[0] == part}
    bases = {key[2:]: score(run) for key, run in runs.items() if key[3] and "=" not in _filled(key[1])}
    for (_, architecture, seed, group), run in runs.items():
        value = score(run) - (bases[seed, group] if group else 0.0)
        found.setdefault(_plain(architecture), {}).setdefault(seed, []).append(value)
    seeds = PARTS[part].seeds
    return {a: [float(np.mean(s[j])) for j in seeds] for a, s in found.items() if set(s) == set(seeds)}


def _plain(architecture: str) -> str:
    return architecture.replace(",residual=scaled", "").replace("(residual=scaled)", "")


def _filled(architecture: str) -> str:
    return " ".join(gene for gene in architecture.split() if not gene.endswith("=none"))


def judged(table: NeckTable, data: str, draws: int) -> list[dict[str, Any]]:
    """One row for each way to train and to score."""
    ways = WAYS[data]
    truth = scored(table, ways["long"], SCORES["mAP50-95"])
    rows: list[dict[str, Any]] = []
    for way, part in ways.items():
        runs = [r for r in table.runs.values() if r.key[0] == part]
        for name, score in SCORES.items():
            if way == "long" and name == "mAP50-95":
                continue
            some, today = scored(table, part, score), scored(table, ways["alone"], SCORES["mAP50-95"])
            both = [a for a in truth if a in some and a in today]
            if len(both) < LEAST:
                continue
            seconds = float(np.mean([r.cpu_seconds for r in runs]))
            usual = float(np.mean([r.cpu_seconds for r in table.runs.values() if r.key[0] == ways["alone"]]))
            x, y, t = (np.array([d[a] for a in both]) for d in (some, truth, today))
            found = signal(x, y, seconds)
            ratios = [
                signal(x[i], y[i], seconds).per_second / max(signal(t[i], y[i], usual).per_second, 1e-9)
                for i in resampled(len(both), draws)
            ]
            now = signal(t, y, usual).per_second
            rows.append(
                {
                    "data": data,
                    "way": way,
                    "score": name,
                    "architectures": len(both),
                    "seconds": round(seconds, 1),
                    "effect": round(found.effect, 4),
                    "noise": round(found.noise, 4),
                    "correlation": round(found.correlation, 2),
                    "corrected": round(found.corrected, 2),
                    "times": round(found.per_second / now, 2) if now > 0 else None,
                    "interval": [round(float(v), 2) for v in np.quantile(ratios, [0.025, 0.975])],
                }
            )
    return rows


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
