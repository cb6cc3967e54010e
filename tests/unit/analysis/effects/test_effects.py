"""Effects of modules at slots, compared with means by hand, and the sentences and the table on them."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fabricated_studies import FAILED, Fabricator, fabricate
from known_effects import Truth, random_rows, study_of, text_of

from nas_attn.analysis.difference import Difference
from nas_attn.analysis.effects import estimate
from nas_attn.analysis.effects.conclusion import CANNOT, WORTH, change, effects_sentence, span, trials_needed
from nas_attn.analysis.effects.estimate import LEADS, effect_numbers, some
from nas_attn.analysis.effects.module_table import module_table
from nas_attn.analysis.posterior import ALL_EQUAL, TOO_FEW, StudyPosterior
from nas_attn.evaluate import Evaluation
from nas_attn.study.view import StudyView

GENES = ("none", "lska", "se")
LUCK = (0.0, 0.01, 0.02, -0.01)  # of the seeds


def factorial(seed: int, noise: float = 1e-4):
    """A study with every pair of `GENES` at p3 and p4 and four seeds, and the true values as (p3, p4)."""
    rng = np.random.default_rng(seed)
    values = 0.4 + rng.normal(0, 0.02, (3, 3))
    rows = [
        (text_of({"p3": GENES[i], "p4": GENES[j]}), values[i, j] + luck + rng.normal(0, noise), s)
        for i, j, (s, luck) in itertools.product(range(3), range(3), enumerate(LUCK))
    ]
    return study_of(rows), values


@pytest.mark.parametrize("seed", range(3))
def test_a_factorial_without_noise_by_hand(seed):
    """Effects are averages over the neighbours, so they hold even where modules do not add up."""
    view, values = factorial(seed)
    numbers = effect_numbers(view)
    for slot, table in (("p3", values), ("p4", values.T)):
        for i in (1, 2):
            cell = numbers.cell(slot, GENES[i])
            effect = np.mean(table[i] - table[0])
            lead = np.mean(table[i] - table[[k for k in range(3) if k != i]].mean(0))
            assert (cell.effect.mean, cell.lead.mean) == pytest.approx((effect, lead), abs=3e-4)
            assert (cell.sign, cell.lead_sign) == (np.sign(effect), np.sign(lead))
            assert cell.effect.low < cell.effect.mean < cell.effect.high < cell.effect.low + 1e-3
            assert (cell.trials, cell.seeds, cell.architectures) == (12, 4, 3)
    for module, cell in zip(numbers.modules, numbers.overall, strict=True):
        both = [numbers.cell(slot, module).effect.mean for slot in numbers.slots]
        assert cell.effect.mean == pytest.approx(np.mean(both), abs=1e-6)
        assert (cell.trials, cell.architectures) == (20, 5)


def test_a_lead_counts_each_other_module_once():
    """However many of its settings were trained; so a module with many settings does not outvote the others."""
    gains = {"none": 0.0, "a": 0.03, "b(k=1)": -0.01, "b(k=2)": -0.02}
    rng = np.random.default_rng(0)
    rows = [(f"p3={g}", 0.4 + v + LUCK[s] + rng.normal(0, 1e-4), s) for g, v in gains.items() for s in range(4)]
    cell = effect_numbers(study_of(rows)).cell("p3", "a")
    assert (cell.effect.mean, cell.lead.mean) == pytest.approx((0.03, 0.03 - (0.0 - 0.015) / 2), abs=3e-4)


def test_the_only_module_of_a_study_has_an_effect_and_no_lead():
    rng = np.random.default_rng(3)
    rows = [(f"p3={g}", 0.4 + v + rng.normal(0, 0.002), s) for g, v in (("none", 0), ("se", 0.03)) for s in range(5)]
    numbers = effect_numbers(study_of(rows))
    cell = numbers.cell("p3", "se")
    assert (numbers.slots, numbers.modules, numbers.measured) == (("p3",), ("se",), (cell,))
    assert (cell.sign, cell.lead, cell.lead_sign) == (1, None, 0) and cell.effect.low < 0.03 < cell.effect.high
    assert effects_sentence(numbers).startswith(
        f"Better than nothing at its slot, in mAP50-95: se at p3: {span(cell.effect)}. "
        "The only trained architecture is better than the base: p3=se (+0.0"
    )
    weak = [(f"p3={g}", 0.4 + rng.normal(0, 0.01), s) for g in ("none", "se") for s in range(3)]
    assert effects_sentence(effect_numbers(study_of(weak))).startswith(f"{CANNOT}: its only module at a slot is surely")


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_trials_does_not_matter(seed):
    rows = random_rows(np.random.default_rng(seed), 30, settings=2)
    shuffled = random.Random(seed).sample(rows, len(rows))
    one, other = effect_numbers(study_of(rows)), effect_numbers(study_of(shuffled))
    assert one.found.nothing == pytest.approx(other.found.nothing, rel=1e-4)
    for a, b in zip(one.cells, other.cells, strict=True):
        assert (a.slot, a.module, a.trials, a.seeds, a.why) == (b.slot, b.module, b.trials, b.seeds, b.why)
        assert (a.sign, a.lead_sign) == (b.sign, b.lead_sign)
    for a, b in zip(one.measured, other.measured, strict=True):
        found = [(c.effect.mean, c.effect.low, c.lead.mean, c.lead.high) for c in (a, b)]
        assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_a_slot_that_a_search_never_leaves_empty_is_known_by_its_leads():
    rows = random_rows(np.random.default_rng(1), 60, effect={("p3", "lska"): 0.03})
    rows = [r for r in rows if "p3=none" not in r[0] or r[0] == "p3=none p4=none"]
    numbers = effect_numbers(study_of(rows))
    leads = [c.lead.high - c.lead.low for c in numbers.cells if c.slot == "p3" and c.module != "conv"]
    effects = [c.effect.high - c.effect.low for c in numbers.cells if c.slot == "p3" and c.module != "conv"]
    assert len(leads) == 3 and max(leads) < min(effects)
    assert numbers.cell("p3", "lska").lead_sign == 1


def test_a_collapsed_run_moves_nothing():
    rows = random_rows(np.random.default_rng(5), 60, effect={("p3", "lska"): 0.03})
    at = next(i for i, (text, _, _) in enumerate(rows) if "p3=lska" in text)
    broken = [(text, value - 0.2 * (i == at), seed) for i, (text, value, seed) in enumerate(rows)]
    whole, without, with_it = (effect_numbers(study_of(r)) for r in (rows, rows[:at] + rows[at + 1 :], broken))
    assert [t.number for t in with_it.found.collapsed] == [at] and not without.found.collapsed
    assert with_it.cell("p3", "lska").trials == whole.cell("p3", "lska").trials - 1 == without.cell("p3", "lska").trials
    for a, b in zip(with_it.measured, without.measured, strict=True):
        assert abs(a.effect.mean - b.effect.mean) < 0.2 * (b.effect.high - b.effect.low)
        assert (a.sign, a.lead_sign) == (b.sign, b.lead_sign)


def test_a_cell_without_an_effect_says_why(tmp_path):
    study = Fabricator(tmp_path)
    for seed in range(2):
        study.complete("p3=none p4=none", 0.4 + 0.01 * seed, seed=seed, role="base")
    study.complete("p3=lska p4=none", 0.5, flags=("batch halved",))
    study.fail("p3=lka p4=none", "out of memory")
    study.refuse("p3=acmix p4=none", "too big")
    study.start("p3=efficient_attention p4=none")
    only_base = effect_numbers(StudyView.read(tmp_path))
    assert only_base.trials == 2 and only_base.modules == ("acmix", "lka", "lska")
    assert effects_sentence(only_base) == "This study cannot rank modules yet: no usable trial has a module."
    study.complete("p3=none p4=conv", 0.41)
    numbers = effect_numbers(StudyView.read(tmp_path))
    assert {(c.slot, c.module): c.why for c in numbers.cells if c.effect is None} == {
        ("p3", "acmix"): "never trained",
        ("p3", "lka"): "no usable trial: failed or not comparable",
        ("p3", "lska"): "no usable trial: failed or not comparable",
        ("p3", "conv"): "never trained",
        **{("p4", m): "never trained" for m in ("acmix", "lka", "lska")},
    }
    assert [(c.slot, c.module) for c in numbers.measured] == [("p4", "conv")]
    assert numbers.overall[numbers.modules.index("lka")].effect is None


def test_runs_of_another_fidelity_do_not_count():
    """The trials of the more frequent fidelity are kept."""
    rows = [*random_rows(np.random.default_rng(0), 20), ("p3=lka p4=none", 0.9, 0)]
    view = study_of(rows)
    longer = Evaluation(0.9, 0.9, (), 1.0, 0, 100, 64)
    odd = replace(view.trials[-1], evaluation=longer)
    numbers = effect_numbers(replace(view, trials=(*view.trials[:-1], odd)))
    assert numbers.trials == 20 and numbers.cell("p3", "lka").effect is None
    assert numbers.cell("p3", "lka").why == "no usable trial: failed or not comparable"


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("p3=se", 0.51, 0), ("p3=se", 0.52, 1)], TOO_FEW),
        ([(f"p3={m}", 0.43, s) for m in ("none", "se") for s in range(3)], ALL_EQUAL),
    ],
    ids=["too few", "all equal"],
)
def test_an_obstacle_gives_a_sentence_and_no_numbers(rows, why):
    view = study_of(rows)
    numbers = effect_numbers(view)
    cell = numbers.cell("p3", "se")
    assert (numbers.obstacle, numbers.found, numbers.measured, cell.why) == (why, None, (), "")
    assert cell.trials and (cell.effect, cell.lead, cell.sign, cell.lead_sign) == (None, None, 0, 0)
    assert effects_sentence(numbers) == f"This study cannot rank modules yet: {why}."
    row = dict(zip(module_table(view, numbers).columns, module_table(view, numbers).rows[0], strict=True))
    assert row.pop("trials") == str(cell.trials) and row.pop("architectures") == "1"
    assert set(row.values()) == {"se", "–", "not measured"}


def test_dead_slots_are_known_and_a_study_with_many_slots_is_estimated():
    slots = tuple(f"inner.p{i}.insert" for i in range(3, 20))
    live = {"drop": dict.fromkeys(slots, 0.1), "live": list(slots[1:]), "searched": list(slots)}
    rows = random_rows(np.random.default_rng(0), 60, slots=slots, effect={(slots[2], "se"): 0.05})
    numbers = effect_numbers(study_of(rows, slots=live))
    assert (numbers.dead, len(numbers.cells), numbers.slots) == (slots[:1], 17 * 4, slots)
    assert len(numbers.measured) == 17 * 4
    cell = numbers.cell(slots[2], "se")
    led = [c for c in numbers.measured if c.lead is not None]
    assert len(led) == LEADS and cell.lead_sign == 1 and cell == max(led, key=lambda c: c.lead.mean)


def test_a_study_with_many_architectures_is_averaged_over_some(monkeypatch):
    """The estimate needs no more points of the space than `POINTS`, however many architectures were trained."""
    assert some(range(5), 5) == [0, 1, 2, 3, 4]
    assert some(range(101), 5) == [0, 25, 50, 75, 100]
    asked = []
    contrasts = StudyPosterior.contrasts

    def counted(self, points, matrix):
        asked.append(len(points))
        return contrasts(self, points, matrix)

    many: dict[str, Any] = {"slots": ("p3", "p4", "p5"), "settings": 12, "noise": 0.02, "repeats": 1}
    view = study_of(random_rows(np.random.default_rng(1), 600, effect={("p3", "lska"): 0.03}, **many))
    found = effect_numbers(view).found
    assert len(found.candidates) > 400
    monkeypatch.setattr(StudyPosterior, "contrasts", counted)
    numbers = effect_numbers(view)
    assert numbers.found is found and max(asked) <= estimate.POINTS  # the posterior is kept
    cell = numbers.cell("p3", "lska")
    assert cell.architectures > 2 * estimate.MOST and cell.effect.low < 0.03 < cell.effect.high
    assert cell.lead_sign == 1


def test_planted_effects_are_named_and_not_ranked_where_they_overlap():
    truth = Truth({("p3", "lska"): 0.03, ("p3", "se"): 0.032, ("p4", "acmix"): -0.05})
    view = study_of(random_rows(np.random.default_rng(5), 80, truth=truth, noise=0.005))
    numbers = effect_numbers(view)
    assert {(c.slot, c.module): c.sign for c in numbers.cells if c.sign} == {
        key: np.sign(gain) for key, gain in truth.effect.items()
    }
    assert all(np.sign(truth.lead(view, c.slot, c.module)) == c.lead_sign for c in numbers.cells if c.lead_sign)
    lska, se, acmix = (numbers.cell(*key).effect for key in truth.effect)
    assert (lska.mean, se.mean, acmix.mean) == pytest.approx(tuple(truth.effect.values()), abs=0.006)
    better, worse, others, *rest = effects_sentence(numbers).split(". ")
    assert lska.mean < se.mean  # the largest comes first
    assert better == f"Better than nothing at its slot, in mAP50-95: se at p3: {span(se)}; lska at p3: {span(lska)}"
    assert worse == f"Worse than nothing at its slot, in mAP50-95: acmix at p4: {span(acmix)}"
    assert others.startswith("Better than the other choices at its slot")
    assert "Modules with overlapping intervals are not ranked against each other" in rest
    left = len(numbers.measured) - len(numbers.shown)
    assert left == 2 and "The other 2 of 8 modules at slots are not distinguishable" in rest
    verdicts = {r[0]: r[6] for r in module_table(view, numbers).rows}
    assert verdicts["se"] == "better at p3; better than others at p4" and verdicts["conv"] == "not distinguishable"
    assert verdicts["acmix"] == "worse at p4; worse than others at p3"


@pytest.mark.parametrize(
    ("ends", "ranked"), [([(0.01, 0.03), (0.02, 0.04)], False), ([(0.01, 0.02), (0.03, 0.04)], True)]
)
def test_only_overlapping_intervals_are_said_not_to_be_ranked(ends, ranked):
    numbers = effect_numbers(study_of(random_rows(np.random.default_rng(0), 40, noise=0.02)))
    claims = [Difference((low + high) / 2, low, high, 1.0) for low, high in ends]
    own = {("p3", "lska"): claims[0], ("p4", "se"): claims[1]}
    cells = [replace(c, effect=own[key], sign=1) if (key := (c.slot, c.module)) in own else c for c in numbers.cells]
    sentence = effects_sentence(replace(numbers, cells=tuple(cells), dead=("p4",)))
    assert ("Modules with overlapping intervals are not ranked" in sentence) is not ranked
    assert sentence.startswith(
        f"Better than nothing at its slot, in mAP50-95: se at p4 (a dead slot): {span(claims[1])}; lska at p3: "
    )
    assert "The other 6 of 8 modules at slots are not distinguishable" in sentence


def test_a_sentence_names_few_of_many_claims():
    numbers = effect_numbers(study_of(random_rows(np.random.default_rng(0), 40, noise=0.02)))
    worse = Difference(-0.02, -0.03, -0.01, 0.0)
    cells = tuple(replace(c, lead=worse, lead_sign=-1) for c in numbers.cells)
    sentence = effects_sentence(replace(numbers, cells=cells)).split(". ")[0]
    assert sentence.startswith("Worse than the other choices at its slot") and sentence.count(span(worse)) == 6
    assert sentence.endswith("; and 2 more, framed below")


def test_a_study_that_cannot_rank_says_what_is_known():
    numbers = effect_numbers(study_of(random_rows(np.random.default_rng(0), 40, noise=0.02)))
    sentence, found = effects_sentence(numbers), numbers.found
    top = max(numbers.measured, key=lambda c: abs(c.lead.mean))
    assert not numbers.shown and sentence.startswith(f"{CANNOT}: none of its 8 modules at slots is surely better")
    assert found.noise.mean > found.spread.mean
    assert f"The noise of one run ({found.noise.mean:.4f}) is larger than the spread of all architectures" in sentence
    assert (
        f"The largest estimate is {top.module} at {top.slot} against the other choices there: {span(top.lead)}"
        in sentence
    )
    assert "is better" not in sentence and "is worse" not in sentence


@pytest.mark.parametrize("seed", range(3))
def test_the_further_trials_give_the_power_that_they_promise(seed):
    """An interval of ±1.96 sd, and a power of 80 %: the difference is 2.8 standard deviations."""
    rows = random_rows(np.random.default_rng(seed), 40, noise=0.015)
    found = effect_numbers(study_of(rows)).found
    needed = trials_needed(found)
    others = [i for i, c in enumerate(found.candidates) if not c.architecture.is_base]
    best = max(others, key=lambda i: found.means[i])
    rng, text = np.random.default_rng(100 + seed), found.candidates[best].key

    def deviation(pairs):
        more = [(t, 0.4 + rng.normal(0, 0.015), 100 + i) for i in range(pairs) for t in (text, "p3=none p4=none")]
        again = effect_numbers(study_of([*rows, *more])).found
        at = [c.key for c in again.candidates].index(text)
        return float(again.draws[:, at].std()) * found.noise.mean / again.noise.mean

    assert needed > 10 and needed % 2 == 0
    assert deviation(needed // 2) <= 1.15 * WORTH / 2.8
    assert deviation(needed // 8) > WORTH / 2.8
    assert "about " in effects_sentence(effect_numbers(study_of(rows)))


def test_a_table_row_names_the_best_architecture_of_its_module(tmp_path):
    view = StudyView.read(fabricate(tmp_path, 30).folder)
    numbers = effect_numbers(view)
    table, found = module_table(view, numbers), numbers.found
    own = [i for i, c in enumerate(found.candidates) if "=lka(" in c.key]
    best = max(own, key=lambda i: found.means[i])
    at = [r[0] for r in table.rows].index("lka")
    row = dict(zip(table.columns, table.rows[at], strict=True))
    overall = numbers.overall[numbers.modules.index("lka")]
    assert row["best architecture"] == table.keys[at] == found.candidates[best].key
    assert row["Δ to base"] == f"{found.differences[best].mean:+.4f}"
    assert row["trials"] == str(sum(t.usable for i in own for t in found.candidates[i].trials))
    assert row["architectures"] == str(len(own)) == str(overall.architectures)
    assert row["effect over all slots"] == change(overall.effect.mean)
    assert row["95 % interval"] == f"{change(overall.effect.low)} to {change(overall.effect.high)}"
    assert FAILED not in table.keys
