"""The front, its probabilities, and the picks best, knee and simplest."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from fabricated_studies import BASE, CONV, FLAGGED, RUNNING, Fabricator, fabricate

from nas_attn.analysis.difference import percent
from nas_attn.analysis.front import (
    RULES,
    SOME,
    Picked,
    Trained,
    front,
    judged,
    pick,
    sentence,
    simplest_of,
    trained,
)
from nas_attn.analysis.posterior import TIE, posterior
from nas_attn.errors import UnknownName, UserError
from nas_attn.statistics.pareto import best_of, front_of, knee_of
from nas_attn.study.view import StudyView

FAILING = "p3=conv p4=none p5=none"
ATTENTION = "p3=lka(k_size=7) p4=none p5=none"


def view(study: Fabricator) -> StudyView:
    return StudyView.read(study.folder)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> StudyView:
    return view(fabricate(tmp_path_factory.mktemp("runs") / "bccd"))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> StudyView:
    return view(fabricate(tmp_path_factory.mktemp("runs") / "bccd", 12))


def arrays(*points: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The values and costs of pairs (value, cost)."""
    values, gmacs = np.array(points).T
    return values, gmacs


def estimates(view: StudyView) -> dict[str, float]:
    found = trained(view)
    return {c.key: float(v) for c, v in zip(found.candidates, found.estimates, strict=True)}


def test_the_front_is_sorted_by_cost_and_rises(study):
    found, known = front(study), estimates(study)
    assert [c.gmacs for c in found] == sorted(c.gmacs for c in found)
    assert all(known[a.key] < known[b.key] for a, b in pairwise(found))
    assert len(found) > 3 and found[-1].key == max(known, key=known.get)


def test_failed_flagged_running_and_other_trials_are_never_on_the_front(tmp_path):
    study = Fabricator(tmp_path)
    study.complete(BASE, 0.3, role="base")
    study.complete(FLAGGED, 0.9, flags=["batch halved"])
    study.fail(FAILING, "boom")
    study.start(RUNNING)
    assert {c.key: c.state for c in view(study).candidates()} == {
        BASE: "usable", FLAGGED: "flagged", FAILING: "failed", RUNNING: "running"
    }  # fmt: skip
    assert [c.key for c in front(view(study))] == [BASE]
    study.complete(BASE, 0.3, seed=1, role="base")
    study.complete(ATTENTION, 0.9, epochs=30)
    assert [c.key for c in front(view(study))] == [c.key for c in trained(view(study)).candidates] == [BASE]
    study.complete(CONV, 0.32)
    found = view(study)
    assert posterior(found) is not None and {c.key for c in trained(found).candidates} == {BASE, CONV}


def test_a_flagged_trial_does_not_lift_its_candidate(tmp_path):
    study = Fabricator(tmp_path)
    for seed in (0, 1):
        study.complete(BASE, 0.1, seed=seed)
    study.complete(CONV, 0.2)
    before = estimates(view(study))
    study.complete(CONV, 0.9, seed=1, flags=["nan reload"])
    assert estimates(view(study)) == before and 0.1 < before[CONV] <= 0.2


def test_a_lucky_seed_does_not_lift_its_candidate(tmp_path):
    """Seed 5 is lucky by 0.1, as the trials of the base and of the convolution show."""
    study = Fabricator(tmp_path)
    for text, value in ((BASE, 0.3), (CONV, 0.33)):
        for seed in range(6):
            study.complete(text, value + 0.1 * (seed == 5) + 0.001 * (seed % 2), seed=seed)
    study.complete(ATTENTION, 0.41, seed=5)
    found = estimates(view(study))
    assert found[ATTENTION] < found[CONV] < 0.36


def test_without_a_posterior_the_front_is_that_of_means(tmp_path):
    study = Fabricator(tmp_path)
    for seed in (0, 1):
        study.complete(BASE, 0.25, seed=seed, role="base")
        study.complete(CONV, 0.25, seed=seed)
    found = view(study)
    assert posterior(found) is None and [c.key for c in front(found)] == [BASE]
    for rule in RULES:
        picked = pick(found, rule)
        assert (picked.candidate.key, picked.right, picked.difference) == (BASE, None, None)
    assert estimates(found) == {BASE: 0.25, CONV: 0.25}


def test_the_probability_of_the_front_is_the_share_of_draws(small):
    found = posterior(small)
    share = np.zeros(len(found.candidates))
    for draw in found.draws:
        share[front_of(draw, found.gmacs)] += 1 / len(found.draws)
    assert found.on_front == pytest.approx(share) and 1 < found.on_front.sum() < len(share)
    assert found.on_front[np.argmin(found.gmacs)] == 1  # nothing is cheaper
    winners = np.bincount(found.draws.argmax(1), minlength=len(share)) / len(found.draws)
    assert all(winners <= found.on_front + 1e-12)  # the best is on every front


def test_of_equally_cheap_candidates_only_the_best_is_on_the_front(tmp_path):
    study = Fabricator(tmp_path)
    lka = {k: f"p3=lka(k_size={k}) p4=none p5=none" for k in (7, 11, 23)}  # their fabricated costs are equal
    values = {BASE: 0.3, lka[7]: 0.33, lka[11]: 0.36, lka[23]: 0.33, "p3=none p4=lka(k_size=7) p5=none": 0.31}
    for i, (text, value) in enumerate(values.items()):
        for seed in range(3):
            study.complete(text, value + 0.004 * ((i * seed) % 3), seed=seed)
    found = posterior(view(study))
    assert len(set(found.gmacs[1:4])) == 1
    cheaper = found.draws[:, [0, 4]].max(1)
    assert found.on_front[1:4].sum() == pytest.approx((found.draws[:, 1:4].max(1) > cheaper).mean())
    assert found.on_front[2] > 0.5 > max(found.on_front[1], found.on_front[3])


def test_the_knee_is_the_point_farthest_above_the_chord():
    assert knee_of(*arrays((0.30, 1.0), (0.38, 1.2), (0.39, 1.5), (0.40, 2.0))) == 1
    # the same with points below the front, in another order
    assert knee_of(*arrays((0.39, 1.5), (0.31, 1.9), (0.38, 1.2), (0.40, 2.0), (0.2, 1.1), (0.30, 1.0))) == 2


def test_the_knee_is_never_a_point_below_the_chord():
    assert knee_of(*arrays((0.30, 1.0), (0.31, 1.8), (0.40, 2.0))) == 0


def test_of_equal_knees_the_cheaper_wins():
    assert knee_of(*arrays((0.0, 0.0), (0.5, 0.25), (0.75, 0.5), (1.0, 1.0))) == 1


@pytest.mark.parametrize("n", [1, 2])
def test_the_knee_of_one_or_two_is_the_best(n):
    assert knee_of(*arrays(*[(0.3, 1.0), (0.4, 2.0)][:n])) == n - 1


def test_of_equally_good_ones_the_best_is_the_cheapest():
    assert best_of(*arrays((0.4, 2.0), (0.4, 1.5), (0.3, 1.0), (0.4, 1.8))) == 1


def drawn(means: list[float], gmacs: list[float], errors: list[float]) -> Trained:
    """Candidates whose difference to the last one has these standard errors."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2000, len(means)))
    noise = (noise - noise.mean(0)) / noise.std(0)
    draws = np.array(means) + noise * np.array(errors)
    return Trained((None,) * len(means), np.array(means), np.array(gmacs), draws)  # type: ignore[arg-type]


def test_the_simplest_is_the_cheapest_within_one_standard_error():
    means, gmacs = [0.30, 0.38, 0.395, 0.40], [1.0, 1.2, 1.5, 2.0]
    for errors, wanted in (([0.01] * 3, 2), ([0.01, 0.021, 0.01], 1), ([0.11, 0.01, 0.01], 0), ([0.001] * 3, 3)):
        at, error = simplest_of(drawn(means, gmacs, [*errors, 0.0]))
        assert at == wanted and error == pytest.approx([*errors, 0.0][wanted])
    # of equally cheap ones, the better
    assert simplest_of(drawn([0.390, 0.395, 0.4], [1.0, 1.0, 2.0], [0.02, 0.02, 0.0]))[0] == 1
    plain = drawn(means, gmacs, [0.5] * 4)
    assert simplest_of(Trained(plain.candidates, plain.estimates, plain.gmacs, None)) == (3, 0.0)


def test_the_simplest_is_never_dearer_than_the_best():
    rng = np.random.default_rng(1)
    for _ in range(200):
        n = rng.integers(1, 8)
        found = drawn(rng.integers(0, 4, n) / 10, rng.integers(1, 4, n) * 1.0, rng.uniform(0, 0.3, n))
        at, best = simplest_of(found)[0], best_of(found.estimates, found.gmacs)
        assert found.gmacs[at] <= found.gmacs[best] and found.estimates[at] <= found.estimates[best]


def test_picks_are_trained_and_say_how_sure_they_are(study):
    found = posterior(study)
    picks = {rule: pick(study, rule) for rule in RULES}
    at = {rule: found.index(p.candidate) for rule, p in picks.items()}
    assert None not in at.values()
    assert {c.rule: c.difference for c in picks.values()} == {r: found.differences[i] for r, i in at.items()}
    best, rest = found.draws[:, at["best"]], found.draws.max(1)
    assert picks["best"].right == pytest.approx((best >= rest).mean()) and 0 < picks["best"].right < 1
    assert picks["best"].candidate == front(study)[-1] and picks["knee"].candidate in front(study)
    knees = [knee_of(draw, found.gmacs) for draw in found.draws[:SOME]]
    assert picks["knee"].right == pytest.approx(np.mean(np.array(knees) == at["knee"]))
    simplest = found.draws[:, at["simplest"]]
    error = (simplest - best).std()
    assert picks["simplest"].right == pytest.approx((rest - simplest <= error).mean())
    assert picks["simplest"].candidate.gmacs <= picks["best"].candidate.gmacs
    assert found.means[at["simplest"]] >= found.means[at["best"]] - error


def test_a_limit_leaves_out_what_costs_more(study):
    known, found = front(study), posterior(study)
    limit = known[1].gmacs
    picked = pick(study, "best", limit)
    assert picked.candidate == known[1]
    left = [i for i, c in enumerate(found.candidates) if c.gmacs <= limit]
    winners = found.draws[:, left].argmax(1)
    assert picked.right == pytest.approx(np.mean(winners == left.index(found.index(known[1]))))
    for rule in RULES:
        assert pick(study, rule, limit).candidate.gmacs <= limit
        with pytest.raises(UserError, match="max-gmacs") as error:
            pick(study, rule, 0.1)
        cheapest = min(study.candidates(), key=lambda c: c.gmacs)
        assert cheapest.key in str(error.value) and f"{cheapest.gmacs:.3f}" in str(error.value)


def test_picks_with_attention(tmp_path):
    study = Fabricator(tmp_path)
    for text, value in ((BASE, 0.3), (CONV, 0.4), (FAILING, 0.37)):
        for seed in (0, 1):
            study.complete(text, value + seed / 1000, seed=seed)
    with pytest.raises(UserError, match="attention must be trained"):
        pick(view(study), "best", attention=True)
    study.complete(ATTENTION, 0.31)
    study.complete("p3=lska(k_size=23) p4=conv p5=none", 0.36)
    found = view(study)
    assert pick(found, "best").candidate.key == CONV
    for rule in RULES:
        assert {"lka", "lska"} & {g.module for _, g in pick(found, rule, attention=True).candidate.architecture}
    assert not {BASE, CONV, FAILING} & {c.key for c in front(found, attention=True)}
    assert pick(found, "trial:0", attention=True).candidate.key == BASE


def test_a_trial_is_picked_by_its_number(study):
    base, conv = pick(study, "trial:0"), pick(study, "trial:4")
    assert base.candidate.key == BASE and conv.candidate.key == CONV and base.right is conv.right is None
    assert conv.difference == posterior(study).differences[posterior(study).index(conv.candidate)]
    flagged = next(t.number for t in study.trials if str(t.architecture) == FLAGGED)
    assert pick(study, f"trial:{flagged}").difference is None


def test_a_pick_with_few_seeds_warns(study):
    seeds = {c: len(c.seeds) for c in study.candidates() if c.role == "search"}
    one, many = (next(c for c, n in seeds.items() if n == wanted) for wanted in (1, 3))
    alone, often = Picked("best", one, seeds=one.seeds), Picked("best", many, seeds=many.seeds)
    assert "one usable seed" in alone.warning and "train it again" in alone.warning
    flagged = next(c for c in study.candidates() if c.key == FLAGGED)
    assert "no usable seed" in Picked("trial:9", flagged).warning and often.warning == ""
    assert "one usable seed" in sentence(alone) and "seed" not in sentence(often)


def test_a_pick_in_words(study):
    picked = pick(study, "best")
    words, d = repr(picked), picked.difference
    assert words.startswith(f"best: {picked.candidate.key} (")
    assert f"to the base {d.words()}, {picked.verdict}; " in words
    assert f"{d.mean:+.4f} mAP50-95 (95 % interval {d.low:+.4f} to {d.high:+.4f})" == d.words()
    assert f"right with a probability of {percent(picked.right)}" in words
    assert "the unchanged base" in repr(pick(study, "trial:0")) and "to the base" not in repr(pick(study, "trial:0"))
    for right, said in ((1.0, ">99 %"), (0.0, "<1 %")):  # a share of draws is never certain
        assert f"probability of {said}" in sentence(Picked("best", picked.candidate, right))


def test_bad_picks_say_what_to_do(study):
    refused = next(t.number for t in study.trials if t.state == "refused")
    with pytest.raises(UnknownName, match="Did you mean 'best'"):
        pick(study, "bets")
    with pytest.raises(UnknownName, match="simplest"):
        pick(study, "median")
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
    assert front(view(study)) == [] and trained(view(study)).candidates == ()
    for rule in RULES:
        with pytest.raises(UserError, match="no trial is complete"):
            pick(view(study), rule)


def test_a_judgement_is_plain_data(study):
    found = posterior(study)
    for candidate in study.candidates():
        told, at = judged(study, candidate), found.index(candidate)
        assert json.loads(json.dumps(told)) == told
        if at is None:
            assert told["delta"] is told["p_front"] is None
            assert told["verdict"] == (TIE if candidate.state == "usable" else None)
            assert told["map50_95"] == candidate.mean
        else:
            own = (told["map50_95"], told["p_front"])
            assert own == (pytest.approx(found.means[at]), pytest.approx(found.on_front[at]))
            told = {k: told[k] for k in ("delta", "delta_low", "delta_high", "p_better")}
            base, d = candidate.architecture.is_base, found.differences[at]
            assert list(told.values()) == ([None] * 4 if base else [d.mean, d.low, d.high, d.above])
    assert judged(study, study.candidates()[0])["verdict"] == "the base itself"
