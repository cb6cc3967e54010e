"""Does an ablation keep what its verdicts promise? Simulations on the synthetic evaluator, whose truth is known.

    python tests/benchmarks/ablation_power.py [--quick] [--ablations 1000] [--json]

Family-wise error: ablations of eight arms in which a true "no difference" is called better or worse; at most 5 % plus
two standard errors, in the table against the base and in the one against the full architecture. Where seeds are added
after results were seen the table itself names a higher limit, and that is checked. Power: how often one planted
difference is found, against the formula for the paired t-test at the corrected level. The last line of the output is
one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from simulated_ablations import DIFFERENCE, NOISE, SIZES, false_claims, found

from nas_attn.ablation.looks import Looks
from nas_attn.statistics.paired import ALPHA, power

GAINS = (-0.02, 0.01, 0.005)
ERRORS = (  # name, looks, true gains, looks added later, heavy tails, arms
    ("no arm differs, 5 seeds", Looks.fixed(5), (), None, False, 8),
    ("no arm differs, results decide up to 20 seeds", Looks.planned(20), (), None, False, 8),
    ("three of eight differ, 5 seeds", Looks.fixed(5), GAINS, None, False, 8),
    ("three of eight differ, results decide up to 20 seeds", Looks.planned(20), GAINS, None, False, 8),
    ("no arm differs, 5 seeds, noise with heavy tails", Looks.fixed(5), (), None, True, 8),
    ("no arm differs, 5 seeds, 10 where undecided", Looks.fixed(5), (), Looks.fixed(10), False, 8),
    ("one arm, no difference, 5 seeds, 10 where undecided", Looks.fixed(5), (), Looks.fixed(10), False, 1),
)
POWERS = ((0.01, 5), (0.01, 8), (0.01, 12), (0.02, 5), (-0.01, 8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="40 ablations of each kind")
    parser.add_argument("--ablations", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="only the JSON line")
    options = parser.parse_args()
    count = 40 if options.quick else options.ablations
    say = (lambda *_, **__: None) if options.json else print
    began = time.perf_counter()
    errors = {}
    say(f"family-wise error over {count} ablations, and 5 % (more where seeds are added unplanned) + 2 standard errors")
    for name, looks, gains, then, heavy, arms in ERRORS:
        shares, trials = false_claims(count, looks, gains, then=then, heavy=heavy, arms=arms)
        level = ALPHA * (looks.changed(then, 1).spent if then is not None else looks.spent)
        limit = level + 2 * math.sqrt(level * (1 - level) / count)
        errors[name] = {f: s.value for f, s in shares.items()} | {"trials": trials, "limit": limit}
        words = ", ".join(f"{f} {s.value:.4f}" for f, s in shares.items())
        say(f"  {name}: {words}; at most {limit:.4f}; {trials:.0f} trials", flush=True)
    powers = {}
    say("power: found, by the formula, difference in standard errors")
    for gain, seeds in POWERS:
        share, _ = found(count, Looks.fixed(seeds), gain)
        formula = power(abs(gain), NOISE * math.sqrt(2), seeds, ALPHA / len(SIZES))
        error = math.sqrt(formula * (1 - formula) / count)
        powers[f"{gain:+g}, {seeds} seeds"] = {"found": share.value, "formula": formula}
        say(f"  {gain:+g} with {seeds} seeds: {share.value:.3f}, {formula:.3f}, {(share.value - formula) / error:+.1f}",
            flush=True)  # fmt: skip
    sequential = {}
    say("results decide up to 20 seeds: found, mean seeds of that arm")
    for gain in (DIFFERENCE, 2 * DIFFERENCE, 4 * DIFFERENCE):
        share, seeds_used = found(count, Looks.planned(20), gain)
        sequential[f"{gain:+g}"] = {"found": share.value, "seeds": seeds_used}
        say(f"  {gain:+g}: {share.value:.3f}, {seeds_used:.1f}", flush=True)
    seconds = time.perf_counter() - began
    result = {"ablations": count, "errors": errors, "power": powers, "sequential": sequential}
    print(json.dumps({**result, "seconds": seconds}))


if __name__ == "__main__":
    main()
