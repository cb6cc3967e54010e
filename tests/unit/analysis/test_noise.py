"""The noise of a study: how much runs and seeds vary, in figures and in words."""

from __future__ import annotations

import json
from html import escape

import numpy as np
import pytest
from fabricated_studies import BASE, CONV, Fabricator, fabricate
from known_effects import random_rows, study_of

from nas_attn.analysis.difference import Difference, percent
from nas_attn.analysis.noise import noise, noise_figures, noise_words
from nas_attn.analysis.posterior import posterior
from nas_attn.dashboard.report import report_html
from nas_attn.evaluate.score import MAP
from nas_attn.study.view import StudyView

OTHER = "p3=conv p4=none p5=none"


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> StudyView:
    return StudyView.read(fabricate(tmp_path_factory.mktemp("runs") / "bccd", 12).folder)


@pytest.mark.parametrize("size", [0.005, 0.02])
def test_the_planted_noise_is_found(size):
    """Two modules make a difference, and the levels of three seeds vary by 0.01."""
    found = []
    for seed in range(12):
        effect = {("p3", "lska"): 0.03, ("p4", "se"): -0.02}
        rows = random_rows(np.random.default_rng(seed), 60, slots=("p3", "p4", "p5"), effect=effect, noise=size)
        found.append(noise(study_of(rows)))
    assert np.median([n.run.mean for n in found]) == pytest.approx(size, rel=0.1)
    assert sum(n.run.low <= size <= n.run.high for n in found) >= 6
    assert all(0 < n.run.low < n.run.mean < n.run.high < 2 * size for n in found)
    assert all(0 < n.luck.low < n.luck.mean < n.luck.high for n in found)


def test_the_luck_of_seeds_is_told_apart_from_the_noise_of_runs():
    """Seeds vary by 0.03, runs of one seed hardly."""
    levels = 0.3 + 0.03 * np.random.default_rng(1).standard_normal(8)
    texts = [f"p3={a} p4={b}" for a in ("none", "conv", "se") for b in ("none", "conv", "se")]
    wiggle = np.random.default_rng(2).standard_normal((9, 8))
    rows = [(t, levels[s] + 0.004 * wiggle[i, s], s) for i, t in enumerate(texts) for s in range(8)]
    told = noise(study_of(rows))
    assert told.run.mean == pytest.approx(0.004, rel=0.3) and told.luck.mean == pytest.approx(np.std(levels), rel=0.4)
    assert told.luck.low > 2 * told.run.high


def test_the_noise_is_that_of_the_posterior(study):
    told, found = noise(study), posterior(study)
    assert (told.run, told.luck, told.nothing, told.spread) == (found.noise, found.luck, found.nothing, found.spread)
    usable = [t for t in study.trials if t.usable]
    assert told.repeated == len(usable) - len({t.architecture for t in usable}) > 0
    assert told.spread.mean == pytest.approx(np.std(found.means), rel=0.5) and not told.larger


def test_the_noise_in_words(study):
    told, words = noise(study), noise_words(study)
    assert words == told.sentence() == str(told)
    for value in (told.run.mean, told.run.low, told.run.high, told.luck.mean, told.luck.high, told.spread.low):
        assert f"{value:.4f}" in words
    assert (
        f"Probability that no module makes any difference: {percent(told.nothing)} (before the first trial 5 %)."
        in words
    )
    assert "less than one run varies" not in words and "trained twice" not in words
    assert escape(words) in report_html(study)


def test_noise_that_hides_all_differences_is_said_so():
    nothing, planted = [], {("p3", "lska"): 0.06, ("p4", "se"): -0.05}
    for seed in range(8):
        for effect in ({}, planted):
            rows = random_rows(np.random.default_rng(seed), 40, effect=effect, noise=0.02)
            told = noise(study_of(rows))
            assert told.larger == (told.run.mean > told.spread.mean) == (not effect)
            assert (", less than one run varies." in told.sentence()) == (not effect)
            assert not effect or told.nothing < 0.02
            nothing += [] if effect else [told.nothing]
    assert np.median(nothing) > 0.03 and max(nothing) > 0.1


def test_without_a_repeated_architecture_the_noise_is_said_to_be_a_guess():
    rows = random_rows(np.random.default_rng(0), 40, slots=("p3", "p4", "p5"))
    once = list({text: (text, value, seed) for text, value, seed in rows}.values())
    assert noise(study_of(once)).repeated == 0 and len(once) > 10
    assert "No architecture was trained twice" in noise_words(study_of(once))
    assert "No architecture was trained twice" not in noise_words(study_of(rows))


def test_before_there_is_noise_the_reason_is_said(tmp_path):
    study = Fabricator(tmp_path)
    for seed in (0, 1):
        study.complete(BASE, 0.3 + seed / 100, seed=seed, role="base")
    view = StudyView.read(tmp_path)
    assert noise(view) is None and "fewer than two architectures have a usable trial" in noise_words(view)
    assert set(noise_figures(view).values()) == {None}
    study.complete(CONV, 0.3, role="conv")
    assert noise_words(StudyView.read(tmp_path)).startswith(
        "Standard deviations in mAP50-95, with 95 % intervals: noise of one run 0."
    )


def test_runs_that_all_score_zero_are_too_short(tmp_path):
    study = Fabricator(tmp_path)
    for seed in (0, 1, 2):
        study.complete(BASE, 0.0, seed=seed, role="base")
        study.complete(CONV, 0.0, seed=seed, role="conv")
    view = StudyView.read(tmp_path)
    assert noise(view) is None
    assert "all usable trials score the same" in noise_words(view) and "train longer" in noise_words(view)
    assert "train longer" in report_html(view)


def test_runs_that_score_the_same_but_not_zero_need_not_be_longer(tmp_path):
    study = Fabricator(tmp_path)
    for text in (BASE, CONV, OTHER):
        study.complete(text, 0.2)
    words = noise_words(StudyView.read(tmp_path))
    assert "all usable trials score the same" in words and "train longer" not in words


def test_figures_are_plain_data(study):
    found, told = noise_figures(study), noise(study)
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "run_sd": told.run.mean, "run_sd_low": told.run.low, "run_sd_high": told.run.high,
        "seed_sd": told.luck.mean, "seed_sd_low": told.luck.low, "seed_sd_high": told.luck.high,
        "architectures_sd": told.spread.mean, "architectures_sd_low": told.spread.low,
        "architectures_sd_high": told.spread.high, "p_nothing": told.nothing,
    }  # fmt: skip
    assert all(value >= 0 for value in found.values())


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0, "<1 %"), (0.004, "<1 %"), (0.006, "1 %"), (0.5, "50 %"), (0.994, "99 %"), (0.996, ">99 %"), (1.0, ">99 %")],
)
def test_a_probability_is_never_certain(probability, text):
    assert percent(probability) == text


def test_a_difference_sums_up_its_draws():
    found = Difference.of(np.linspace(-1, 3, 4001), MAP)
    assert (found.mean, found.low, found.high) == pytest.approx((1, -0.9, 2.9)) and found.above == pytest.approx(
        0.75, abs=1e-3
    )
