"""Effects in studies with known truth: noise is not ranked, and true effects are found."""

from __future__ import annotations

import numpy as np
import pytest
from known_effects import random_rows, study_of
from scipy import stats
from untrained_searches import make_plan, run_plan

from nas_attn.analysis.effects.estimate import effect_numbers
from nas_attn.analysis.noise import noise
from nas_attn.evaluate.synthetic import SyntheticEvaluator


@pytest.mark.parametrize(
    "world",
    [
        {"trials": 30},
        {"trials": 60, "between": 0.02, "settings": 3},
        {"trials": 60, "slots": ("p3", "p4", "p5"), "modules": tuple(f"m{i}" for i in range(8))},
        {"trials": 15, "between": 0.02, "settings": 6},
        {"trials": 20, "between": 0.01, "settings": 6},
        {"trials": 18, "between": 0.01, "settings": 2, "modules": ("lska", "se")},
    ],
    ids=["noise", "settings", "wide", "few that differ", "few that differ a little", "few modules that differ"],
)
def test_noise_is_not_ranked(world, soak):
    """At least 95 % of studies without any true effect claim none."""
    studies = max(40, round(400 * soak))
    rows = (random_rows(np.random.default_rng(1000 + i), **world) for i in range(studies))
    wrong = sum(bool(effect_numbers(study_of(r)).shown) for r in rows)
    assert wrong <= stats.binom.ppf(0.999, studies, 0.05)


@pytest.mark.parametrize("settings", [1, 3])
def test_effects_are_found(settings, soak):
    """Studies need enough architectures with the module; 4 % of the studies without settings have too few."""
    studies = max(15, round(150 * soak))
    effect = {("p3", "lska"): 0.03}
    rows = (random_rows(np.random.default_rng(i), 60, settings=settings, effect=effect) for i in range(studies))
    numbers = [effect_numbers(study_of(r)) for r in rows]
    asked = [n for n in numbers if n.cell("p3", "lska").architectures >= 3]
    assert len(asked) >= 0.9 * studies
    assert sum(n.cell("p3", "lska").shown for n in asked) >= 0.95 * len(asked)
    wrong = sum(any((c.slot, c.module) not in effect for c in n.shown) for n in numbers)
    assert wrong <= stats.binom.ppf(0.999, studies, 0.05)


def test_a_search_that_chases_noise_is_not_fooled(tmp_path, soak):
    """The sampler returns to lucky architectures; the effects must not."""
    studies = max(4, round(40 * soak))
    wrong = 0
    for i in range(studies):
        view = run_plan(make_plan(SyntheticEvaluator(seed=i, effect_sd=0.0), trials=30, seed=i), tmp_path / str(i))
        assert noise(view) is not None
        wrong += bool(effect_numbers(view).shown)
    assert wrong <= stats.binom.ppf(0.999, studies, 0.05)


def test_a_search_finds_what_was_planted(tmp_path):
    evaluator = SyntheticEvaluator(
        effect_sd=0.0, noise_sd=0.005, seed_sd=0.02, planted=(("p3=lska", 0.03), ("p4=acmix", -0.03))
    )
    numbers = effect_numbers(run_plan(make_plan(evaluator, trials=60), tmp_path))
    assert {(c.slot, c.module) for c in numbers.shown} == {("p3", "lska"), ("p4", "acmix")}
    assert numbers.sd == pytest.approx(0.005, rel=0.35)  # the seeds' luck is not in it
