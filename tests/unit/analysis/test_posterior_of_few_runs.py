"""The posterior of studies that tell little: one seed, few runs, no difference at all."""

from __future__ import annotations

import numpy as np
from known_effects import random_rows, study_of
from scipy import stats

from nas_attn.analysis.noise import noise_figures, noise_words
from nas_attn.analysis.posterior import posterior


def test_with_one_seed_its_luck_is_not_known():
    rows = [(text, value, 0) for text, value, _ in random_rows(np.random.default_rng(0), 40)]
    found = posterior(study_of(rows))
    assert found.luck is None and "luck" not in noise_words(study_of(rows))
    assert noise_figures(study_of(rows))["seed_sd"] is None


def test_few_runs_do_not_tell_much():
    """The prior is in units of the spread of the runs, which few runs tell badly."""
    rows = [("p3=none", 0.3 + v, s) for s, v in enumerate((0.0, 0.002, 0.004))] + [("p3=conv", 0.35, 0)]
    few = posterior(study_of(rows)).differences[1]
    more = posterior(study_of([(t, v, s + 3 * k) for k in range(8) for t, v, s in rows])).differences[1]
    assert few.high - few.low > 2 * (more.high - more.low)


def test_noise_is_rarely_called_a_difference(soak):
    """All claims of a study together are wrong in at most one study of twenty."""
    studies, claiming = max(20, round(200 * soak)), 0
    for seed in range(studies):
        view = study_of(random_rows(np.random.default_rng(seed), 40, slots=("p3", "p4", "p5")))
        claiming += bool(posterior(view).signs.any())
    assert claiming <= stats.binom.ppf(0.999, studies, 0.05)
