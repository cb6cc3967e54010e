"""The cost of a search: compute seconds until the reported front is good, ours against the loop that people write.

    python tests/benchmarks/search_cost.py [--part generated] [--seeds 20] [--trials 100] [--jobs 1] [--json]

All searches replay the runs of `neck_table/` and pay their recorded CPU seconds: base, controls, further seeds and
stopped runs included. `loop` is Optuna's default sampler for two objectives around the same runs, one seed each; it
reports the best of what it measured. `nas_attn` is a search with its defaults; it reports the front of the posterior.
Each reported architecture counts with its mean over all seeds of the table, so a lucky run helps nobody. The measure is
the hypervolume above the median architecture, as a share of the largest that any of the searches ends with. The last
line of the output is one JSON object.

Part: `neck_table/`, with every run of the part.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from multiprocessing import Pool
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "benchmarks")]

import numpy as np  # noqa: E402
import optuna  # noqa: E402
from neck_table import PARTS, RANKS, NeckTable, ReplayEvaluator, order  # noqa: E402
from replayed_table import replay_plan, truth_of, volume  # noqa: E402
from search_replay import seconds_to  # noqa: E402
from signal_per_second import intraclass  # noqa: E402
from untrained_searches import run_plan  # noqa: E402

from nas_attn.analysis.front import front  # noqa: E402
from nas_attn.space import Architecture  # noqa: E402
from nas_attn.statistics.pareto import front_of  # noqa: E402
from nas_attn.study.trial import paired  # noqa: E402

WAYS = ("loop", "nas_attn")
NEAR = 0.05  # of the hypervolume
STEP, START = 4, 8  # trials between two looks
GOAL = 1 / 3

Points = list[tuple[float, float]]  # compute seconds, hypervolume of the reported front


def ours(part: str, seed: int, trials: int) -> Points:
    """A search with its defaults."""
    truth = truth_of(part)
    with tempfile.TemporaryDirectory() as folder:
        view = run_plan(replay_plan(part, trials=trials, seed=seed), Path(folder) / "s")
    seconds = np.cumsum([t.evaluation.seconds if t.evaluation else 0.0 for t in view.trials])
    found = []
    for n in range(START, len(view.trials) + 1, STEP):
        seen = type(view)(view.folder, view.header, view.slots, paired(view.trials[:n]))
        found.append((float(seconds[n - 1]), volume(truth, [c.architecture for c in front(seen)])))
    return found


def loop(part: str, seed: int, trials: int) -> Points:
    """Optuna's default sampler; each trial is one run, of the table's seeds in turn where it repeats itself."""
    truth, replay = truth_of(part), ReplayEvaluator(part)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.NSGAIISampler(seed=seed))
    genes = {s: sorted({str(a[s]) for a in order(PARTS[part].data)}) for s in order(PARTS[part].data)[0].slots}
    measured: dict[Architecture, float] = {}
    spent, found = 0.0, []
    for n in range(1, trials + 1):
        trial = study.ask()
        chosen = {s: trial.suggest_categorical(s, some) for s, some in genes.items()}
        architecture = Architecture.parse(" ".join(f"{s}={g}" for s, g in chosen.items()))
        run = replay(architecture, PARTS[part].fidelity, PARTS[part].seeds[0])
        study.tell(trial, (run.map50_95, truth[architecture][1]))
        measured[architecture] = run.map50_95
        spent += run.seconds
        if n >= START and (n - START) % STEP == 0:
            some = list(measured)
            best = front_of(np.array([measured[a] for a in some]), np.array([truth[a][1] for a in some]))
            found.append((spent, volume(truth, [some[i] for i in best])))
    return found


def searched(job: tuple[str, str, int, int]) -> tuple[str, int, Points]:
    way, part, seed, trials = job
    return way, seed, {"loop": loop, "nas_attn": ours}[way](part, seed, trials)


def summary(found: dict[tuple[str, int], Points], seeds: int) -> dict[str, Any]:
    """Seconds of each way until its front stays good, and their ratio."""
    most = max(points[-1][1] for points in found.values())
    until = {
        way: [seconds_to([[t, 1 - v / most] for t, v in found[way, s]], NEAR) for s in range(seeds)] for way in WAYS
    }
    medians = {way: float(np.median(some)) for way, some in until.items()}
    ratio = medians["nas_attn"] / medians["loop"] if np.isfinite(medians["nas_attn"]) else float("inf")
    return {
        "seeds": seeds,
        f"searches within {NEAR:.0%}": {way: int(np.isfinite(some).sum()) for way, some in until.items()},
        "median seconds until then": {way: _finite(m) for way, m in medians.items()},
        "ratio": _finite(ratio),
        "share of the hypervolume at the end": {
            way: round(float(np.mean([found[way, s][-1][1] for s in range(seeds)])) / most, 3) for way in WAYS
        },
    }


def _finite(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="generated", choices=["generated", "bccd"])
    parser.add_argument("--quick", action="store_true", help="one seed of 24 trials")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.trials = 1, 24
    whole = len(order(PARTS[options.part].data))
    names, scores = NeckTable().scores(options.part)
    if len(names) < whole:
        print(json.dumps({"part": options.part, "missing": f"the table has {len(names)} of {whole} architectures"}))
        return
    jobs = [(way, options.part, seed, options.trials) for seed in range(options.seeds) for way in WAYS]
    with Pool(options.jobs) as pool:
        found = {(way, seed): points for way, seed, points in pool.imap_unordered(searched, jobs)}
    told = {"part": options.part, "may rank": bool(intraclass(scores) >= RANKS), **summary(found, options.seeds)}
    if not options.json:
        print("\n".join(f"{k}: {v}" for k, v in told.items()))
        print(f"goal: a ratio of at most {GOAL:.2f}")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
