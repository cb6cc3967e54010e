"""An ablation that is continued with other options: earlier comparisons stay, and notes name the changes."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import pytest
from fabricated_studies import fabricate
from untrained_ablations import ACMIX, FULL, LSKA, Stopped, StoppingEngine, ablated, ablation_plan, run_ablation_plan

from nas_attn.ablation.decide import BETTER, DEAD, UNDECIDED, UNTESTED, WORSE
from nas_attn.ablation.plan.estimate import estimate, foresight
from nas_attn.ablation.plan.settings import load_request
from nas_attn.ablation.record import record_plan
from nas_attn.ablation.report.rows import family_rows
from nas_attn.ablation.report.words import method
from nas_attn.ablation.view import AblationView
from nas_attn.analysis.noise import noise
from nas_attn.errors import UserError
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.ablation_config import FIRST_KINDS
from nas_attn.study.folder import RunFolder
from nas_attn.study.records import RecordLog
from nas_attn.study.view import StudyView

__all__ = ["ablated"]
THREE = f"{ACMIX} {LSKA} p5=lska(k_size=23)"
SCALES = ("yolo11s.yaml", "yolo11m.yaml")


def own(tmp_path):
    """The folder of the ablation that the command finds for study `own`."""
    return tmp_path / "runs" / "own" / "ablations" / "ablation"


def asked(tmp_path, **given):
    return load_request("own", given, {}, runs=tmp_path / "runs")


def planned_anew(plan, tmp_path):
    """The view and notes of `--plan`: the log with the recorded plan, in a separate folder."""
    folder = RunFolder(tmp_path / "planned")
    folder.create()
    shutil.copy(plan.request.folder / "records.jsonl", folder.log.path)
    notes = record_plan(plan, folder)
    return AblationView.read(folder.path), notes


def test_scales_that_were_trained_by_default_stay(tmp_path):
    run_ablation_plan(ablation_plan(own(tmp_path), kinds=("scale",), scales=SCALES, seeds=3))
    request = asked(tmp_path, scales=["m"])
    assert request.settings.scales == ["s", "m"]
    assert "these scales were compared before and stay: s" in request.notes


def test_a_scale_that_the_design_no_longer_has_keeps_its_trials(tmp_path):
    two = run_ablation_plan(ablation_plan(own(tmp_path), kinds=("scale",), scales=SCALES, seeds=3))
    one = run_ablation_plan(ablation_plan(own(tmp_path), kinds=("scale",), scales=SCALES[1:], seeds=4))
    assert [t.number for t in one.trials] == list(range(len(one.trials)))
    assert one.trials[: len(two.trials)] == two.trials


def test_an_ablation_keeps_the_score_that_it_compares(tmp_path):
    """The study has another one: given once, the ablation's own score belongs to it like its fidelity."""
    fabricate(tmp_path / "runs" / "own", 6)
    request = load_request("own", {"base": FULL}, {"score": "recall"}, runs=tmp_path / "runs")
    assert request.config.score == "recall"
    assert "the ablation compares recall; the search was by mAP50-95" in request.notes
    view = run_ablation_plan(ablation_plan(own(tmp_path), score="recall", seeds=3))
    assert view.score.name == "recall" and asked(tmp_path).config.score == "recall"
    assert all(v is None or v == t.evaluation.scores["val"]["recall"] for t, v in (
        (view.trial(view.design.arm(name), i), value) for (name, i), value in view.values.items()
    ))  # fmt: skip
    alone = own(tmp_path).parents[2] / "alone"
    assert load_request("alone", {"base": FULL}, {"data": "D.yaml"}, runs=alone.parent).config.score == "map50_95"


def test_dead_slots_that_were_compared_stay(tmp_path):
    evaluator = SyntheticEvaluator(dead=("p5",))
    run_ablation_plan(ablation_plan(own(tmp_path), evaluator, full=THREE, seeds=3, dead_slots="keep"))
    request = asked(tmp_path, dead_slots="skip")
    assert request.settings.dead_slots == "keep"
    assert "comparisons on dead slots were trained before and stay" in request.notes


def test_dead_slots_that_are_kept_after_a_look_widen_the_family(tmp_path):
    evaluator = SyntheticEvaluator(dead=("p5",))
    before = run_ablation_plan(ablation_plan(own(tmp_path), evaluator, full=THREE, seeds=5, dead_slots="skip"))
    after = run_ablation_plan(ablation_plan(own(tmp_path), evaluator, full=THREE, seeds=5, dead_slots="keep"))
    assert not before.looks.widened and after.looks.widened and after.looks.spent > 1
    assert "comparisons were added" in method(after, "base")


def test_a_comparison_under_another_name_is_not_a_new_one(tmp_path):
    options = {"full": f"{ACMIX} p4=none p5=none", "kinds": ("swap",), "seeds": 5}
    before = run_ablation_plan(ablation_plan(own(tmp_path), controls=False, **options))
    after = run_ablation_plan(ablation_plan(own(tmp_path), controls=True, **options))
    names = [{a.name for a in v.design.arms} for v in (before, after)]
    assert names[0] != names[1] and before.trials == after.trials
    assert not after.looks.widened and after.looks.spent == 1


def test_what_matters_less_after_a_look_is_recorded(tmp_path):
    evaluator = SyntheticEvaluator(effect_sd=0.0, noise_sd=0.01)
    run_ablation_plan(ablation_plan(own(tmp_path), evaluator, seeds=5))
    wide = run_ablation_plan(ablation_plan(own(tmp_path), evaluator, seeds=5, difference=0.03))
    assert wide.settings["difference_before"] == [0.01]
    again = run_ablation_plan(ablation_plan(own(tmp_path), evaluator, seeds=5, difference=0.03))
    assert again.settings["difference_before"] == [0.01]
    assert asked(tmp_path).settings.difference == 0.03


def test_seeds_that_nothing_would_use_change_nothing(tmp_path):
    evaluator = SyntheticEvaluator(effect_sd=0.0, noise_sd=0.002, planted=((ACMIX, 0.05), (LSKA, 0.04)))
    options = {"kinds": ("add-one-in",)}
    before = run_ablation_plan(ablation_plan(own(tmp_path), evaluator, seeds=5, **options))
    assert {d.verdict for d in before.decisions} == {BETTER}
    plan = ablation_plan(own(tmp_path), evaluator, seeds=10, **options)
    view, notes = planned_anew(plan, tmp_path)
    assert estimate(plan, view).trials == 0 and "none is trained up to 10 seeds" in notes[0]
    after = run_ablation_plan(plan)
    assert after.decisions == before.decisions and after.looks == before.looks


def test_a_plan_counts_what_is_undecided_only(tmp_path):
    evaluator = SyntheticEvaluator(effect_sd=0.0, noise_sd=0.01, planted=((ACMIX, 0.1),))
    options = {"kinds": ("add-one-in",)}
    before = run_ablation_plan(ablation_plan(own(tmp_path), evaluator, seeds=5, **options))
    assert {d.verdict for d in before.decisions} == {BETTER, UNDECIDED}
    plan = ablation_plan(own(tmp_path), evaluator, seeds=9, **options)
    view, _ = planned_anew(plan, tmp_path)
    cost = estimate(plan, view)
    after = run_ablation_plan(plan)
    assert not cost.at_most and cost.trials == len(after.trials) - len(before.trials) > 0


def test_a_plan_counts_what_was_begun_though_fewer_seeds_are_wanted_now(tmp_path):
    with pytest.raises(Stopped):
        run_ablation_plan(ablation_plan(own(tmp_path), seeds=8), StoppingEngine(22))  # the next one had been handed out
    plan = ablation_plan(own(tmp_path), seeds=3)
    view, _ = planned_anew(plan, tmp_path)
    after = run_ablation_plan(plan)
    assert estimate(plan, view).trials == len(after.trials) - 22 == 1


def test_a_plan_sees_the_options_of_its_own_command(tmp_path):
    evaluator = SyntheticEvaluator(dead=("p4",))
    options = {"full": f"{ACMIX} {LSKA} p5=none", "kinds": ("add-one-in",), "seeds": 5}
    before = run_ablation_plan(ablation_plan(own(tmp_path), evaluator, dead_slots="skip", **options))
    assert DEAD in {d.verdict for d in before.decisions}
    plan = ablation_plan(own(tmp_path), evaluator, dead_slots="keep", **options)
    view, _ = planned_anew(plan, tmp_path)
    after = run_ablation_plan(plan)
    assert estimate(plan, view).trials == len(after.trials) - len(before.trials) == 5


def another(tmp_path, **given):
    """The request of a second ablation of the same study."""
    return load_request("own", {"base": FULL, **given}, {}, runs=tmp_path / "runs", name="other")


def test_another_ablation_leaves_this_one_room_for_more_seeds(tmp_path):
    run_ablation_plan(ablation_plan(own(tmp_path), seeds=3))  # from seed 100 on
    other = another(tmp_path, seeds=5)
    assert other.seed == 120 and other.fresh
    assert another(tmp_path, seeds=5, seed=110).fresh  # none of these was used yet
    assert not another(tmp_path, seeds=5, seed=102).fresh
    assert not another(tmp_path, seeds=5, seed=98).fresh


def test_seeds_that_were_trained_are_used_though_fewer_are_wanted_now(tmp_path):
    with pytest.raises(Stopped):
        run_ablation_plan(ablation_plan(own(tmp_path), seeds=30), StoppingEngine(4 * 25))
    view = run_ablation_plan(ablation_plan(own(tmp_path), seeds=3))
    last = max(t.seed for t in view.trials)
    assert view.looks.most == 3 and last >= 124
    assert another(tmp_path, seeds=5).seed == last + 1
    assert not another(tmp_path, seeds=1, seed=last).fresh


def test_seeds_far_off_are_in_nobodys_way(tmp_path):
    run_ablation_plan(ablation_plan(own(tmp_path), kinds=("a/a",), seeds=3))
    assert another(tmp_path, seeds=5).seed == 120


def test_more_seeds_that_another_ablation_has_used_are_told(tmp_path):
    run_ablation_plan(ablation_plan(own(tmp_path), seeds=3))
    other = another(tmp_path, seeds=5, seed=110)
    plan = ablation_plan(other.folder, seeds=5)
    run_ablation_plan(replace(plan, request=replace(plan.request, name="other", seed=110)))
    assert asked(tmp_path).fresh and asked(tmp_path, seeds=10).fresh and not asked(tmp_path, seeds=12).fresh
    assert not asked(tmp_path, max_seeds=20).fresh
    plan = ablation_plan(own(tmp_path), seeds=12)
    view = run_ablation_plan(replace(plan, request=replace(plan.request, fresh=False)))
    assert not view.fresh and "another ablation has used these seeds before" in method(view, "base")
    assert not asked(tmp_path).fresh  # once told, it stays so
    assert load_request("own", {}, {}, runs=tmp_path / "runs", name="other").fresh  # it had them first


def test_what_was_killed_before_its_design_has_taken_no_seed(tmp_path):
    plan = ablation_plan(own(tmp_path).parent / "other", seeds=5)
    run_ablation_plan(replace(plan, request=replace(plan.request, name="other")))
    folder = RunFolder(own(tmp_path))
    folder.create()
    folder.log.append("study", **ablation_plan(own(tmp_path)).header)
    assert asked(tmp_path, seeds=1).seed == 100 and not asked(tmp_path, seeds=1).fresh


def test_scales_without_their_kind_are_refused(tmp_path):
    run_ablation_plan(ablation_plan(own(tmp_path), kinds=("sweep",), seeds=3))
    with pytest.raises(UserError, match="`--scales` needs the kind `scale`"):
        asked(tmp_path, scales=["m"])
    assert asked(tmp_path, kinds=["scale"], scales=["m"]).settings.kinds == ["sweep", "scale"]


def test_only_kinds_that_the_command_names_must_be_possible(tmp_path):
    run_ablation_plan(ablation_plan(own(tmp_path), kinds=("scale",), scales=SCALES, seeds=3))
    assert asked(tmp_path).named == ()
    more = asked(tmp_path, kinds=["sweep"])
    assert more.named == ("sweep",) and set(more.settings.kinds) == {"scale", "sweep"}
    assert asked(tmp_path, scales=["m"]).named == ("scale",)


def test_results_that_may_decide_make_a_plan_say_at_most(tmp_path):
    plan = ablation_plan(own(tmp_path), SyntheticEvaluator(noise_sd=0.01), max_seeds=12)
    with pytest.raises(Stopped):
        run_ablation_plan(plan, StoppingEngine(3))
    view, _ = planned_anew(plan, tmp_path)
    assert estimate(plan, view).at_most and estimate(plan, view).trials == 4 * 12 - 3


def test_a_log_that_ends_after_its_first_record_goes_on(tmp_path):
    """The process was killed between the records of a plan."""
    plan = ablation_plan(own(tmp_path), seeds=3)
    RunFolder(own(tmp_path)).create()
    record_plan(plan, RunFolder(own(tmp_path)))
    first = next(iter(RecordLog(own(tmp_path)).read()))
    assert first["kind"] == "study"
    path = own(tmp_path) / "records.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    assert asked(tmp_path).stored is not None
    view = run_ablation_plan(plan)
    assert not view.partial and view.header["ablation"]["name"] == "ablation"


def test_before_it_has_its_own_noise_an_ablation_takes_that_of_its_study(tmp_path):
    fabricate(tmp_path / "study", 6)
    study = StudyView.read(tmp_path / "study")
    plan = ablation_plan(own(tmp_path), SyntheticEvaluator(effect_sd=0.0, noise_sd=0.01), seeds=5)
    plan = replace(plan, request=replace(plan.request, study=study))
    run_ablation_plan(plan, StoppingEngine(10**6))
    view = AblationView.read(own(tmp_path))
    assert "this ablation's own trials" in foresight(plan, view)
    empty = replace(view, trials=(), views={None: replace(view.views[None], trials=())})
    sd = math.sqrt(2) * noise(study).run.mean  # of a difference of two runs with the same seed
    noise_of_a_run = f"noise of {sd / math.sqrt(2):.4f} a run, as in the study's trials at 15 epochs and 160 px"
    assert noise_of_a_run in foresight(plan, empty), "the figure that the search gives"
    for unknown in (None, replace(study, trials=study.trials[:3])):  # the base alone
        assert foresight(replace(plan, request=replace(plan.request, study=unknown)), empty) == ""


def test_a_base_that_learned_nothing_proves_no_slot_dead_and_excludes_nothing(ablated):
    class Untrained(SyntheticEvaluator):
        def truth(self, architecture):
            return 0.001

    view = ablated(Untrained(effect_sd=0.0, noise_sd=0.0002), seeds=5)
    assert view.measured(None) and not view.trained(None) and view.dead_slots() == ()
    assert {d.verdict for d in view.decisions} == {UNTESTED}
    row = next(r for r in family_rows(view, "base") if r.label == "full")
    assert row.words == "not tested: no arm reaches 0.01 mAP50-95, so no arm can lose that much: train longer"


def test_an_interaction_with_a_dead_slot_shows_nothing(ablated):
    view = ablated(SyntheticEvaluator(effect_sd=0.02, noise_sd=0.002, dead=("p4",)), kinds=("factorial",), seeds=8)
    found = {r.label: r.words for r in family_rows(view, "factorial")}
    assert found["interaction of p3 and p4"].startswith("slot p4 is dead: the base does not need its output")
    assert found["main effect of p4"].startswith("slot p4 is dead")
    assert not found["main effect of p3"].startswith("slot")


def test_a_name_must_make_a_folder(tmp_path):
    with pytest.raises(UserError, match="at most 100 characters"):
        load_request("own", {}, {}, runs=tmp_path, name="n" * 300)


def test_claims_of_a_changed_family_are_never_more(tmp_path):
    """With the same trials, a wider family makes no p-value smaller."""
    evaluator = SyntheticEvaluator(effect_sd=0.01, noise_sd=0.004, dead=("p5",))
    few = run_ablation_plan(ablation_plan(own(tmp_path), evaluator, full=THREE, seeds=5, dead_slots="skip"))
    more = run_ablation_plan(ablation_plan(own(tmp_path), evaluator, full=THREE, seeds=5, dead_slots="keep"))
    wide = {d.contrast: d for d in more.decisions}
    for d in few.decisions:
        if d.p is not None:
            assert wide[d.contrast].p >= d.p - 1e-12
            assert d.verdict in (BETTER, WORSE) or wide[d.contrast].verdict not in (BETTER, WORSE)


def test_the_kinds_of_an_ablation_of_an_older_release_stay(tmp_path):
    """Until 0.1, `kinds` was recorded as null, which meant six kinds; a new ablation has two by default."""
    folder = own(tmp_path)
    plan = ablation_plan(folder, kinds=FIRST_KINDS, scales=SCALES, seeds=3)
    run_ablation_plan(plan)
    log = folder / "records.jsonl"
    text = log.read_text(encoding="utf-8")
    named = json.dumps(list(FIRST_KINDS), separators=(",", ":"))
    assert f'"kinds":{named}' in text
    log.write_text(text.replace(f'"kinds":{named}', '"kinds":null'), encoding="utf-8")
    assert asked(tmp_path).settings.kinds == list(FIRST_KINDS)
    assert asked(tmp_path, kinds=["a/a"]).settings.kinds == [*FIRST_KINDS, "a/a"]
    fresh = load_request("own", {"base": FULL}, {}, runs=tmp_path / "runs", name="another")
    assert fresh.settings.kinds == ["leave-one-out", "add-one-in"]
