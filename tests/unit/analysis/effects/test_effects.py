"""Effects of modules at slots, compared with independent formulas, and the sentences on them."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from fabricated_studies import FAILED, Fabricator, fabricate
from known_effects import random_rows, study_of, text_of
from scipy import stats

from nas_attn.analysis.effects import estimate
from nas_attn.analysis.effects.conclusion import CANNOT, WORTH, effects_sentence, span, trials_needed
from nas_attn.analysis.effects.estimate import NO_FREEDOM, NO_NOISE, UNCHECKED, drawn, effect_numbers
from nas_attn.analysis.effects.module_table import module_table
from nas_attn.study.view import StudyView

BASE = "p3=none p4=none"
GENES = ("none", "lska", "se")


def factorial(own: float, seed: int):
    """A study with every pair of `GENES` at p3 and p4 and two seeds, and its values as (p3, p4, seed)."""
    rng = np.random.default_rng(seed)
    values = 0.4 + rng.normal(0, 0.01, (3, 3, 2)) + rng.normal(0, own, (3, 3, 1)) + np.array([0.0, 0.02])
    rows = [
        (text_of({"p3": GENES[i], "p4": GENES[j]}), float(values[i, j, k]), k)
        for i, j, k in itertools.product(range(3), range(3), range(2))
    ]
    return study_of(rows), values


def test_one_module_with_all_seeds_is_the_paired_t_test():
    rng = np.random.default_rng(3)
    base = 0.4 + rng.normal(0, 0.05, 5)
    own = base + 0.02 + rng.normal(0, 0.01, 5)
    rows = [("p3=none", v, s) for s, v in enumerate(base)] + [("p3=lska", v, s) for s, v in enumerate(own)]
    numbers = effect_numbers(study_of(rows))
    expected = stats.ttest_rel(own, base)
    cell = numbers.cell("p3", "lska")
    assert (cell.estimate, cell.p) == pytest.approx((np.mean(own - base), expected.pvalue))
    assert (cell.low, cell.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert (cell.trials, cell.seeds, numbers.df) == (5, 5, 4)
    # twice the noise of a run stands in a difference
    assert numbers.sd == pytest.approx(np.std(own - base, ddof=1) / np.sqrt(2))


def test_a_balanced_design_by_hand():
    view, values = factorial(0.0, 3)  # whose architectures differ by no more than runs do
    numbers = effect_numbers(view)
    fitted = (
        values.mean((1, 2), keepdims=True) + values.mean((0, 2), keepdims=True) + values.mean((0, 1), keepdims=True)
    )
    rest = values - fitted + 2 * values.mean()
    df = 18 - 1 - 2 - 2 - 1
    half = stats.t.ppf(0.975, df) * np.sqrt((rest**2).sum() / df * 2 / 6)
    assert (numbers.df, numbers.between) == (df, False)
    for slot, axis in (("p3", (1, 2)), ("p4", (0, 2))):
        means = values.mean(axis)
        for i in (1, 2):
            cell = numbers.cell(slot, GENES[i])
            assert cell.estimate == pytest.approx(means[i] - means[0])
            assert (cell.low, cell.high) == pytest.approx((cell.estimate - half, cell.estimate + half))


def test_where_architectures_differ_by_more_than_the_sum_they_are_the_sample():
    view, values = factorial(0.05, 1)
    numbers = effect_numbers(view)
    cells = values.mean(2)
    rest = cells - cells.mean(1, keepdims=True) - cells.mean(0, keepdims=True) + cells.mean()
    between = 2 * (rest**2).sum() / 4  # the mean square of architectures, two runs each
    half = stats.t.ppf(0.975, 4) * np.sqrt(between * 2 / 6)
    assert (numbers.df, numbers.between) == (4, True)
    cell = numbers.cell("p3", "se")
    assert cell.estimate == pytest.approx(cells[2].mean() - cells[0].mean())
    assert (cell.low, cell.high) == pytest.approx((cell.estimate - half, cell.estimate + half))
    assert "Settings or combinations of modules also matter" in effects_sentence(numbers)


def test_holm_is_over_all_cells():
    numbers = effect_numbers(factorial(0.0, 0)[0])
    raw = sorted(c.p for c in numbers.measured)
    steps = np.minimum(1, np.maximum.accumulate([p * (4 - i) for i, p in enumerate(raw)]))
    assert sorted(c.p_corrected for c in numbers.measured) == pytest.approx(list(steps))


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_trials_does_not_matter(seed):
    rows = random_rows(np.random.default_rng(seed), 40, settings=2)
    shuffled = random.Random(seed).sample(rows, len(rows))
    one, other = effect_numbers(study_of(rows)), effect_numbers(study_of(shuffled))
    assert [(c.slot, c.module, c.trials, c.why) for c in one.cells] == [
        (c.slot, c.module, c.trials, c.why) for c in other.cells
    ]
    for a, b in zip(one.measured, other.measured, strict=True):
        assert (a.estimate, a.low, a.p_corrected) == pytest.approx((b.estimate, b.low, b.p_corrected))


def test_what_is_not_determined_says_why():
    rows = random_rows(np.random.default_rng(0), 40)
    rows = [(text.replace("acmix", "gam"), *rest) for text, *rest in rows]
    rows += [("p3=acmix p4=eca", 0.41, 0), ("p3=acmix p4=eca", 0.42, 1), ("p3=lka p4=none", 0.4, 9)]
    numbers = effect_numbers(study_of(rows))
    assert numbers.cell("p3", "conv").why == "always together with conv at p4"
    assert numbers.cell("p3", "acmix").why == "always together with eca at p4"
    assert numbers.cell("p4", "acmix").why == "never trained here"
    assert numbers.cell("p3", "lka").why == "only trained with seeds that no other architecture has"
    assert {c.estimate for c in numbers.cells if c.why} == {None}
    assert all(c.p is not None for c in numbers.cells if not c.why)


def test_a_mixture_names_what_it_is_mixed_with():
    rows = [("p3=none p4=none", 0.4, 0), ("p3=a p4=c", 0.4, 0), ("p3=a p4=d", 0.41, 0), ("p3=b p4=c", 0.4, 0)]
    cell = effect_numbers(study_of(rows)).cell("p3", "a")
    assert cell.estimate is None
    assert cell.why.startswith("cannot be separated from ") and "c at p4" in cell.why


def test_trials_that_may_not_be_compared_do_not_count(tmp_path):
    study = Fabricator(tmp_path)
    study.complete("p3=none p4=none", 0.4, role="base")
    study.complete("p3=lska p4=none", 0.5, flags=("batch halved",))
    study.fail("p3=lka p4=none", "out of memory")
    study.refuse("p3=acmix p4=none", "too big")
    study.complete("p3=lska_trivial p4=none", 0.9, role="ablation")
    study.start("p3=efficient_attention p4=none")
    numbers = effect_numbers(StudyView.read(tmp_path))
    assert numbers.trials == 1 and numbers.modules == ("acmix", "lka", "lska")
    assert {c.why for c in numbers.cells if c.slot == "p3"} == {
        "no usable trial here: failed, refused or not comparable"
    }
    assert "no usable trial has a module" in effects_sentence(numbers)


@pytest.mark.parametrize(
    ("rows", "why", "words"),
    [
        ([("p3=none", 0.4, 0), ("p3=se", 0.5, 0)], NO_FREEDOM, "2 usable trials are too few"),
        ([("p3=se", 0.5, 0)], "only trained with seeds that no other architecture has", "1 usable trial is too few"),
        ([(f"p3={m}", 0.4, s) for m in ("none", "se") for s in range(3)], NO_NOISE, "no noise, so a difference"),
    ],
)
def test_too_little_to_judge(rows, why, words):
    numbers = effect_numbers(study_of(rows))
    cell = numbers.cell("p3", "se")
    assert (cell.why, cell.p, cell.low) == (why, None, None)
    sentence = effects_sentence(numbers)
    assert sentence.startswith(CANNOT) and words in sentence
    assert ("no usable trial of the base" in sentence) is (len(rows) == 1)


def test_adding_up_is_not_taken_on_trust():
    """Two architectures that share a module give an estimate by subtraction, but no data that checks it."""
    rng = np.random.default_rng(1)
    texts = ("p3=none p4=none", "p3=lska p4=none", "p3=lska p4=se")
    numbers = effect_numbers(study_of([(t, 0.4 + rng.normal(0, 0.01), s) for t in texts for s in range(4)]))
    assert numbers.cell("p3", "lska").p is not None
    assert numbers.cell("p4", "se").why == UNCHECKED and numbers.cell("p4", "se").estimate is not None


def test_one_architecture_is_named_instead_of_its_module():
    """Even a clear difference may come from its settings."""
    rng = np.random.default_rng(4)
    texts = {"p3=none p4=none": 0.4, "p3=lska(k_size=23) p4=none": 0.44, "p3=none p4=se": 0.4, "p3=none p4=lka": 0.36}
    view = study_of([(t, v + rng.normal(0, 0.003), s) for t, v in texts.items() for s in range(4)])
    numbers = effect_numbers(view)
    cell = numbers.cell("p3", "lska")
    assert (cell.architectures, cell.alone, cell.shown, cell.differs) == (1, "p3=lska(k_size=23)", False, True)
    assert cell.why.startswith("only 1 architecture here:") and cell.low < 0.04 < cell.high
    assert numbers.shown == () and [c.module for c in numbers.singled] == ["lska", "lka"]
    sentence = effects_sentence(numbers)
    assert sentence.startswith(f"{CANNOT}: a ranking needs at least 3 architectures with the same module")
    assert (
        f"The single architecture p3=lska(k_size=23) is better than the base: {span(cell)}. This holds for" in sentence
    )
    assert "The single architecture p4=lka is worse" in sentence and "lska at p3" not in sentence
    assert {r[0]: r[-1] for r in module_table(view, numbers).rows} == dict.fromkeys(
        ("lka", "lska", "se"), "too few architectures"
    )


def test_one_architecture_is_compared_with_the_base_itself():
    """The noise of runs judges it, even if other architectures share modules with it."""
    rows = [r for i, r in enumerate(random_rows(np.random.default_rng(0), 50, between=0.05)) if i < 3 or r[0] != BASE]
    rng = np.random.default_rng(1)
    base = [v for text, v, _ in rows if text == BASE]
    own = [b + 0.03 + rng.normal(0, 0.01) for b in base]
    numbers = effect_numbers(study_of([*rows, *(("p3=lka(k=5) p4=none", v, s) for s, v in enumerate(own))]))
    cell = numbers.cell("p3", "lka")
    assert cell.estimate == pytest.approx(np.mean(own) - np.mean(base))
    assert cell.alone == "p3=lka(k=5)" and cell.p_corrected is not None
    modules = [c.high - c.low for c in numbers.measured if not c.alone]
    assert len(modules) >= 5 and cell.high - cell.low < 0.6 * min(modules)


def test_a_single_architecture_with_neighbours_is_neither():
    rows = random_rows(np.random.default_rng(0), 50)
    numbers = effect_numbers(study_of([*rows, *(("p3=lka p4=se(k=0)", 0.6 + 0.001 * s, s) for s in range(3))]))
    cell = numbers.cell("p3", "lka")
    assert cell.low is not None and (cell.p_corrected, cell.alone, cell.shown) == (None, "", False)
    assert cell.why.startswith("only 1 architecture here:")
    assert "lka at p3" not in effects_sentence(numbers)


def test_a_module_takes_three_architectures():
    rng = np.random.default_rng(2)
    rows = random_rows(rng, 50)

    def cell(settings: int):
        more = [(f"p3=lka(k={k}) p4=se(k=0)", 0.6 + rng.normal(0, 0.01), s) for k in range(settings) for s in range(2)]
        return effect_numbers(study_of([*rows, *more])).cell("p3", "lka")

    assert [(cell(k).architectures, cell(k).shown) for k in (1, 2, 3)] == [(1, False), (2, False), (3, True)]


def test_few_architectures_give_the_degrees_of_freedom():
    """With three more architectures than effects, a difference between them cannot be excluded, even if none shows."""
    texts = ("p3=none", "p3=lska(k=1)", "p3=lska(k=2)", "p3=lska(k=3)", "p3=lska(k=4)")
    for seed in range(5):
        rng = np.random.default_rng(seed)
        numbers = effect_numbers(study_of([(t, 0.4 + rng.normal(0, 0.01), s) for t in texts for s in range(3)]))
        assert numbers.df == 3 and numbers.cell("p3", "lska").p_corrected is not None


def test_without_a_base_effects_are_to_runs_without_a_module_there():
    rows = [r for r in random_rows(np.random.default_rng(2), 60) if r[0] != "p3=none p4=none"]
    numbers = effect_numbers(study_of(rows))
    assert not numbers.based and len(numbers.measured) == 6
    assert all(t.delta is None for t in study_of(rows).trials)


def test_dead_slots_are_known_and_a_wide_study_fits():
    slots = tuple(f"inner.p{i}.insert" for i in range(3, 20))
    modules = tuple(f"m{i}" for i in range(31))
    live = {"drop": dict.fromkeys(slots, 0.1), "live": list(slots[1:]), "searched": list(slots)}
    rows = random_rows(np.random.default_rng(0), 60, slots=slots, modules=modules)
    numbers = effect_numbers(study_of(rows, slots=live))
    assert (numbers.dead, len(numbers.cells), numbers.slots) == (slots[:1], 17 * 32, slots)
    assert effects_sentence(numbers).startswith(CANNOT)
    assert trials_needed(numbers) > 60  # by the noise of the controls, where the model leaves none


def test_planted_effects_are_found_and_not_ranked_where_they_overlap():
    effect = {("p3", "lska"): 0.03, ("p3", "se"): 0.032, ("p4", "acmix"): -0.05}
    view = study_of(random_rows(np.random.default_rng(5), 80, effect=effect, noise=0.005))
    numbers = effect_numbers(view)
    assert {(c.slot, c.module) for c in numbers.shown} == set(effect)
    assert all(c.low < effect[c.slot, c.module] < c.high for c in numbers.shown)
    better, worse, *rest = effects_sentence(numbers).split(". ")
    assert better.startswith("Better than the base") and "lska at p3: +0.0" in better and "se at p3: +0.0" in better
    assert worse.startswith("Worse than the base") and "acmix at p4: −0.0" in worse
    assert rest[0] == "Modules with overlapping intervals are not ranked against each other"
    assert "The other 3 of the 6 measured effects are not distinguishable from zero" in rest[1]
    verdicts = {r[0]: r[-1] for r in module_table(view, numbers).rows}
    assert verdicts == {
        "lska": "better than base at p3",
        "se": "better than base at p3",
        "acmix": "worse than base at p4",
        "conv": "not measured",
    }


def test_what_cannot_be_ranked_says_what_it_would_take():
    numbers = effect_numbers(study_of(random_rows(np.random.default_rng(0), 40, noise=0.02)))
    sentence = effects_sentence(numbers)
    top = max(numbers.measured, key=lambda c: abs(c.estimate))
    assert not numbers.shown and sentence.startswith(f"{CANNOT}: none of its 6 effects")
    assert (
        f"single run is {numbers.sd:.3f} mAP50-95" in sentence
        and f"{top.module} at {top.slot}, {top.estimate:+.3f}"[:-1] in (sentence.replace("−", "-"))
    )
    assert f"About {trials_needed(numbers)} trials" in sentence and sentence.endswith(
        "this study has 40 usable trials."
    )


def test_the_plan_has_the_power_that_it_promises():
    numbers = effect_numbers(study_of(random_rows(np.random.default_rng(0), 40, noise=0.02)))
    runs = trials_needed(numbers) / 5  # none, three modules and the convolution

    def power(n: float) -> float:
        df, shift = 2 * n - 2, WORTH / numbers.sd * np.sqrt(n / 2)
        limit = stats.t.ppf(1 - 0.05 / 6 / 2, df)
        return stats.nct.sf(limit, df, shift) + stats.nct.cdf(-limit, df, shift)

    assert power(runs) >= 0.8 > power(0.9 * runs)


def test_the_table_tells_best_median_and_seeds(tmp_path):
    view = StudyView.read(fabricate(tmp_path, 30).folder)
    table = module_table(view, effect_numbers(view))
    own = [c for c in view.candidates() if "=lka(" in c.key and c.delta is not None]
    best = max(own, key=lambda c: c.delta)
    row = dict(zip(table.columns, next(r for r in table.rows if r[0] == "lka"), strict=True))
    assert (row["best Δ to base"], row["architecture"]) == (f"{best.delta:+.4f}", best.key)
    assert row["median Δ to base"] == f"{np.median([c.delta for c in own]):+.4f}"
    assert row["trials"] == str(sum(t.usable for c in own for t in c.trials)) and row["seeds"] == "3"
    assert table.keys[[r[0] for r in table.rows].index("lka")] == best.key
    assert FAILED not in table.keys


def test_a_study_with_many_architectures_is_fitted_to_some_and_says_so(tmp_path, monkeypatch):
    assert drawn({"a", "b"}, 2) == {"a", "b"}
    names = {f"n{i}" for i in range(50)}
    assert len(drawn(names, 7)) == 7 and drawn(names, 7) == drawn(sorted(names), 7) < names
    view = StudyView.read(fabricate(tmp_path, 30).folder)
    whole = effect_numbers(view)
    assert whole.drawn is None and "drawn" not in effects_sentence(whole)
    monkeypatch.setattr(estimate, "drawn", lambda found: drawn(found, 20))
    some = effect_numbers(view)
    assert some.drawn is not None and some.drawn[0] == 20 < some.drawn[1] and some.trials < whole.trials
    assert f"These figures use 20 of the {some.drawn[1]} architectures" in effects_sentence(some)
