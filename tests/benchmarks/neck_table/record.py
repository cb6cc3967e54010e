"""Trains the table of real runs, and says what it can tell apart.

    python tests/benchmarks/neck_table/record.py [--only bccd-long,generated] [--architectures 24] [--seeds 2]
        [--jobs 1] [--minutes 60] [--report] [--quick] [--json]

Runs that the table has are not repeated; `--minutes` begins no run after that time. `--architectures` and `--seeds`
train only the first ones of each part, without the further seeds of the base. `--quick` trains one group for two epochs
and keeps nothing. The report is the intraclass correlation of each part, of the architectures that have all seeds:
under 0.5, a table may not rank samplers. The last line of the output is one JSON object.

Part: `../shared/data/bccd_320` beside the checkout, for BCCD.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from neck_table import BCCD, PARTS, RANKS, SLOTS, Job, NeckTable, Part, Run  # noqa: E402
from signal_per_second import intraclass  # noqa: E402

from nas_attn.environment import cache_root  # noqa: E402
from nas_attn.evaluate import Evaluation  # noqa: E402
from nas_attn.space import Architecture  # noqa: E402


def evaluator_of(part: Part) -> Any:
    """The evaluator that a search with the part's study has, with validations in between."""
    from nas_attn.study.config_sources import load_config
    from nas_attn.study.inputs import load_data
    from nas_attn.study.prepare import make_evaluator

    config = load_config(part.study, {} if part.data == "generated" else {"data": str(BCCD)})
    evaluator = make_evaluator(config, load_data(config))
    evaluator = replace(
        evaluator, threads=1, recipe=replace(evaluator.recipe, val_every=part.val_every, **dict(part.recipe))
    )
    if not part.inherited:
        return evaluator
    return replace(evaluator, start="base", base_file=str(trained_base(evaluator, part)))


def trained_base(evaluator: Any, part: Part) -> Path:
    """The file of the base that inherited runs continue from, trained with seed 0 at the part's fidelity."""
    file = cache_root() / "neck_table" / f"{part.data}-{part.epochs}.pt"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        evaluator.train_base(part.fidelity, 0, file, liveness=False)
    return file


def costs(part: Part, some: Collection[Architecture]) -> dict[Architecture, tuple[float, float]]:
    """Architecture -> GMACs and million parameters of the final model at 640 px."""
    from nas_attn.cost import CostTable

    base, slots, _ = evaluator_of(replace(part, inherited=False)).final_base()
    named = {s: tuple({a[s.name] for a in some}) for s in slots if s.name in SLOTS}
    table = CostTable.build(base.build(), named, 640)
    found = {a: table.cost(a) for a in some}
    return {a: (round(c.gmacs, 6), round(c.params_m, 6)) for a, c in found.items()}


def trained(name: str, job: Job) -> list[Run]:
    """One run: of one architecture, or of a group."""
    evaluator = evaluator_of(job.part)
    for architecture in job.architectures:
        evaluator.check(job.part.fidelity, architecture)  # what a process loads once is no cost of a run
    start = time.process_time()
    found: list[Evaluation]
    if job.group:
        found = evaluator.together(job.architectures, job.part.fidelity, job.seed)
    else:
        found = [evaluator(*job.architectures, job.part.fidelity, job.seed)]
    cpu = round((time.process_time() - start) / len(found), 2)
    return [_run(name, a, job, cpu, e) for a, e in zip(job.architectures, found, strict=True)]


def _run(name: str, architecture: Architecture, job: Job, cpu: float, found: Evaluation) -> Run:
    facts = {
        "part": name,
        "architecture": str(architecture),
        "seed": job.seed,
        "group": job.group,
        "cpu_seconds": cpu,
        **{k: round(getattr(found, k), 2) for k in ("seconds", "steps_seconds", "val_seconds")},
        "flags": "; ".join(found.flags),
        "recipe": json.dumps(found.recipe),
        "versions": " ".join(f"{k}={v}" for k, v in sorted(found.versions.items())),
    }
    return Run(facts, tuple({k: round(v, 6) for k, v in row.items()} for row in found.curve))


def missing(
    table: NeckTable, names: list[str], architectures: int | None, seeds: int | None
) -> Iterator[tuple[str, Job]]:
    """The runs that the table lacks, of the first architectures and seeds of each part; None means all."""
    for name in names:
        part = PARTS[name]
        count, some = min(part.count, architectures or part.count), part.seeds[:seeds]
        if (count, some) != (part.count, part.seeds):
            part = replace(part, count=count, seeds=some, base_seeds=())
        for job in part.jobs:
            if any((name, str(a), job.seed, job.group) not in table.runs for a in job.architectures):
                yield name, job


def record(table: NeckTable, jobs: list[tuple[str, Job]], processes: int, minutes: float) -> None:
    """Train runs, and keep each as it ends."""
    end = time.monotonic() + 60 * minutes
    wanted: dict[str, set[Architecture]] = {}
    for name, asked in jobs:
        wanted.setdefault(name, set()).update(asked.architectures)
    cost = {name: {str(a): c for a, c in costs(PARTS[name], some).items()} for name, some in wanted.items()}
    waiting = iter(jobs)
    running: list[Any] = []
    with get_context("spawn").Pool(processes, maxtasksperchild=20) as pool:
        while True:
            while len(running) < processes and time.monotonic() < end and (job := next(waiting, None)) is not None:
                running.append(pool.apply_async(trained, job))
            if not running:
                return
            for result in [r for r in running if r.ready()]:
                running.remove(result)
                some = []
                for run in result.get():
                    gmacs, params = cost[run.key[0]][run.key[1]]
                    some.append(Run({**run.facts, "gmacs": gmacs, "params_m": params}, run.curve))
                    told = run.curve[-1]["map50_95"], f"{run.facts['cpu_seconds']:.0f} s"
                    print(*run.key, *told, file=sys.stderr, flush=True)
                table.add(some)
            time.sleep(0.2)


def report(table: NeckTable) -> dict[str, Any]:
    """The intraclass correlation of each part, and how much of it is there."""
    found = {}
    for name, part in PARTS.items():
        names, scores = table.scores(name)
        runs = [r for r in table.runs.values() if r.key[0] == name]
        found[name] = {
            "runs": len(runs),
            "of": sum(len(job.architectures) for job in part.jobs),
            "complete architectures": len(names),
            "CPU seconds of a run": round(sum(r.cpu_seconds for r in runs) / len(runs), 1) if runs else None,
            "intraclass correlation": round(intraclass(scores), 3) if len(names) > 2 else None,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="names of parts")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no run begins later")
    parser.add_argument("--architectures", type=int, help="train only so many of each part")
    parser.add_argument("--seeds", type=int, help="train only so many of each part")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--quick", action="store_true", help="one group, two epochs; nothing is kept")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    options = parser.parse_args()
    table = NeckTable()
    if options.quick:
        part = replace(PARTS["generated-together"], epochs=2)
        print(json.dumps([dict(run.facts) for run in trained("generated-together", part.jobs[0])]))
        return
    names = options.only.split(",")
    if not options.report:
        record(table, list(missing(table, names, options.architectures, options.seeds)), options.jobs, options.minutes)
    found = report(table)
    if not options.json:
        for name, row in found.items():
            icc = row["intraclass correlation"]
            verdict = "nothing yet" if icc is None else "may rank samplers" if icc >= RANKS else "may not rank samplers"
            print(f"{name}: {row}: {verdict}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
