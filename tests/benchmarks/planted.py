"""A planted improvement on real data: does a search name the modules that repair a crippled base?

    python tests/benchmarks/planted.py [--quick] [--json] [--trials 60] [--jobs 1] [--only crippled,whole]
        [--runs FOLDER]

Both searches are the same command on BCCD; only the base differs. It is YOLO11 with an eighth of the width. In the
crippled base, the map at P3 is shifted by `SHIFT` pixels, so the head sees another place than the one it judges. A 3×3
convolution does not reach so far; a module with a large kernel can shift the map back. A run takes a CPU core about a
minute. The studies stay in `--runs`, and a second call continues them. The last line of the output is one JSON object.

Part: `../shared/data/bccd_320` beside the checkout.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import yaml  # noqa: E402
from recorded_curves import DATA  # noqa: E402

from nas_attn import run_search  # noqa: E402
from nas_attn.analysis.posterior import BETTER, WORSE  # noqa: E402

SHIFT = 4  # pixels of the map at P3
SCALE = [0.5, 0.125, 1024]  # depth, width, most channels
P3 = 16  # index of the last layer of P3 in the model YAML of YOLO11
BASES = ("crippled", "whole")


def base(crippled: bool) -> dict[str, Any]:
    """The model YAML of a base."""
    from ultralytics.utils import ROOT as ULTRALYTICS

    model: dict[str, Any] = yaml.safe_load((ULTRALYTICS / "cfg" / "models" / "11" / "yolo11.yaml").read_text())
    model |= {"scale": "n", "scales": {"n": SCALE}}
    if crippled:
        head = model["head"]
        head.insert(P3 + 1 - len(model["backbone"]), [-1, 1, "nn.ZeroPad2d", [[SHIFT, -SHIFT, SHIFT, -SHIFT]]])
        head[-1][0] = [layer + 1 for layer in head[-1][0]]  # no other layer names one after P3
    return model


def searched(which: str, runs: Path, trials: int, jobs: int, epochs: int) -> dict[str, Any]:
    """The answer of one search."""
    runs.mkdir(parents=True, exist_ok=True)
    model = runs / f"{which}.yaml"
    model.write_text(yaml.safe_dump(base(which == "crippled"), sort_keys=False), encoding="utf-8")
    study = run_search(
        f"planted-{which}",
        runs=runs,
        data=str(DATA),
        model=str(model),
        slots=["p3", "p4"],
        epochs=epochs,
        imgsz=160,
        final_imgsz=320,
        trials=trials,
        jobs=jobs,
    )
    print(f"{which}: {study.effects().conclusion}", file=sys.stderr)
    base_trials = [t.map50_95 for t in study.trials if t.architecture.is_base and t.map50_95 is not None]
    judged = study.as_dict()["candidates"]
    return {
        "trials": len(study.trials),
        "stopped": sum(t.state == "stopped" for t in study.trials),
        "base": [round(v, 4) for v in base_trials],
        **{v: {r["architecture"]: round(r["delta"], 4) for r in judged if r["verdict"] == v} for v in (BETTER, WORSE)},
        "conclusion": study.effects().conclusion,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 trials of one epoch")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=1, help="trials that run at the same time")
    parser.add_argument("--only", default=",".join(BASES), help="crippled, whole")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the two studies")
    given = parser.parse_args()
    trials, epochs = (8, 1) if given.quick else (given.trials, 12)
    found = {w: searched(w, given.runs, trials, given.jobs, epochs) for w in given.only.split(",")}
    if not given.json:
        for which, answer in found.items():
            print(f"{which}: {answer['trials']} trials, base {answer['base']}\n  {answer['conclusion']}")
    print(json.dumps({"benchmark": "planted", "trials": trials, **found}))


if __name__ == "__main__":
    main()
