"""How long `--help` of every command takes, in a fresh process, and what it imports.

    python tests/benchmarks/startup.py [--quick] [--json]

Prints the median, and whether torch was loaded. Goal: under 0.5 s each, torch never.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

COMMANDS = ("", "search", "dashboard", "report", "export", "train", "slots", "modules", "cost", "doctor")
HEAVY = ("torch", "ultralytics", "optuna", "pandas", "plotly", "dash", "numpy")
PROBE = (
    "import sys, json; from nas_attn.cli.app import run; code = run(sys.argv[1:]);"
    f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr); sys.exit(code)"
)


def measure(command: str, repeats: int) -> dict[str, Any]:
    """Median and least wall seconds of `python -m nas_attn COMMAND --help`, and the heavy modules that it loads."""
    arguments = [*command.split(), "--help"]
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "nas_attn", *arguments], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    probe = subprocess.run([sys.executable, "-c", PROBE, *arguments], check=True, capture_output=True, text=True)
    heavy = json.loads(probe.stderr.splitlines()[-1])
    return {"median_s": round(statistics.median(seconds), 3), "min_s": round(min(seconds), 3), "loaded": heavy}


def main() -> None:
    """Measure every command and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three repetitions instead of eleven")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    arguments = parser.parse_args()
    found = {c or "(none)": measure(c, 3 if arguments.quick else 11) for c in COMMANDS}
    if not arguments.json:
        for name, row in found.items():
            loaded = ", ".join(row["loaded"]) or "nothing heavy"
            print(f"{name:10s}  median {row['median_s']:.3f} s  least {row['min_s']:.3f} s  loads {loaded}")
    worst = max(row["median_s"] for row in found.values())
    print(json.dumps({"benchmark": "startup", "worst_median_s": worst, "goal_s": 0.5, "commands": found}))


if __name__ == "__main__":
    main()
