"""Error rates of verdicts on simulated ablations with known true effects; `--soak 1` runs a thousand of each kind."""

from __future__ import annotations

import math

import pytest
from simulated_ablations import NOISE, SIZES, false_claims, found

from nas_attn.ablation.decide import NO_DIFFERENCE
from nas_attn.ablation.looks import Looks
from nas_attn.statistics.paired import ALPHA, power

FULL = 1000


def count(soak: float) -> int:
    return max(20, round(FULL * soak))


def limit(n: int, level: float = ALPHA) -> float:
    """5 % plus two standard errors, or plus three if few are simulated, because there are many such checks."""
    return level + (2 if n >= FULL else 3) * math.sqrt(level * (1 - level) / n)


@pytest.mark.parametrize(
    ("looks", "gains", "then", "arms"),
    [
        (Looks.fixed(5), (), None, 8),
        (Looks.planned(20), (), None, 8),
        (Looks.fixed(5), (-0.02, 0.01), None, 8),
        (Looks.fixed(5), (), Looks.fixed(10), 8),
        (Looks.fixed(5), (), Looks.fixed(10), 1),
    ],
    ids=["fixed", "sequential", "some differ", "seeds added", "seeds added to one arm"],
)
def test_claims_without_truth_stay_under_what_tables_say(soak, looks, gains, then, arms):
    n = count(soak)
    shares, _ = false_claims(n, looks, gains, then=then, arms=arms)
    assert set(shares) == ({"base", "full"} if arms > 1 else {"base"})
    level = ALPHA * (looks.changed(then, 1).spent if then is not None else 1.0)
    for family, share in shares.items():
        assert share.value <= limit(n, level), family


def test_no_difference_is_not_said_of_one_that_matters(soak):
    """For an arm that is 0.01 better, at most one interval in forty excludes this difference."""
    from simulated_ablations import DIFFERENCE, FIDELITY, design, evaluator, run

    n, wrong = count(soak), 0
    for world in range(n):
        call = evaluator(world, (DIFFERENCE,))
        decisions, _ = run(design(), Looks.planned(12), lambda a, s, call=call: call(a, FIDELITY, s).map50_95)
        wrong += decisions[0].verdict == NO_DIFFERENCE
    assert wrong / n <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / n)


def test_without_correction_it_would_fail(soak):
    """The check itself can fail: uncorrected tests at 5 % of eight arms are wrong much more often."""
    from simulated_ablations import DIFFERENCE, design, evaluator, run
    from simulated_ablations import FIDELITY as fidelity

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
