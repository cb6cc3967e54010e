"""Importance of slots and settings: planted choices are found, and noise is not."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from known_effects import random_rows, study_of
from scipy import stats

from nas_attn.analysis.importance.numbers import (
    LEAST,
    NO_OPTUNA,
    SETTINGS,
    importance_numbers,
    importance_sentence,
)
from nas_attn.space import Architecture
from nas_attn.study.parameters import parameters
from nas_attn.study.sampler import Suggester
from nas_attn.study.view import StudyView

FEW = 40  # resamples: what is tested here is far from any limit
WIDE: dict[str, Any] = {
    "slots": ("p3", "p4", "p5"),
    "modules": tuple(f"m{i}" for i in range(6)),
    "settings": 3,
    "repeats": 1,
}


def planted(trials: int = 200, seed: int = 0) -> StudyView:
    """A study in which two choices matter: the module at p3, and the setting of m2 at p4."""
    gains = {("p3", "m1"): 0.04, ("p4", "m2(k=1)"): 0.05}
    return study_of(random_rows(np.random.default_rng(seed), trials, effect=gains, **WIDE))


@pytest.fixture(scope="module")
def found():
    return importance_numbers(planted(), resamples=FEW)


def test_planted_choices_are_clear_by_both_measures(found):
    choices = {c.name: c for c in found.choices}
    for name in ("p3", "p4.m2.k"):
        assert choices[name].main.clear and choices[name].ped.clear, name
    assert not choices["p5"].main.clear and not choices["p5"].ped.clear
    words = importance_sentence(found)
    assert words.startswith("Choices beyond chance: p3: module") and "p4.m2: k" in words


def test_the_main_effect_is_omega_squared(found):
    view = planted()
    groups: dict[str, list[float]] = {}
    for c in view.candidates():
        groups.setdefault(dict(c.architecture)["p3"].module, []).append(c.score)
    f, n = stats.f_oneway(*groups.values()).statistic, sum(map(len, groups.values()))
    expected = (len(groups) - 1) * (f - 1) / ((len(groups) - 1) * (f - 1) + n)
    choice = next(c for c in found.choices if c.name == "p3")
    assert choice.main.value == pytest.approx(expected)
    assert (choice.candidates, choice.levels) == (n, len(groups))


def test_a_setting_is_judged_within_its_module(found):
    choice = next(c for c in found.choices if c.name == "p4.m2.k")
    own = [c for c in planted().candidates() if dict(c.architecture)["p4"].module == "m2"]
    assert choice.candidates == len(own)
    assert choice.main.value > 0.5  # there it is most of what varies, and hardly anything in the whole study


def test_intervals_hold_the_estimate_and_shares_add_up(found):
    for choice in found.choices:
        for share in (choice.main, choice.ped):
            assert 0 <= share.low <= share.high <= 1 + 1e-9
    assert sum(c.ped.value for c in found.choices) == pytest.approx(1)


def test_the_interval_covers_the_truth(soak):
    """The variance of p3's module over the total variance: 6 of 7 modules are equal, the noise is 0.01."""
    gain = np.array([0.04, *[0.0] * 6]).var()
    truth = gain / (gain + 0.01**2)
    studies, hits = max(6, round(60 * soak)), 0
    for seed in range(studies):
        rows = random_rows(np.random.default_rng(seed), 120, effect={("p3", "m1"): 0.04}, **WIDE)
        p3 = next(c for c in importance_numbers(study_of(rows), resamples=FEW).choices if c.name == "p3")
        hits += p3.main.low <= truth <= p3.main.high
    assert hits >= 0.8 * studies


def test_noise_is_not_importance(soak):
    studies = max(12, round(100 * soak))
    clear = 0
    for seed in range(studies):
        view = study_of(random_rows(np.random.default_rng(seed), 60, **WIDE))
        clear += any(c.main.clear or c.ped.clear for c in importance_numbers(view, resamples=FEW).choices)
    # each measure is wrong in at most one study of twenty
    assert clear <= stats.binom.ppf(0.999, studies, 0.1)


def test_equal_studies_give_equal_numbers_whatever_their_order():
    rows = random_rows(np.random.default_rng(3), 60, **WIDE)
    one, other = (importance_numbers(study_of(r), resamples=10) for r in (rows, rows[::-1]))
    assert [c.name for c in one.choices] == [c.name for c in other.choices]
    for a, b in zip(one.choices, other.choices, strict=True):
        assert (a.main.value, a.main.high, a.ped.chance) == pytest.approx((b.main.value, b.main.high, b.ped.chance))


def test_names_are_the_samplers():
    from untrained_searches import make_plan

    space = make_plan().space
    architecture = Architecture.parse("p3=acmix(head=4,kernel_att=7,residual=scaled) p4=none p5=lska(k_size=23)")
    assert parameters(architecture) == Suggester(space, "tpe", 0).params(architecture)


def test_too_little_says_so():
    few = importance_numbers(study_of(random_rows(np.random.default_rng(0), LEAST - 1, **WIDE)))
    assert few.choices == () and f"needs {LEAST} architectures" in importance_sentence(few)
    same = [(t, 0.4, s) for t, _, s in random_rows(np.random.default_rng(0), 40, **WIDE)]
    assert "no choice matters" in importance_sentence(importance_numbers(study_of(same)))
    unpaired = [r for r in random_rows(np.random.default_rng(0), 40, **WIDE) if "=m" in r[0]]
    assert importance_numbers(study_of(unpaired)).candidates == 0


def test_many_settings_are_bounded():
    rows = random_rows(np.random.default_rng(0), 500, **{**WIDE, "modules": tuple(f"m{i}" for i in range(12))})
    numbers = importance_numbers(study_of(rows), resamples=2)
    assert sum(not c.is_slot for c in numbers.choices) == SETTINGS and numbers.left_out == 36 - SETTINGS
    assert f"architectures have them: {numbers.left_out}." in importance_sentence(numbers)


def test_without_optuna_main_effects_remain(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    numbers = importance_numbers(planted(60), resamples=2)
    assert numbers.choices and {c.ped for c in numbers.choices} == {None}
    assert importance_sentence(numbers).endswith(NO_OPTUNA)
