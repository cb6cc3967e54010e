"""Front, knee, picks and the noise behind the verdicts."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from fabricated_studies import BASE, CONV, FLAGGED, RUNNING, Fabricator, fabricate
from scipy import stats

from nas_attn.analysis.front import best, front, knee, pick
from nas_attn.analysis.noise import interval, noise, noise_words, verdict
from nas_attn.dashboard.report import report_html
from nas_attn.errors import UnknownName, UserError
from nas_attn.space import Architecture
from nas_attn.study.view import Candidate, StudyView


def view(study: Fabricator) -> StudyView:
    return StudyView.read(study.folder)


def candidate(mean: float, gmacs: float) -> Candidate:
    class Priced(Candidate):
        @property
        def cost(self):
            return {"gmacs": gmacs}

    return Priced(Architecture.parse(BASE), "search", (), mean, None, None, None, mean)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> StudyView:
    return view(fabricate(tmp_path_factory.mktemp("runs") / "bccd"))


def test_front_is_sorted_by_cost_and_rises(study):
    found = front(study)
    assert [c.gmacs for c in found] == sorted(c.gmacs for c in found)
    assert all(a.mean < b.mean for a, b in pairwise(found))
    assert len(found) > 3


def test_flagged_failed_and_running_candidates_are_never_on_the_front(tmp_path):
    study = Fabricator(tmp_path)
    study.complete(BASE, 0.3, role="base")
    study.complete(FLAGGED, 0.9, flags=["batch halved"])
    study.fail("p3=conv p4=none p5=none", "boom")
    study.start(RUNNING)
    states = {c.key: c.state for c in view(study).candidates()}
    assert states == {BASE: "usable", FLAGGED: "flagged", "p3=conv p4=none p5=none": "failed", RUNNING: "running"}
    assert [c.key for c in front(view(study))] == [BASE]


def test_a_flagged_trial_does_not_lift_its_candidate(tmp_path):
    study = Fabricator(tmp_path)
    for seed in (0, 1):
        study.complete(BASE, 0.1, seed=seed)
    study.complete(CONV, 0.2)
    study.complete(CONV, 0.9, seed=1, flags=["nan reload"])
    assert [c.score for c in front(view(study))] == [0.1, 0.2]


def test_without_the_base_of_its_seed_a_candidate_cannot_be_compared(tmp_path):
    study = Fabricator(tmp_path)
    study.complete(BASE, 0.1, seed=0)
    study.complete(CONV, 0.9, seed=5)
    assert [c.key for c in front(view(study))] == [BASE]


def test_knee_is_the_point_farthest_above_the_chord():
    points = [candidate(0.30, 1.0), candidate(0.38, 1.2), candidate(0.39, 1.5), candidate(0.40, 2.0)]
    assert knee(points) is points[1]


def test_knee_never_takes_a_point_below_the_chord():
    points = [candidate(0.30, 1.0), candidate(0.31, 1.8), candidate(0.40, 2.0)]
    assert knee(points) is points[0]


def test_of_equal_knees_the_cheaper_wins():
    points = [candidate(0.0, 0.0), candidate(0.5, 0.25), candidate(0.75, 0.5), candidate(1.0, 1.0)]
    assert knee(points) is points[1]


@pytest.mark.parametrize("n", [1, 2])
def test_knee_of_one_or_two_is_the_best(n):
    points = [candidate(0.3, 1.0), candidate(0.4, 2.0)][:n]
    assert knee(points) is points[-1]


def test_best_respects_the_limit(study):
    found = front(study)
    assert best(found) is found[-1]
    assert best(found, found[1].gmacs) is found[1]
    with pytest.raises(UserError, match="max-gmacs"):
        best(found, 0.1)


def test_picks(study):
    assert pick(study, "best").key == front(study)[-1].key
    assert pick(study, "knee") in front(study)
    assert pick(study, "trial:0").key == BASE
    assert pick(study, "trial:4").key == CONV


def test_bad_picks_say_what_to_do(study):
    refused = next(t.number for t in study.trials if t.state == "refused")
    with pytest.raises(UnknownName, match="Did you mean 'best'"):
        pick(study, "bets")
    with pytest.raises(UserError, match="by its number"):
        pick(study, "trial:two")
    with pytest.raises(UserError, match="trial:999"):
        pick(study, "trial:999")
    with pytest.raises(UserError, match="refused"):
        pick(study, f"trial:{refused}")
    with pytest.raises(UserError, match="max-gmacs"):
        pick(study, "trial:4", max_gmacs=1.0)


def test_an_empty_front_is_named(tmp_path):
    study = Fabricator(tmp_path)
    study.start(BASE, role="base")
    with pytest.raises(UserError, match="no trial is complete"):
        pick(view(study), "best")


def controls(tmp_path, base: list[float], conv: list[float]) -> Fabricator:
    study = Fabricator(tmp_path)
    for role, architecture, values in (("base", BASE, base), ("conv", CONV, conv)):
        for seed, value in enumerate(values):
            study.complete(architecture, value, seed=seed, role=role)
    return study


def test_noise_is_pooled_over_controls_and_paired_by_seed(tmp_path):
    estimate = noise(view(controls(tmp_path, [0.30, 0.31, 0.32], [0.31, 0.31, 0.34])))
    assert estimate.df_single == 4
    assert estimate.sd_single == pytest.approx(math.sqrt((0.01**2 + 0.0003) / 2))
    assert estimate.sd_paired == pytest.approx(0.01)  # differences 0.01, 0.00, 0.02
    # two degrees of freedom are too few to believe the pairs, so two independent runs stand in
    assert estimate.threshold() == pytest.approx(stats.t.ppf(0.975, 4) * math.sqrt(2) * estimate.sd_single)
    assert estimate.threshold(4) == pytest.approx(estimate.threshold() / 2)
    assert f"{estimate.threshold():.4f}" in estimate.sentence()


def test_enough_pairs_narrow_the_noise(tmp_path):
    base = [0.30 + 0.01 * k for k in range(10)]
    estimate = noise(view(controls(tmp_path, base, [b + 0.002 * (-1) ** k for k, b in enumerate(base)])))
    assert estimate.df_paired == 9
    assert estimate.threshold() == pytest.approx(stats.t.ppf(0.975, 9) * estimate.sd_paired)
    assert estimate.threshold() < stats.t.ppf(0.975, 18) * math.sqrt(2) * estimate.sd_single


def test_without_pairs_two_independent_runs_stand_in(tmp_path):
    estimate = noise(view(controls(tmp_path, [0.30, 0.32], [])))
    assert estimate.sd_paired is None
    assert estimate.threshold() == pytest.approx(stats.t.ppf(0.975, 1) * math.sqrt(2) * estimate.sd_single)


def test_controls_that_all_score_zero_are_called_so(tmp_path):
    study = Fabricator(tmp_path)
    study.complete(BASE, 0.0, role="base")
    assert "a control with at least two complete seeds" in noise_words(StudyView.read(tmp_path))
    for seed in (1, 2):
        study.complete(BASE, 0.0, seed=seed, role="base")
    view = StudyView.read(tmp_path)
    assert noise(view) is None
    assert "all trials of the controls score 0 mAP50-95" in noise_words(view) and "train longer" in noise_words(view)
    assert "all trials of the controls score 0 mAP50-95" in report_html(view)
    study.complete(CONV, 0.1, role="conv")
    study.complete(CONV, 0.1, seed=1, role="conv")
    assert "score the same with every seed" in noise_words(StudyView.read(tmp_path))
    study.complete(CONV, 0.2, seed=2, role="conv")
    assert noise_words(StudyView.read(tmp_path)).startswith("Seed noise can explain")


def test_one_seed_gives_no_noise_and_no_verdict(tmp_path):
    study = controls(tmp_path, [0.30], [0.31])
    study.complete("p3=lka(k_size=7) p4=none p5=none", 0.9)
    found = view(study)
    assert noise(found) is None
    assert verdict(found.candidates()[-1], None) == "not distinguishable"


def test_verdicts(tmp_path):
    study = controls(tmp_path, [0.300, 0.310, 0.320], [0.300, 0.311, 0.319])
    for k, value in ((7, 0.35), (11, 0.25), (23, 0.302)):
        study.complete(f"p3=lka(k_size={k}) p4=none p5=none", value)
    found = view(study)
    words = [verdict(c, noise(found)) for c in found.candidates()[-3:]]
    assert words == ["better than base", "worse than base", "not distinguishable"]


def test_more_seeds_resolve_a_smaller_difference(tmp_path):
    runs = [0.300 + 0.001 * k for k in range(10)]
    study = controls(tmp_path, runs, [r + 0.001 * (-1) ** k for k, r in enumerate(runs)])
    for seed, base in enumerate(runs):
        study.complete("p3=lka(k_size=7) p4=none p5=none", base + 0.003, seed=seed)
    study.complete("p3=lka(k_size=11) p4=none p5=none", 0.3005)
    found = view(study)
    assert [verdict(c, noise(found)) for c in found.candidates()[-2:]] == ["better than base", "not distinguishable"]


def test_interval_is_students(tmp_path):
    found = view(controls(tmp_path, [0.30, 0.31, 0.32], [0.3]))
    base, conv = found.candidates()
    assert interval(base) == pytest.approx(stats.t.interval(0.95, 2, loc=0.31, scale=0.01 / math.sqrt(3)))
    assert interval(conv) is None
