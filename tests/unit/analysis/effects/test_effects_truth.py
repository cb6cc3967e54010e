"""Effects in studies with known truth: noise is not ranked, true effects are found, and intervals hold them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from known_effects import Truth, random_rows, study_of
from scipy import stats
from untrained_searches import make_plan, run_plan

from nas_attn.analysis.effects.estimate import EffectNumbers, effect_numbers, setting_effects
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.view import StudyView

PLACES = tuple(itertools.product(("p3", "p4"), ("acmix", "lska", "se", "conv")))


def few(studies: int) -> int:
    """The most studies with a wrong claim that a rate of 5 % gives by chance."""
    return int(stats.binom.ppf(0.999, studies, 0.05))


def wrong_claims(numbers: EffectNumbers, truth: Truth, view: StudyView) -> list[tuple[str, str]]:
    """The modules at slots that are claimed to be better or worse, and are not."""
    return [
        (c.slot, c.module)
        for c in numbers.shown
        if (c.sign and c.sign != np.sign(truth.cell(view, c.slot, c.module)))
        or (c.lead_sign and c.lead_sign != np.sign(round(truth.lead(view, c.slot, c.module), 12)))
    ]


@pytest.mark.parametrize(
    "world",
    [
        {"trials": 30},
        {"trials": 60, "settings": 3},
        {"trials": 50, "slots": ("p3", "p4", "p5"), "modules": tuple(f"m{i}" for i in range(5))},
        {"trials": 15, "settings": 6},
    ],
    ids=["plain", "settings", "wide", "few"],
)
def test_noise_is_not_ranked(world, soak):
    """At least 95 % of studies without any true effect claim none: of modules, of architectures, of settings."""
    studies = max(30, round(300 * soak))
    claims = np.zeros(4, int)
    for i in range(studies):
        numbers = effect_numbers(study_of(random_rows(np.random.default_rng(1000 + i), **world)))
        settings = setting_effects(numbers.found)
        claims += (
            bool(numbers.shown),
            any(c.sign for c in numbers.overall),
            bool(numbers.found.signs.any()),
            any(e.sign for e in settings),
        )
    assert claims.max() <= few(studies)


@pytest.mark.parametrize("world", [{"trials": 60, "settings": 3}, {"trials": 15, "settings": 6}], ids=["many", "few"])
def test_where_architectures_differ_by_more_than_the_sum_claims_have_the_right_sign(world, soak):
    """An apparent effect of a module may be the luck of the architectures that have it."""
    studies = max(30, round(300 * soak))
    wrong = 0
    for i in range(studies):
        truth = Truth(between=0.02, seed=i)
        view = study_of(random_rows(np.random.default_rng(1000 + i), truth=truth, **world))
        wrong += bool(wrong_claims(effect_numbers(view), truth, view))
    assert wrong <= few(studies)


@pytest.mark.parametrize("settings", [1, 3])
def test_planted_effects_are_found(settings, soak):
    studies = max(20, round(200 * soak))
    truth = Truth({("p3", "lska"): 0.03})
    named = wrong = 0
    for i in range(studies):
        view = study_of(random_rows(np.random.default_rng(i), 60, settings=settings, truth=truth))
        numbers = effect_numbers(view)
        cell = numbers.cell("p3", "lska")
        named += max(cell.sign, cell.lead_sign) > 0
        wrong += bool(wrong_claims(numbers, truth, view))
    assert named >= 0.9 * studies
    assert wrong <= few(studies)


def test_intervals_hold_the_truth_and_are_no_wider_than_needed(soak):
    """Effects of usual size, drawn anew for each study; settings and architectures add something of their own."""
    studies = max(30, round(300 * soak))
    inside, ratios, claims = [], [], 0
    for i in range(studies):
        rng = np.random.default_rng(i)
        truth = Truth({place: rng.normal(0, 0.008) for place in PLACES}, between=0.002, seed=i)
        view = study_of(random_rows(rng, 60, truth=truth, settings=2))
        numbers = effect_numbers(view)
        for cell in numbers.measured:
            for difference, gain in (
                (cell.effect, truth.cell(view, cell.slot, cell.module)),
                (cell.lead, truth.lead(view, cell.slot, cell.module)),
            ):
                inside.append(difference.low <= gain <= difference.high)
                if cell.module != "conv":  # always in both slots at once, so hardly known
                    ratios.append((difference.mean - gain, (difference.high - difference.low) / 3.92))
        claims += bool(numbers.shown)
    error, deviation = np.sqrt(np.mean(np.square(ratios), 0))
    assert np.mean(inside) >= 0.88
    assert 0.75 < error / deviation < 1.35
    assert deviation < 0.005 and claims > 0.6 * studies


def test_a_planted_setting_is_found_and_named_by_its_value(soak):
    """One of three values is better at both slots; the values are judged against their mean."""
    studies = max(15, round(150 * soak))
    found = wrong = 0
    for i in range(studies):
        effect = {(slot, "lska(k=1)"): 0.04 for slot in ("p3", "p4")}
        rows = random_rows(np.random.default_rng(i), 80, settings=3, effect=effect)
        claimed = {(e.module, e.value): e.sign for e in setting_effects(effect_numbers(study_of(rows)).found) if e.sign}
        found += claimed.get(("lska", 1)) == 1
        wrong += any(claimed.get((m, k), s) != s for m, k, s in (("lska", 0, -1), ("lska", 1, 1), ("lska", 2, -1)))
        wrong += any(module != "lska" for module, _ in claimed)
    assert found >= 0.8 * studies
    assert wrong <= few(studies)


def settings_by_hand(gains: dict[tuple[int, str], float]) -> list[tuple[str, object, float]]:
    """(setting, value, mean with the value minus the mean of all) of gains by (k, residual)."""
    every = np.mean(list(gains.values()))
    choices: tuple[tuple[int, str, tuple[object, ...]], ...]
    choices = (1, "residual", ("none", "scaled")), (0, "k", (2, 10))
    return [
        (name, value, float(np.mean([v for key, v in gains.items() if key[at] == value]) - every))
        for at, name, values in choices
        for value in values
    ]


def test_settings_of_a_factorial_without_noise_by_hand():
    """A value is compared with all else equal; numbers come by their size."""
    rng = np.random.default_rng(3)
    gains = {(k, residual): rng.normal(0, 0.02) for k in (2, 10) for residual in ("none", "scaled")}
    more = {"none": "", "scaled": ",residual=scaled"}
    texts = {"p3=none": 0.0, "p3=b(k=1)": 0.01} | {f"p3=a(k={k}{more[r]})": v for (k, r), v in gains.items()}
    rows = [(t, 0.4 + v + 0.01 * s + rng.normal(0, 1e-4), s) for t, v in texts.items() for s in range(4)]
    found = setting_effects(effect_numbers(study_of(rows)).found)
    expected = settings_by_hand(gains)
    assert [(e.module, e.setting, e.value) for e in found] == [("a", name, value) for name, value, _ in expected]
    for effect, (_, _, gain) in zip(found, expected, strict=True):
        assert effect.effect.mean == pytest.approx(gain, abs=3e-4) and effect.sign == np.sign(gain)


def test_a_setting_without_a_fair_comparison_has_no_effect():
    """No two architectures differ in it alone, so its values cannot be told from those of the other setting."""
    rng = np.random.default_rng(0)
    texts = ("p3=none", "p3=a(k=1,r=2)", "p3=a(k=2,r=3)", "p3=b(k=1)")
    rows = [(t, 0.4 + rng.normal(0, 0.01), s) for t in texts for s in range(3)]
    assert setting_effects(effect_numbers(study_of(rows)).found) == []


def test_a_search_that_chases_noise_is_not_fooled(tmp_path, soak):
    """The sampler returns to lucky modules; the effects must not."""
    studies = max(6, round(60 * soak))
    wrong = 0
    for i in range(studies):
        view = run_plan(make_plan(SyntheticEvaluator(seed=i, effect_sd=0.0), trials=30, seed=i), tmp_path / str(i))
        numbers = effect_numbers(view)
        assert numbers.trials == 30
        wrong += bool(numbers.shown or numbers.found.signs.any())
    assert wrong <= few(studies)


def test_a_search_finds_what_was_planted(tmp_path):
    planted = {("p3", "lska"): 0.03, ("p4", "acmix"): -0.03}
    named = inside = wrong = 0
    for seed in range(5):
        evaluator = SyntheticEvaluator(
            seed=seed,
            effect_sd=0.0,
            noise_sd=0.005,
            seed_sd=0.02,
            planted=tuple((f"{s}={m}", v) for (s, m), v in planted.items()),
        )
        view = run_plan(make_plan(evaluator, trials=60, seed=seed), tmp_path / str(seed))
        numbers, truth = effect_numbers(view), Truth(planted)
        for (slot, module), gain in planted.items():
            cell = numbers.cell(slot, module)
            named += cell.sign == np.sign(gain) == cell.lead_sign
            inside += cell.effect.low < gain < cell.effect.high
        wrong += bool(wrong_claims(numbers, truth, view))
        assert numbers.found.noise.mean == pytest.approx(0.005, rel=0.35)  # the luck of seeds is not in it
    assert named >= 9 and inside >= 8 and wrong <= 1  # of 10, 10 and 5
