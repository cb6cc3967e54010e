"""The posterior of a study against planted truth, and the trials that it may use."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fabricated_studies import BASE, CONV, FLAGGED, Fabricator
from simulated_studies import Kind, plan_of, simulated
from untrained_searches import run_plan, with_costs

from nas_attn.analysis import posterior as module
from nas_attn.analysis.effects.estimate import effect_numbers
from nas_attn.analysis.front import front, judged
from nas_attn.analysis.noise import noise_words
from nas_attn.analysis.posterior import (
    ALL_EQUAL,
    BETTER,
    TIE,
    TOO_FEW,
    WORSE,
    StudyPosterior,
    comparable,
    obstacle,
    posterior,
    verdict,
)
from nas_attn.errors import UserError
from nas_attn.space import Architecture
from nas_attn.study.view import Candidate, StudyView

GENES = ("none", "conv", "lska(k_size=23)", "acmix(head=4)")
GAINS = {"none": 0.0, "conv": 0.004, "lska(k_size=23)": 0.03, "acmix(head=4)": -0.025}
UNTRAINED = ("lska(k_size=23)", "acmix(head=4)")  # genes at p3 and p4 that were never trained together
LUCK = (0.01, -0.015, 0.005)


def gain(genes: Iterable[str]) -> float:
    return sum(GAINS[g] for g in genes)


def named(p3: str, p4: str) -> str:
    return f"p3={p3} p4={p4} p5=none"


def planted(folder: Path, *, base: bool = True) -> Fabricator:
    """A study whose effects add up: all pairs of genes but one, with seeds of different luck; a run varies by 0.008."""
    study, rng = Fabricator(folder), np.random.default_rng(5)
    for i, genes in enumerate(itertools.product(GENES, GENES)):
        if genes == UNTRAINED:
            continue
        for seed in range(3) if i % 3 == 0 else (i % 3, (i + 1) % 3):
            value = 0.3 + gain(genes) + LUCK[seed] + 0.008 * rng.normal()
            if i or base:
                study.complete(named(*genes), value, seed=seed, role="base" if not i else "search")
            else:
                study.fail(named(*genes), "CUDA out of memory")
    return study


def found_in(study: Fabricator) -> StudyPosterior:
    found = posterior(StudyView.read(study.folder))
    assert found is not None
    return found


def same(one: StudyPosterior, other: StudyPosterior) -> bool:
    return (
        [c.key for c in one.candidates] == [c.key for c in other.candidates]
        and np.array_equal(one.means, other.means)
        and np.array_equal(one.draws, other.draws)
        and (one.nothing, one.noise, one.luck) == (other.nothing, other.noise, other.luck)
    )


def true_gain(candidate: Candidate) -> float:
    return gain(str(gene) for _, gene in candidate.architecture)


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> StudyPosterior:
    return found_in(planted(tmp_path_factory.mktemp("runs") / "planted"))


def test_what_was_not_trained_is_predicted(known):
    found = known.difference(Architecture.parse(named(*UNTRAINED)))
    assert found.low <= gain(UNTRAINED) <= found.high
    assert found.mean == pytest.approx(gain(UNTRAINED), abs=0.01) and found.low < 0 < found.high
    alike = known.difference(Architecture.parse(named(*UNTRAINED[::-1])))
    assert found.high - found.low > alike.high - alike.low > 0  # the other way round, it was trained


def test_what_was_trained_is_known_whatever_its_seed(known):
    missed = 0
    for candidate, found in zip(known.candidates, known.differences, strict=True):
        true = true_gain(candidate)
        assert found.mean == pytest.approx(true, abs=0.015), candidate.key
        missed += not found.low <= true <= found.high
    assert missed <= 1
    assert known.noise.mean == pytest.approx(0.008, rel=0.4) and known.luck.mean == pytest.approx(np.std(LUCK), rel=0.6)
    assert known.nothing < 1e-3


def test_signs_are_those_of_clear_effects(known):
    true = np.array([true_gain(c) for c in known.candidates])
    clear = abs(true) >= 0.025
    assert list(known.signs[clear]) == list(np.sign(true[clear])) and all(known.signs * true >= 0)
    assert known.signs[[c.architecture.is_base for c in known.candidates]] == [0]
    words = {verdict(c, known) for c in known.candidates}
    assert words == {BETTER, WORSE, TIE}
    for sign, found in zip(known.signs, known.differences, strict=True):
        assert not sign or max(found.above, 1 - found.above) > 0.974  # each alone is sure, too


def test_asked_alone_or_with_all_others_a_difference_is_the_same(known):
    for candidate, found in zip(known.candidates, known.differences, strict=True):
        alone = known.difference(candidate.architecture)
        assert alone == found  # every table has the same figures
    base = known.difference(Architecture.parse(BASE))
    assert (base.mean, base.low, base.high) == pytest.approx((0, 0, 0), abs=1e-9)


def test_only_the_space_of_the_study_is_judged(known):
    modules, slots = "At p3 it has acmix, conv, lska, none", "Its slots are p3, p4"
    for text, part, offered in (
        ("p3=acmix(head=8) p4=none", "p3=acmix(head=8)", "At p3 it has acmix(head=4);"),
        ("p3=se p4=none", "p3=se", modules),
        ("p2=conv", "p2=conv", slots),
        ("p3=none p4=none p5=conv", "p5=conv", slots),
    ):
        with pytest.raises(UserError, match="must be in the search space of the study") as error:
            known.difference(Architecture.parse(text))
        assert part in str(error.value) and offered in str(error.value)
    short, long = "p3=conv", "p2=none p3=conv p4=none p5=none"
    assert known.difference(Architecture.parse(short)) == known.difference(Architecture.parse(long))


def test_intervals_hold_the_truth_and_are_wider_where_nothing_was_trained(soak):
    """The truth of these studies has effects of settings, and a part of its own for each architecture."""
    inside, widths, right = {True: [], False: []}, {True: [], False: []}, []
    kind = Kind(between=0.015, noise=0.006, trials=45)
    for seed in range(max(3, round(30 * soak))):
        view, truth = simulated(kind, seed, sampler="random")
        found = posterior(view)
        base = truth.truth(Architecture.parse(BASE))
        asked = {c.architecture: True for c in found.candidates if not c.architecture.is_base}
        points = found.coded.space.random(np.random.default_rng(seed), 30)
        asked = dict.fromkeys((found.coded.architecture(tuple(p)) for p in points), False) | asked
        for architecture, trained in asked.items():
            told, true = found.difference(architecture), truth.truth(architecture) - base
            inside[trained].append(told.low <= true <= told.high)
            widths[trained].append(told.high - told.low)
            right.append((told.mean, true))
    assert np.mean(inside[True]) >= 0.9 and np.mean(inside[False]) >= 0.8
    assert np.mean(widths[True]) < np.mean(widths[False]) < 4 * 2 * kind.between
    assert np.corrcoef(np.transpose(right))[0, 1] > 0.7


@pytest.mark.parametrize("changed", [{"epochs": 30}, {"imgsz": 320}, {"task": "segment"}], ids=lambda c: next(iter(c)))
def test_fidelities_are_never_mixed(tmp_path, known, changed):
    study = planted(tmp_path)
    only = named(*UNTRAINED)
    for text in (BASE, named("conv", "none"), only):
        study.complete(text, 0.6, seed=4, **changed)
    view, found = StudyView.read(tmp_path), found_in(study)
    assert [c.key for c in found.candidates] == [c.key for c in known.candidates]
    assert found.means == pytest.approx(known.means, abs=1e-5) and len(found.draws) == len(known.draws)
    for one, other in zip(found.differences, known.differences, strict=True):
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=2e-3)
    assert len(comparable(view)) == sum(t.usable for t in view.trials) - 3
    other = next(c for c in view.candidates() if c.key == str(Architecture.parse(only)))
    assert found.index(other) is None and verdict(other, found) == TIE
    assert found.difference(other.architecture).mean < 0.05  # still predicted, from the trials of the other fidelity


def test_the_more_frequent_fidelity_counts(tmp_path):
    study = Fabricator(tmp_path)
    for text, value in ((BASE, 0.1), (CONV, 0.2)):
        study.complete(text, value)
    for text, value in ((BASE, 0.5), (CONV, 0.6), (named("conv", "none"), 0.55)):
        study.complete(text, value, epochs=30)
    found = found_in(study)
    assert len(found.candidates) == 3 and all(found.means > 0.45)


def test_trials_without_a_comparable_score_are_left_out(tmp_path, known):
    study = planted(tmp_path)
    for flagged in (BASE, named("conv", "none")):
        study.complete(flagged, 0.9, seed=1, flags=["batch halved"])
    study.fail(named("conv", "none"), "CUDA out of memory")
    study.refuse(named("acmix(head=4)", "none"), "too large")
    study.start(named("conv", "conv"))
    number = study.complete(named("conv", "none"), 0.3, seed=2)
    view = StudyView.read(tmp_path)
    nan = replace(view.trial(number), evaluation=replace(view.trial(number).evaluation, map50_95=math.nan))
    view = replace(view, trials=tuple(nan if t.number == number else t for t in view.trials))
    assert number not in {t.number for t in comparable(view)}
    found = posterior(view)
    assert found is not None and np.isfinite(found.draws).all() and same(found, known)


def test_obstacles(tmp_path):
    study = Fabricator(tmp_path)

    def why() -> str | None:
        view = StudyView.read(tmp_path)
        assert (posterior(view) is None) == (obstacle(view) is not None)
        return obstacle(view)

    assert why() == TOO_FEW
    for seed in range(3):
        study.complete(BASE, 0.3 + seed / 100, seed=seed, role="base")
    study.complete(FLAGGED, 0.4, flags=["batch halved"])
    study.fail(named("conv", "none"), "CUDA out of memory")
    study.start(named("none", "conv"))
    study.complete(named("none", "acmix(head=4)"), 0.4, epochs=30)
    assert why() == TOO_FEW
    study.complete(CONV, 0.31, role="conv")
    assert why() is None


@pytest.mark.parametrize("score", [0.0, 0.25])
def test_equal_scores_say_nothing(tmp_path, score):
    study = Fabricator(tmp_path)
    for text in (BASE, CONV, named("conv", "none")):
        study.complete(text, score)
        study.complete(text, score, seed=1)
    view = StudyView.read(tmp_path)
    assert obstacle(view) == ALL_EQUAL and posterior(view) is None
    assert verdict(view.candidates()[1], None) == TIE
    study.complete(CONV, score + 1e-4, seed=2)
    assert np.isfinite(found_in(study).draws).all()


def test_a_collapsed_run_changes_no_other_estimate(tmp_path):
    without, whole, broken = (planted(tmp_path / name) for name in ("without", "whole", "broken"))
    victim = named("conv", "none")
    whole.complete(victim, 0.304 + LUCK[0])
    number = broken.complete(victim, 0.104 + LUCK[0])
    less, good, bad = map(found_in, (without, whole, broken))
    assert good.collapsed == () and [t.number for t in bad.collapsed] == [number]
    assert abs(bad.means - good.means).max() < 0.1 * np.std(good.means)
    assert abs(bad.means - less.means).max() < 0.0005
    assert bad.noise.mean == pytest.approx(less.noise.mean, rel=0.02) and bad.noise.mean < 0.01
    assert (bad.signs == less.signs).all() and (bad.signs * good.signs >= 0).all()
    assert all(abs(b.above - n.above) < 0.02 for b, n in zip(bad.differences, less.differences, strict=True))


def test_an_architecture_without_a_run_that_counts_is_no_candidate(tmp_path):
    """Its only run collapsed, so nothing was measured, however good its parts are elsewhere."""
    study = planted(tmp_path)
    best = " ".join(f"p{i + 3}={g}" for i, g in enumerate((UNTRAINED[0], UNTRAINED[0], "none")))
    text = named(*UNTRAINED)
    number = study.complete(text, 0.01 + LUCK[0])
    view = StudyView.read(study.folder)
    found = posterior(view)
    assert [t.number for t in found.collapsed] == [number] and found.left_out().startswith(
        f"Left out: the run of trial {number}, far below all that the others predict"
    )
    candidate = next(c for c in view.candidates() if c.key == text)
    assert found.index(candidate) is None and verdict(candidate, found) == TIE and found.seeds(candidate) == ()
    assert best in {c.key for c in found.candidates} and text not in {c.key for c in front(view)}
    assert judged(view, candidate)["delta"] is None and found.left_out() in noise_words(view)
    cells = effect_numbers(view)
    assert cells.cell("p4", "acmix").trials == sum("p4=acmix" in str(t.architecture) for t in found.runs)
    study.complete(text, 0.012 + LUCK[1], seed=1)  # now it is its truth
    again = found_in(study)
    assert not again.collapsed and again.differences[again.index(candidate)].high < -0.1


def test_trials_of_another_fidelity_are_counted(tmp_path):
    study = planted(tmp_path)
    for seed in range(2):
        study.complete(named("conv", "none"), 0.5, seed=seed, epochs=50)
    assert found_in(study).left_out() == "Left out: 2 trials with another number of epochs or image size."


def test_equal_views_give_equal_numbers(tmp_path, known):
    again = planted(tmp_path / "elsewhere")
    assert same(found_in(again), known)
    view = StudyView.read(again.folder)
    assert posterior(view) is posterior(StudyView.read(again.folder))  # kept in memory
    before = posterior(view)
    module._made.cache_clear()
    after = posterior(view)
    assert after is not before and same(after, before) and np.array_equal(after.on_front, before.on_front)
    asked = Architecture.parse(named(*UNTRAINED))
    assert after.difference(asked) == before.difference(asked)


def test_a_new_result_gives_a_new_posterior(tmp_path):
    study = planted(tmp_path)
    before = found_in(study)
    text = named(*UNTRAINED)
    study.complete(text, 0.3 + gain(UNTRAINED) + LUCK[0] + 0.001)
    after = found_in(study)
    own = after.differences[[c.key for c in after.candidates].index(str(Architecture.parse(text)))]
    told = before.difference(Architecture.parse(text))
    assert len(after.candidates) == len(before.candidates) + 1
    assert own.high - own.low < told.high - told.low


@pytest.mark.parametrize("costs", [False, True])
def test_the_costs_of_genes_may_be_missing_in_the_header(tmp_path, costs):
    """Release 0.1.0 did not record them: there, only genes that were trained can be judged."""
    plan = plan_of(Kind(trials=14), 2, sampler="random")
    view = run_plan(with_costs(plan) if costs else plan, tmp_path / "s")
    found = posterior(view)
    assert found.gmacs == pytest.approx([c.gmacs for c in view.candidates()])
    assert found.coded.gmacs(found.points) == pytest.approx(found.gmacs, abs=1e-9)
    trained = {gene for c in view.candidates() for slot, gene in c.architecture if slot == "p3"}
    new = next(g for g in plan.space["p3"].genes if g not in trained)
    asked = Architecture.of({"p3": new})
    if costs:
        assert np.isfinite(found.difference(asked).mean)
    else:
        with pytest.raises(UserError, match="must be in the search space"):
            found.difference(asked)


def test_a_base_that_never_trained_is_still_compared_with(tmp_path, known):
    found = found_in(planted(tmp_path, base=False))
    assert not any(c.architecture.is_base for c in found.candidates)
    assert len(found.candidates) == len(known.candidates) - 1
    for candidate, told in zip(found.candidates, found.differences, strict=True):
        assert told.low <= true_gain(candidate) <= told.high, candidate.key
    wide = np.mean([d.high - d.low for d in found.differences])
    narrow = np.mean([d.high - d.low for c, d in zip(known.candidates, known.differences, strict=True)])
    assert wide > narrow
    assert {verdict(c, found) for c in found.candidates} >= {BETTER, WORSE}


def test_fewer_seeds_show_a_larger_difference(known):
    candidate = next(c for c in known.candidates if not c.architecture.is_base)
    asked = [known.pairs_to_show(candidate, d) for d in (0.0005, 0.001, 0.002, 0.05)]
    assert asked == sorted(asked, reverse=True) and asked[0] > 10 * asked[2] > 0 and asked[-1] == 0
    alone = 2 * (2.8 * known.noise.mean / 0.001) ** 2  # pairs that a study without any trial would need
    assert alone > asked[1] > 0
    base = next(c for c in known.candidates if c.architecture.is_base)
    assert known.pairs_to_show(base, 0.001) == 0  # its difference to itself is known
