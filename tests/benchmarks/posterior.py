"""The claims of a study's posterior, against the truth of simulated studies that the real search loop made.

    python tests/benchmarks/posterior.py [--quick] [--json] [--studies 500] [--only bccd,generated] [--results FILE]
        [--report] [--jobs 2]

Each study has 100 trials on three slots. Finished studies are kept in `results/posterior.jsonl`; a second call makes
only those that are missing there, or that another source made. `--report` makes none. The last line of the output is
one JSON object.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import math
import os
import sys
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from posterior_scores import BANDS, figures
from simulated_studies import KINDS, simulated

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results" / "posterior.jsonl"
SUPPORT = ("simulated_studies.py", "posterior_scores.py")
NULL = ("nothing differs", "nothing differs, generated")


def source() -> str:
    """The digest of the code that decides about a study and its figures, without comments and docstrings."""
    files = [ROOT / "nas_attn" / "study" / name for name in ("coded.py", "chooser.py")]
    files += [
        ROOT / "nas_attn" / "analysis" / name for name in ("posterior.py", "difference.py", "effects/estimate.py")
    ]
    files += [ROOT / "nas_attn" / "statistics" / "claims.py", *sorted((ROOT / "nas_attn" / "known_cost").glob("*.py"))]
    files += [ROOT / "tests" / "support" / name for name in SUPPORT]
    trees = [ast.parse(f.read_text(encoding="utf-8")) for f in files]
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return hashlib.sha256("".join(map(ast.dump, trees)).encode()).hexdigest()[:12]


def made(job: tuple[str, int]) -> dict[str, Any]:
    """One study and its figures."""
    kind, seed = job
    view, truth = simulated(KINDS[kind], seed)
    return {"kind": kind, "seed": seed, "source": source(), **figures(view, truth)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="4 studies of three kinds; nothing is kept")
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    parser.add_argument("--studies", type=int, default=500, help="of each kind")
    parser.add_argument(
        "--only", default=",".join(k.replace(", ", ": ") for k in KINDS), help="kinds, with `:` for `,`"
    )
    parser.add_argument("--results", type=Path, help="file of finished studies")
    parser.add_argument("--report", action="store_true", help="make no study")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    kinds = [k.replace(": ", ", ") for k in options.only.split(",")]
    if unknown := [k for k in kinds if k not in KINDS]:
        parser.error(f"unknown: {unknown}; there are: {list(KINDS)}")
    if options.quick:
        options.studies, kinds = 4, ["bccd", "nothing differs", "planted 0.010"]
    path = None if options.quick and options.results is None else options.results or RESULTS
    rows = list(_kept(path))
    done = {(r["kind"], r["seed"]) for r in rows}
    # all kinds grow together
    jobs = [(k, seed) for seed in range(options.studies) for k in kinds if (k, seed) not in done]
    if jobs and not options.report:
        with Pool(options.jobs) as pool:
            for row in pool.imap_unordered(made, jobs):
                rows.append(row)
                if path is not None:
                    path.parent.mkdir(exist_ok=True)
                    with path.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
    summary = {}
    for kind in kinds:
        some = [r for r in rows if r["kind"] == kind and r["seed"] < options.studies]
        if some:
            summary[kind] = _summary(kind, some)
            if not options.json:
                print(f"\n{kind}: {len(some)} studies")
                print("\n".join(f"  {name:58} {_words(value)}" for name, value in summary[kind].items()))
    print(json.dumps(summary))


def _kept(path: Path | None) -> Iterator[dict[str, Any]]:
    """The finished studies of the present source."""
    if path is not None and path.exists():
        now = source()
        for line in path.read_text(encoding="utf-8").splitlines():
            if (row := json.loads(line))["source"] == now:
                yield row


def _summary(kind: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    n, between = len(rows), KINDS[kind].between
    found: dict[str, Any] = {}
    for name in ("trained", "untrained"):
        inside, every = np.array([r[name] for r in rows], float).sum(0)
        found[f"95 % intervals that hold the truth, {name}"] = round(inside / every, 4)
    claiming = [r["claims"] > 0 for r in rows]
    if kind in NULL:
        found["studies with a claim (at most 0.05 and 2 errors)"] = _rate(claiming)
        found["  additive model"] = _rate([r["additive"] > 0 for r in rows])
        found["  each candidate alone"] = _rate([r["raw_claims"] > 0 for r in rows])
        found["winner's estimate minus truth, mAP50-95"] = round(float(np.mean([r["winner"] for r in rows])), 5)
        found["  raw maximum"] = round(float(np.mean([r["raw"] for r in rows])), 5)
    else:
        found["studies with a claim"] = _rate(claiming)
        found["studies with a wrong claim"] = _rate([r["wrong"] > 0 for r in rows])
    if between:
        winner = np.array([[r["winner"], r["raw"]] for r in rows]) / between
        found["winner's estimate minus truth, share of the spread"] = _mean(winner[:, 0])
        found["  raw maximum"] = _mean(winner[:, 1])
        for i, (low, high) in enumerate(BANDS):
            inside, true = np.array([r["bands"][i] for r in rows], float).sum(0)
            name = f"on the front, if P is {low:.0%} to {high:.0%}".replace("%", " %")
            found[name] = round(true / inside, 3) if inside else None
        ours, raw = np.array([r["regret"] for r in rows]).mean(0)
        found["hypervolume regret of the front, ours and raw means"] = [round(ours, 4), round(raw, 4)]
        found["  ratio (at most 0.7)"] = round(ours / raw, 3) if raw else None
    if KINDS[kind].planted:
        found["planted module named"] = _rate([r["named"] for r in rows])
        found["  additive model"] = _rate([r["additive_named"] for r in rows])
    found["studies"] = n
    return found


def _rate(values: list[bool]) -> list[float]:
    p, n = float(np.mean(values)), len(values)
    return [round(p, 4), round(math.sqrt(p * (1 - p) / n), 4)]


def _mean(values: np.ndarray) -> list[float]:
    return [round(float(values.mean()), 3), round(float(values.std() / math.sqrt(len(values))), 3)]


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()
