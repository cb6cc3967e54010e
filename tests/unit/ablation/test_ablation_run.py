"""Whole ablations, with the real supervisor and a synthetic evaluator: verdicts, failures, resuming, looks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from untrained_ablations import (
    ACMIX,
    FULL,
    LSKA,
    QUIET,
    Silent,
    Stopped,
    StoppingEngine,
    ablated,
    ablation_plan,
    run_ablation_plan,
    verdicts,
    words,
)

from nas_attn.ablation.decide import BETTER, DEAD, NO_DIFFERENCE, UNDECIDED, UNTESTED, WAITING, WORSE
from nas_attn.ablation.report.rows import family_rows
from nas_attn.ablation.report.words import method, summary
from nas_attn.ablation.view import AblationView, load_ablations
from nas_attn.dashboard.ablation_card import AblationCard
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.view import StudyView

__all__ = ["ablated"]


def test_planted_effects_are_found_and_their_absence_is_said(ablated):
    view = ablated(SyntheticEvaluator(**QUIET, planted=((ACMIX, -0.03), (LSKA, 0.02))), seeds=8)
    assert verdicts(view) == {"full": WORSE, "without p3": BETTER, "without p4": WORSE}
    assert verdicts(view, "full") == {
        "acmix(head=4,kernel_att=7) at p3": WORSE,
        "lska(k_size=23) at p4": BETTER,
    }
    assert not view.partial and len(view.trials) == 4 * 8


def test_no_effect_is_no_difference_shown_and_what_is_excluded(ablated):
    view = ablated(SyntheticEvaluator(**QUIET), seeds=8)
    assert set(verdicts(view).values()) == {NO_DIFFERENCE}
    for d in view.decisions:
        assert d.result.low > -0.01 and d.result.high < 0.01 and d.more is None
    assert "a difference of 0.01 or more is excluded" in words(view)["full"]


def test_too_few_seeds_for_the_noise_are_undecided_with_a_number(ablated):
    view = ablated(SyntheticEvaluator(effect_sd=0.0, noise_sd=0.02), seeds=5)
    decisions = [d for d in view.decisions if d.contrast.family == "base"]
    assert {d.verdict for d in decisions} == {UNDECIDED}
    assert all(d.more > 0 and d.power_then >= 0.8 for d in decisions)
    assert "more seeds are needed to detect 0.01 (power 0.8" in words(view)["full"]


def test_pairs_are_of_equal_seeds(ablated):
    """The effect of a seed is ten times the noise, so an unpaired test would not find the difference."""
    view = ablated(SyntheticEvaluator(**QUIET, planted=((ACMIX, 0.02),)), seeds=6)
    full = next(d for d in view.decisions if d.contrast.label == "full")
    assert full.verdict == BETTER and full.result.sd < 0.01
    assert {t.seed for t in view.trials} == set(range(100, 106))


def test_the_base_against_itself_shows_nothing(ablated):
    view = ablated(
        SyntheticEvaluator(effect_sd=0.0, noise_sd=0.004, planted=((ACMIX, -0.05),)), kinds=("a/a",), seeds=8
    )
    assert verdicts(view, "a/a")["base, other seeds"] in (UNDECIDED, NO_DIFFERENCE)
    assert verdicts(view)["full"] == WORSE
    assert len({t.seed for t in view.trials if t.architecture.is_base}) == 16


def test_a_dead_slot_is_said_and_not_trained(ablated):
    three = f"{ACMIX} {LSKA} p5=lska(k_size=23)"
    view = ablated(SyntheticEvaluator(**QUIET, dead=("p5",)), full=three, seeds=5)
    assert view.dead_slots() == ("p5",)
    assert verdicts(view)["p5 alone"] == DEAD
    assert "slot p5 is dead" in words(view)["p5 alone"] and "left out" in words(view)["p5 alone"]
    assert not any(view.trial(view.design.arm("p5 alone"), i) for i in range(5))
    assert verdicts(view, "full")["lska(k_size=23) at p5"] == DEAD
    assert view.trial(view.design.arm("without p5"), 0) is not None  # it stands against the base with p3 and p4
    assert "1 in dead slots" in summary(view)
    full = next(r for r in family_rows(view, "base") if r.label == "full")
    assert full.remarks == ("dead: p5",)


def test_a_slot_that_is_better_zeroed_is_undertrained_not_dead(ablated):
    three = f"{ACMIX} {LSKA} p5=lska(k_size=23)"
    quiet = SyntheticEvaluator(**QUIET, dead=("p4", "p5"), undertrained=("p5",))
    view = ablated(quiet, full=three, further=("p4=lska(k_size=23) p5=lska(k_size=23)",), seeds=5)
    said = words(view)
    assert said["p5 alone"].startswith("slot p5 is undertrained: the base scores higher without its output")
    assert said["p4 alone"].startswith("slot p4 is dead: the base does not need its output")
    both = next(text for text in said.values() if "; slot p5" in text)
    assert both.startswith("slot p4 is dead: the base does not need its output")
    assert "; slot p5 is undertrained: the base scores higher without its output" in both
    assert verdicts(view)["p5 alone"] == DEAD and "left out" in said["p5 alone"]
    full = next(r for r in family_rows(view, "base") if r.label == "full")
    assert full.remarks == ("dead: p4", "undertrained: p5")
    liveness = AblationCard(view).liveness
    assert (
        liveness.startswith("Dead slots: p4; undertrained slots (zeroing them raises mAP50-95): p5 (")
        and "p5 -0.04" in liveness
    )


def test_a_dead_slot_that_is_kept_is_never_no_difference(ablated):
    view = ablated(SyntheticEvaluator(**QUIET, dead=("p4",)), seeds=8, dead_slots="keep")
    assert view.trial(view.design.arm("without p3"), 7) is not None
    assert (
        words(view)["without p3"].startswith("slot p4 is dead") and "trained nevertheless" in words(view)["without p3"]
    )


def test_liveness_is_measured_on_the_first_bases_before_other_arms(ablated):
    view = ablated(SyntheticEvaluator(**QUIET), seeds=5)
    first = view.trials[:3]
    assert all(t.architecture.is_base and t.evaluation.liveness for t in first)
    assert view.views[None].slots["trials"] == 3
    assert all(t.evaluation.liveness is None for t in view.trials[3:])


def test_one_seed_is_measured_and_not_tested(ablated):
    view = ablated(SyntheticEvaluator(**QUIET), seeds=1)
    assert set(verdicts(view).values()) == {UNTESTED}
    assert all(d.p is None for d in view.decisions)
    assert "at least 3 seeds are needed" in words(view)["full"]
    assert view.views[None].slots["trials"] == 1


def test_two_seeds_have_no_p(ablated):
    view = ablated(SyntheticEvaluator(**QUIET), seeds=2)
    assert all(d.p is None and d.verdict == UNTESTED for d in view.decisions)


def test_zero_variance_is_not_tested(ablated):
    view = ablated(SyntheticEvaluator(effect_sd=0.0, noise_sd=0.0), seeds=5)
    assert set(verdicts(view).values()) == {UNTESTED}
    assert "standard deviation is 0" in words(view)["full"]


def test_constant_differences_are_not_tested_either(ablated):
    view = ablated(SyntheticEvaluator(effect_sd=0.0, noise_sd=0.0, planted=((ACMIX, 0.1),)), seeds=5)
    assert verdicts(view)["full"] == UNTESTED and "+0.1000" not in words(view)["full"]


@pytest.mark.parametrize("after", [0, 1, 2, 4, 7, 11])
def test_interrupted_is_partial_and_resumed_is_uninterrupted(tmp_path, after):
    evaluator = SyntheticEvaluator(**QUIET, planted=((ACMIX, -0.02),))
    whole = run_ablation_plan(ablation_plan(tmp_path / "whole", evaluator, seeds=5))
    plan = ablation_plan(tmp_path / "cut", evaluator, seeds=5)
    with pytest.raises(Stopped):
        run_ablation_plan(plan, StoppingEngine(after))
    cut = AblationView.read(plan.request.folder)
    assert cut.partial and summary(cut).startswith("Partial")
    assert all(d.verdict in (WAITING, UNTESTED) for d in cut.decisions)
    resumed = run_ablation_plan(plan)
    assert [(t.architecture, t.seed, t.map50_95) for t in resumed.trials] == [
        (t.architecture, t.seed, t.map50_95) for t in whole.trials
    ]
    assert resumed.decisions == whole.decisions


def test_a_waiting_row_shows_what_there_is(tmp_path):
    plan = ablation_plan(tmp_path / "a", SyntheticEvaluator(**QUIET), seeds=5)
    with pytest.raises(Stopped):
        run_ablation_plan(plan, StoppingEngine(13))
    view = AblationView.read(plan.request.folder)
    row = next(r for r in family_rows(view, "base") if r.label == "full")
    assert row.words.startswith("waiting: ") and row.val.n >= 2 and row.decision.p is None


def test_sequential_testing_stops_what_is_decided(tmp_path):
    evaluator = SyntheticEvaluator(effect_sd=0.0, noise_sd=0.006, planted=((ACMIX, -0.2),))
    view = run_ablation_plan(ablation_plan(tmp_path / "a", evaluator, seeds=5, max_seeds=20))
    decided = {d.contrast.label: d for d in view.decisions if d.contrast.family == "base"}
    assert decided["without p4"].verdict == WORSE and decided["without p4"].looks < 4
    assert not view.partial
    # the base is trained as long as anything is compared with it, and no longer
    most = max(d.result.n for d in view.decisions)
    assert sum(t.architecture.is_base for t in view.trials) == most


def test_sequential_results_do_not_depend_on_where_it_was_stopped(tmp_path):
    evaluator = SyntheticEvaluator(effect_sd=0.0, noise_sd=0.006, planted=((ACMIX, -0.02),))
    whole = run_ablation_plan(ablation_plan(tmp_path / "whole", evaluator, max_seeds=12))
    plan = ablation_plan(tmp_path / "cut", evaluator, max_seeds=12)
    for after in (5, 9, 17):
        with pytest.raises(Stopped):
            run_ablation_plan(plan, StoppingEngine(after))
    assert run_ablation_plan(plan).decisions == whole.decisions


def test_time_that_is_up_leaves_a_partial_table(tmp_path):
    plan = ablation_plan(tmp_path / "a", SyntheticEvaluator(**QUIET, seconds=0.01), seeds=5, hours=0.05 / 3600)
    view = run_ablation_plan(plan)
    assert view.partial and 0 < len(view.trials) < 20
    later = replace(
        plan, request=replace(plan.request, settings=plan.request.settings.model_copy(update={"hours": 1.0}))
    )
    assert not run_ablation_plan(later).partial


def test_seeds_added_after_a_look_cost_a_factor(tmp_path):
    evaluator = SyntheticEvaluator(effect_sd=0.0, noise_sd=0.01)
    few = run_ablation_plan(ablation_plan(tmp_path / "a", evaluator, seeds=5))
    more = run_ablation_plan(ablation_plan(tmp_path / "a", evaluator, seeds=9))
    assert few.looks.count == 1 and more.looks.count == 2 and more.looks.seeds == (5, 9) and more.looks.added
    assert more.looks.spent == 1.5  # the second look is made at half the level
    assert "raises it to 7.5 %" in method(more, "base") and "seeds were added" in method(more, "base")
    full = next(d for d in more.decisions if d.contrast.label == "full")
    assert full.looks == 2 and full.result.n == 9
    assert [t.map50_95 for t in more.trials[: len(few.trials)]] == [t.map50_95 for t in few.trials]


def test_scales_have_their_own_base_and_liveness(tmp_path):
    observer = Silent()
    plan = ablation_plan(
        tmp_path / "a", SyntheticEvaluator(**QUIET), kinds=("scale",), scales=("yolo11s.yaml",), seeds=4
    )
    view = run_ablation_plan(plan, observer=observer)
    assert observer.measured == [None, "yolo11s.yaml"]
    assert {d.contrast.label for d in view.decisions if d.contrast.family == "scale"} == {
        "gain on yolo11s minus gain here"
    }
    other = view.views["yolo11s.yaml"]
    assert {t.model for t in other.trials} == {"yolo11s.yaml"} and len(other.trials) == 8
    assert all(t.model is None for t in view.views[None].trials)


def test_its_folder_reads_as_a_study_too(ablated):
    view = ablated(SyntheticEvaluator(**QUIET, test=True), seeds=4)
    study = StudyView.read(view.folder)
    assert study.counted == len(view.trials) == study.target
    assert {c.key for c in study.candidates()} == {str(a.architecture) for a in view.design.arms}
    assert study.frame()["test_map50_95"].notna().all()
    assert [a.name for a in load_ablations(view.folder)] == ["ablation"]


def test_kinds_may_be_added_and_the_family_grows(tmp_path):
    evaluator = SyntheticEvaluator(effect_sd=0.0, noise_sd=0.01)
    small = run_ablation_plan(ablation_plan(tmp_path / "a", evaluator, seeds=5))
    large = run_ablation_plan(ablation_plan(tmp_path / "a", evaluator, seeds=5, kinds=("leave-one-out", "swap")))
    assert len(large.trials) > len(small.trials) and large.looks.seeds == small.looks.seeds
    one, two = (next(d for d in v.decisions if d.contrast.label == "full") for v in (small, large))
    assert one.result == two.result and two.p >= one.p
    assert "comparisons were added" in method(large, "base") and large.looks.spent > 1


def test_full_is_what_was_asked_for(ablated):
    view = ablated(seeds=3)
    assert view.header["ablation"] == {"name": "ablation", "full": FULL, "seed": 100}


def test_figures_and_p_are_of_one_look(tmp_path):
    """A claimed comparison keeps its figures; an open comparison has the newest."""
    evaluator = SyntheticEvaluator(effect_sd=0.0, noise_sd=0.004, planted=((ACMIX, -0.05), (LSKA, 0.003)))
    run_ablation_plan(ablation_plan(tmp_path / "a", evaluator, seeds=6))
    more = run_ablation_plan(ablation_plan(tmp_path / "a", evaluator, seeds=14))
    assert {d.result.n for d in more.decisions} == {6, 14}
    for d in more.decisions:
        assert d.result.n == more.looks.seeds[d.looks - 1]
        assert d.p >= min(1.0, d.result.p * more.looks.count) - 1e-12
        if d.verdict in (BETTER, WORSE):
            assert d.final and (d.result.low > 0) == (d.verdict == BETTER)


def test_no_late_claim_from_an_early_look(tmp_path):
    """In many worlds without a difference, no claim contradicts its own figures."""
    for world in range(12):
        evaluator = SyntheticEvaluator(seed=world, effect_sd=0.0, noise_sd=0.01)
        folder = tmp_path / str(world)
        run_ablation_plan(ablation_plan(folder, evaluator, kinds=("add-one-in",), seeds=4))
        view = run_ablation_plan(ablation_plan(folder, evaluator, kinds=("add-one-in",), seeds=8))
        for d in view.decisions:
            if d.verdict in (BETTER, WORSE):
                assert d.result.p * view.looks.count <= 0.05


def test_dead_comparisons_are_counted_as_such_where_they_are_kept(ablated):
    view = ablated(SyntheticEvaluator(**QUIET, dead=("p3", "p4")), seeds=5, dead_slots="keep")
    assert summary(view) == "3 comparisons with the base: 3 in dead slots."
    assert all("dead" in r.words for r in family_rows(view, "base") if r.decision)


def test_an_untestable_look_costs_nothing(tmp_path):
    evaluator = SyntheticEvaluator(**QUIET)
    for seeds in (1, 2):
        run_ablation_plan(ablation_plan(tmp_path / "a", evaluator, seeds=seeds))
    view = run_ablation_plan(ablation_plan(tmp_path / "a", evaluator, seeds=5))
    assert view.looks.count == 1 and view.looks.seeds == (5,) and not view.looks.added


def test_tables_are_there_from_the_start_and_marked(tmp_path):
    from nas_attn.ablation.report.files import markdown

    plan = ablation_plan(tmp_path / "a", SyntheticEvaluator(**QUIET), seeds=4)
    with pytest.raises(Stopped):
        run_ablation_plan(plan, StoppingEngine(0))
    assert "PARTIAL" in markdown(AblationView.read(plan.request.folder))
