"""Does the embedded default see harm? A fixed blur at P3 must come out last among real modules, seed by seed.

    python tests/benchmarks/controls.py [--quick] [--seeds 10] [--jobs 2] [--log FILE] [--json]

Trains `none`, `conv`, `acmix`, `lska`, `efficient_attention` and `blur`, each alone at P3, in the form that a search
from scratch uses (residual=none). Seeds share initial weights, data order and augmentation. Finished runs are appended
to the log and are not repeated. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import blur  # noqa: F401 (registers the module, here and in every worker process)

from nas_attn.environment import prepare
from nas_attn.evaluate import Fidelity
from nas_attn.evaluate.proxy import ProxyEvaluator
from nas_attn.space import Architecture
from nas_attn.study.config_sources import load_config
from nas_attn.study.inputs import load_data
from nas_attn.study.prepare import make_evaluator

MODULES = ("none", "conv", "acmix", "lska", "efficient_attention", "blur")


def train(evaluator: ProxyEvaluator, fidelity: Fidelity, module: str, seed: int, liveness: bool) -> dict:
    """One run, as its log line."""
    start = time.process_time()
    architecture = Architecture.parse(f"p3={module} p4=none p5=none")
    result = evaluator(architecture, fidelity, seed, liveness=liveness)
    drop = {s: round(result.map50_95 - v, 5) for s, v in (result.liveness or {}).items()}
    cpu = round(time.process_time() - start, 2)
    return {"module": module, "seed": seed, "map50_95": result.map50_95, "cpu_s": cpu, "drop": drop}


def summary(runs: list[dict], modules: tuple[str, ...]) -> dict:
    """Ranks by seed, and each module's paired difference to `none`."""
    table = {(r["module"], r["seed"]): r["map50_95"] for r in runs}
    seeds = sorted(s for s in {r["seed"] for r in runs} if all((m, s) in table for m in modules))
    last = [min(modules, key=lambda m: table[m, s]) for s in seeds]
    found = {}
    for module in modules:
        values = [table[module, s] for s in seeds]
        diffs = [table[module, s] - table["none", s] for s in seeds]
        found[module] = {
            "map50_95": round(statistics.fmean(values), 4),
            "diff": round(statistics.fmean(diffs), 4),
            "diff_sd": round(statistics.stdev(diffs), 4) if len(diffs) > 1 else None,
            "last": last.count(module),
            "cpu_s": round(statistics.fmean(r["cpu_s"] for r in runs if r["module"] == module), 1),
        }
    base = [r["drop"] for r in runs if r["module"] == "none" and r["drop"]]
    drops = {
        slot: [min(d[slot] for d in base), round(statistics.fmean(d[slot] for d in base), 4)]
        for slot in (base[0] if base else ())
    }
    return {
        "seeds": len(seeds),
        "blur_last": last.count("blur"),
        "modules": found,
        "base_min": min((table["none", s] for s in seeds), default=None),
        "drop_min_and_mean": drops,
        "seconds_cpu": round(sum(r["cpu_s"] for r in runs), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two modules, one seed, one epoch: does it run?")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--log", type=Path, help="finished runs, one JSON line each; read again at the start")
    parser.add_argument("--modules", nargs="+", default=list(MODULES), choices=MODULES)
    parser.add_argument("--recipe", type=json.loads, default={}, help="changes to the recipe, as JSON")
    parser.add_argument("--epochs", type=int, help="in place of the demo's")
    parser.add_argument("--json", action="store_true", help="nothing but the last line")
    options = parser.parse_args()

    prepare()
    config = load_config("demo", {"epochs": 1 if options.quick else options.epochs, "test": False})
    evaluator = make_evaluator(config, load_data(config))
    evaluator = replace(evaluator, recipe=replace(evaluator.recipe, **options.recipe))
    fidelity = Fidelity(config.epochs, config.imgsz, 0.25 if options.quick else 1.0)
    modules = ("none", "blur") if options.quick else tuple(dict.fromkeys(("none", *options.modules)))
    seeds = range(1 if options.quick else options.seeds)

    log = options.log or Path(tempfile.mkdtemp()) / "controls.jsonl"
    setting = f"{evaluator.recipe} {fidelity} {Path(evaluator.data).parent.name}"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    runs = [line for line in lines if line["setting"] == setting]
    done = {(r["module"], r["seed"]) for r in runs}
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(train, evaluator, fidelity, module, seed, module == "none")
            for seed in seeds
            for module in modules
            if (module, seed) not in done
        ]
        for future in as_completed(waiting):
            runs.append({"setting": setting, **future.result()})
            with log.open("a") as file:
                file.write(json.dumps(runs[-1]) + "\n")
            if not options.json:
                print({k: v for k, v in runs[-1].items() if k != "setting"}, flush=True)
    result = {"benchmark": "controls", "log": str(log), **summary(runs, modules)}
    if not options.json:
        for module, row in result["modules"].items():
            print(f"{module:20} {row}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
