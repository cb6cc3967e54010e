"""What verdicts promise, on simulated ablations whose truth is known; `--soak 1` runs a thousand of each."""

from __future__ import annotations

import math

import pytest
from ablation_simulation import NOISE, SIZES, false_claims, found

from nas_attn.ablation.looks import Looks
from nas_attn.ablation.statistics import ALPHA, power

FULL = 1000


def count(soak: float) -> int:
    return max(20, round(FULL * soak))


def limit(n: int) -> float:
    """5 % plus two standard errors; three where few are simulated, as there are many such checks."""
    return ALPHA + (2 if n >= FULL else 3) * math.sqrt(ALPHA * (1 - ALPHA) / n)


@pytest.mark.parametrize(
    ("looks", "gains", "then"),
    [
        (Looks.fixed(5), (), None),
        (Looks.planned(20), (), None),
        (Looks.fixed(5), (-0.02, 0.01), None),
        (Looks.fixed(5), (), Looks.fixed(10)),
    ],
    ids=["fixed", "sequential", "some differ", "seeds added"],
)
def test_claims_without_truth_stay_under_five_percent(soak, looks, gains, then):
    n = count(soak)
    shares, _ = false_claims(n, looks, gains, then=then)
    assert set(shares) == {"base", "full"}
    for family, share in shares.items():
        assert share.value <= limit(n), family


def test_without_correction_it_would_fail(soak):
    """The check itself can fail: single tests at 5 % of eight arms are wrong far more often."""
    from ablation_simulation import DIFFERENCE, design, evaluator, run
    from ablation_simulation import FIDELITY as fidelity

    n, wrong = count(soak), 0
    for world in range(n):
        call = evaluator(world)
        decisions, _ = run(design(), Looks.fixed(5), lambda a, s, call=call: call(a, fidelity, s).map50_95)
        wrong += any(d.result.p < ALPHA for d in decisions if d.contrast.family == "base")
    assert wrong / n > limit(n) and DIFFERENCE > 0


@pytest.mark.parametrize(("gain", "seeds"), [(0.01, 8), (-0.01, 8), (0.02, 5)])
def test_power_is_what_the_formula_says(soak, gain, seeds):
    n = count(soak)
    share, _ = found(n, Looks.fixed(seeds), gain)
    formula = power(abs(gain), NOISE * math.sqrt(2), seeds, ALPHA / len(SIZES))
    assert abs(share.value - formula) <= 3 * math.sqrt(formula * (1 - formula) / n)


def test_results_that_decide_save_seeds(soak):
    n = count(soak) // 2
    large, seeds_large = found(n, Looks.planned(20), 0.04)
    small, seeds_small = found(n, Looks.planned(20), 0.01)
    assert large.value > 0.95 and seeds_large < seeds_small < 20
    assert small.value > 0.8
