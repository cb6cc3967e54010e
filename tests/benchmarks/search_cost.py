"""The cost of a search: compute seconds until the reported front is good, ours against the loop that people write.

    python tests/benchmarks/search_cost.py [--part generated] [--seeds 20] [--trials 100] [--jobs 1] [--quick] [--json]
    python tests/benchmarks/search_cost.py --real stock|loop|nas_attn|long|report [--folder runs/search_cost]

`stock` is the loop that people write today: Optuna's default sampler for two objectives around `YOLO(yaml).train()`
with Ultralytics' default arguments. `loop` is the same with our recipe. Both train an architecture once, and report the
best of what they measured. `nas_attn` is a search with its defaults; it reports the front of the posterior. All pay for
everything: base, controls, further seeds and stopped runs included.

Without `--real`, `loop` and `nas_attn` replay the runs of `neck_table/` and pay their recorded CPU seconds. Each
reported architecture counts with its mean over all seeds of the table, so a lucky run helps nobody. The measure is the
hypervolume above the median architecture, as a share of the largest that any of the searches ends with.

With `--real`, each way is one search of `--trials` trainings on the generated set; `long` then trains all architectures
that a way has reported as the long runs of the table are trained, with 3 seeds, and their means count. Trainings are
kept in the folder, so a stopped program goes on. The last line of the output is one JSON object.

Part: `neck_table/`; without `--real`, with every run of the part.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(Path(__file__).parent / "neck_table")]

from compared_searches import Looks, Points, looks_of, reported, summary  # noqa: E402
from neck_table import MODULES, PARTS, RANKS, SLOTS, NeckTable, order  # noqa: E402
from replayed_table import (  # noqa: E402
    ReplayEvaluator,
    replay_plan,
    truth_of,
    volume,
)
from signal_per_second import intraclass  # noqa: E402
from untrained_searches import run_plan  # noqa: E402

from nas_attn.evaluate import Evaluation  # noqa: E402
from nas_attn.space import Architecture, Gene  # noqa: E402
from nas_attn.space.written import with_defaults  # noqa: E402

WAYS = ("loop", "nas_attn")
REAL = ("stock", *WAYS, "long", "report")
GOALS = {"loop": 1 / 3, "stock": 1 / 10}
SHORT, LONG = "generated", "generated-long"


def ours(part: str, seed: int, trials: int) -> Points:
    """A search with its defaults."""
    truth = truth_of(part)
    with tempfile.TemporaryDirectory() as folder:
        view = run_plan(replay_plan(part, trials=trials, seed=seed), Path(folder) / "s")
    return [(spent, volume(truth, best)) for spent, best in looks_of(view)]


def loop(part: str, seed: int, trials: int) -> Points:
    """Optuna's default sampler around the runs of the table."""
    truth, runs = truth_of(part), PARTS[part]
    replay, cost = ReplayEvaluator(part), {a: gmacs for a, (_, gmacs) in truth.items()}
    looks = reported(partial(replay, fidelity=runs.fidelity, seed=runs.seeds[0]), cost, part, seed, trials)
    return [(spent, volume(truth, best)) for spent, best in looks]


def searched(job: tuple[str, str, int, int]) -> tuple[str, int, Points]:
    way, part, seed, trials = job
    return way, seed, {"loop": loop, "nas_attn": ours}[way](part, seed, trials)


def real(way: str, folder: Path, trials: int, quick: bool) -> dict[str, Any]:
    """One way of real trainings; the report needs all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    if way == "nas_attn":
        searched_for_real(folder, trials, quick)
    elif way == "long":
        for architecture in sorted(
            {a for some in all_looks(folder).values() for _, best in some for a in best}, key=str
        ):
            for seed in PARTS[LONG].seeds[: 1 if quick else None]:
                kept(folder / "long.jsonl", trainer(LONG, quick), architecture, seed)
    elif way != "report":
        looped_for_real(way, folder, trials, quick)
    if way in ("long", "report"):
        return judged(folder)
    looks = all_looks(folder)[way]
    return {
        "way": way,
        "trials": trials,
        "CPU seconds": round(looks[-1][0], 1),
        "front": [str(a) for a in looks[-1][1]],
    }


def trainer(part: str, quick: bool, stock: bool = False) -> Callable[[Architecture, int], Evaluation]:
    """Trains an architecture as the part does, or as Ultralytics does by default. Its seconds are CPU seconds."""
    from record import evaluator_of
    from stock_training import StockTraining

    runs = PARTS[part]
    evaluator = replace(evaluator_of(runs), recipe=replace(evaluator_of(runs).recipe, val_every=0))
    train: Any = StockTraining(evaluator) if stock else evaluator
    fidelity = replace(runs.fidelity, epochs=1) if quick else runs.fidelity

    def trained(architecture: Architecture, seed: int) -> Evaluation:
        began = time.process_time()
        found: Evaluation = train(architecture, fidelity, seed)
        return replace(found, seconds=time.process_time() - began, curve=())

    return trained


def kept(
    file: Path, train: Callable[[Architecture, int], Evaluation], architecture: Architecture, seed: int
) -> Evaluation:
    """A training, read from the file if it is there, else run and added to it."""
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    for line in map(json.loads, lines):
        if (line["architecture"], line["seed"]) == (str(architecture), seed):
            return Evaluation.from_dict(line["evaluation"])
    found = train(architecture, seed)
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps({"architecture": str(architecture), "seed": seed, "evaluation": found.as_dict()}) + "\n")
    return found


def looped_for_real(way: str, folder: Path, trials: int, quick: bool) -> None:
    """The loop around real trainings; it writes the fronts that it reports."""
    from record import costs

    cost = {a: gmacs for a, (gmacs, _) in costs(PARTS[SHORT], order(PARTS[SHORT].data)).items()}
    train = partial(kept, folder / f"{way}.jsonl", trainer(SHORT, quick, stock=way == "stock"), seed=0)
    write_looks(folder, way, reported(train, cost, SHORT, 0, trials))


def searched_for_real(folder: Path, trials: int, quick: bool) -> None:
    """A search with its defaults in this process; it writes the fronts that it reports."""
    from stock_training import CpuSeconds

    import nas_attn as na
    from nas_attn.study.config_sources import load_config
    from nas_attn.study.inputs import load_data
    from nas_attn.study.prepare import make_evaluator

    genes = {m: with_defaults(Gene.of(m)) for m in MODULES}
    modules = {m: {k: [v] for k, v in g.as_dict().items()} | {"residual": ["none"]} for m, g in genes.items()}
    options: dict[str, Any] = {"trials": trials, "slots": list(SLOTS), "modules": modules, "device": "cpu", "jobs": 1}
    config = load_config(PARTS[SHORT].study, options)
    proxy = make_evaluator(config, load_data(config))
    evaluator = CpuSeconds(**vars(proxy))
    options |= {"epochs": 1, "dead_slots": "keep"} if quick else {}
    study = na.run_search(
        PARTS[SHORT].study, runs=folder / "runs", evaluator=evaluator, engine=na.InlineEngine(), **options
    )
    write_looks(folder, "nas_attn", looks_of(study.view))


def write_looks(folder: Path, way: str, looks: Looks) -> None:
    rows = [{"seconds": seconds, "front": [str(a) for a in best]} for seconds, best in looks]
    (folder / f"{way}.looks.json").write_text(json.dumps(rows), "utf-8")


def all_looks(folder: Path) -> dict[str, Looks]:
    """Way -> the fronts that it reported, of the ways that have run."""
    files = {way: folder / f"{way}.looks.json" for way in ("stock", *WAYS)}
    return {
        way: [(r["seconds"], [Architecture.parse(a) for a in r["front"]]) for r in json.loads(file.read_text("utf-8"))]
        for way, file in files.items() if file.exists()
    }  # fmt: skip


def judged(folder: Path) -> dict[str, Any]:
    """The comparison of the ways that have run, by the means of the long runs of all that they have reported."""
    from record import costs

    runs: dict[Architecture, list[float]] = {}
    for line in map(json.loads, (folder / "long.jsonl").read_text("utf-8").splitlines()):
        runs.setdefault(Architecture.parse(line["architecture"]), []).append(line["evaluation"]["map50_95"])
    cost = costs(PARTS[SHORT], runs)
    truth = {a: (sum(values) / len(values), cost[a][0]) for a, values in runs.items()}
    found = {(way, 0): [(s, volume(truth, best)) for s, best in looks] for way, looks in all_looks(folder).items()}
    return {"real": True, "finalists": len(truth), **summary(found, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="generated", choices=["generated", "bccd"])
    parser.add_argument("--quick", action="store_true", help="one seed of 24 trials")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--real", choices=REAL, help="train, in place of a replay")
    parser.add_argument("--folder", type=Path, default=Path("runs/search_cost"), help="of real trainings")
    options = parser.parse_args()
    if options.real:
        print(json.dumps(real(options.real, options.folder, 8 if options.quick else options.trials, options.quick)))
        return
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
        print(f"goal: a ratio of at most {GOALS['loop']:.2f}")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
