"""The supervisor of a search, tested with an evaluator whose true scores are known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from untrained_searches import InlineEngine, NoMirror, make_plan, run_plan

from nas_attn.api.progress import worth
from nas_attn.errors import EvaluationFailed, UserError
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import Architecture
from nas_attn.study.folder import RunFolder
from nas_attn.study.limits import check_limits
from nas_attn.study.mirror import read_mirror
from nas_attn.study.observer import Silent
from nas_attn.study.sampler_table import SAMPLERS
from nas_attn.study.search import Search
from nas_attn.study.view import StudyView


def test_controls_come_first_and_trials_are_counted(tmp_path):
    view = run_plan(make_plan(trials=12), tmp_path / "s")
    assert view.counted == 12
    assert [t.role for t in view.trials[:5]] == ["base"] * 2 + ["conv"] * 2 + ["search"]
    assert [t.seed for t in view.trials[:4]] == [0, 1, 0, 1]
    assert all(t.state in ("complete", "stopped") for t in view.trials)


def test_conv_control_stands_in_every_live_slot_and_is_nearest_to_the_median_module(tmp_path):
    plan = make_plan(SyntheticEvaluator(dead=("p5",)), trials=6)
    view = run_plan(plan, tmp_path / "s")
    control = Architecture.parse(view.slots["control"])
    assert control["p5"].module == "none"
    assert {control["p3"].module, control["p4"].module} == {"conv"}
    import statistics

    for slot in ("p3", "p4"):
        sizes: dict[str, list[int]] = {}
        for gene in plan.space[slot].genes:
            if gene.module not in ("none", "conv"):
                sizes.setdefault(gene.module, []).append(plan.params(slot, gene))
        target = statistics.median(statistics.median(v) for v in sizes.values())
        offered = [g for g in plan.space[slot].genes if g.module == "conv" and "residual" not in g.as_dict()]
        nearest = min(abs(plan.params(slot, g) - target) for g in offered)
        assert abs(plan.params(slot, control[slot]) - target) == nearest


def test_dead_slots_are_not_searched_unless_told(tmp_path):
    evaluator = SyntheticEvaluator(dead=("p4",))
    skip = run_plan(make_plan(evaluator, trials=30, sampler="random"), tmp_path / "skip")
    keep = run_plan(make_plan(evaluator, trials=30, sampler="random", dead_slots="keep"), tmp_path / "keep")
    assert skip.slots["live"] == ["p3", "p5"] == skip.slots["searched"]
    assert keep.slots["live"] == ["p3", "p5"] and keep.slots["searched"] == ["p3", "p4", "p5"]
    assert {t.architecture["p4"].module for t in skip.trials} == {"none"}
    assert len({t.architecture["p4"].module for t in keep.trials}) > 1


def test_no_live_slot_ends_the_search_after_the_controls(tmp_path):
    notes: list[str] = []

    class Watch(Quiet):
        def note(self, text):
            notes.append(text)

    view = run_plan(make_plan(SyntheticEvaluator(dead=("p3", "p4", "p5")), trials=30), tmp_path / "s", observer=Watch())
    assert [t.role for t in view.trials] == ["base"] * 2
    assert "nothing to choose" in notes[-1]


@pytest.mark.parametrize("dead_slots", ["skip", "keep"])
def test_a_base_that_scores_too_little_proves_no_slot_dead(tmp_path, dead_slots):
    class Watch(Quiet):
        def note(self, text):
            notes.append(text)

    notes: list[str] = []
    plan = make_plan(trials=8, live_threshold=0.5, dead_slots=dead_slots)  # no slot costs more than the base scores
    view = run_plan(plan, tmp_path / "s", observer=Watch())
    assert view.slots["live"] == []
    told = next(n for n in notes if "It is not known which slots are live" in n)
    assert ("--dead-slots keep" in told) == (dead_slots == "skip")
    assert {t.role for t in view.trials} == ({"base"} if dead_slots == "skip" else {"base", "conv", "search"})
    assert {worth(drop, view.slots) for drop in view.slots["drop"].values()} == {
        "unknown (the base scores too little to tell)"
    }


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (0.02, "live (zeroing it costs 0.0200 mAP50-95)"),
        (0.0, "dead (zeroing it costs 0.0000 mAP50-95)"),
        (-0.02, "undertrained (zeroing it raises mAP50-95 by 0.0200)"),
    ],
)
def test_the_progress_says_what_a_slot_is(lost, said):
    assert worth(lost, {"intact": 0.4, "threshold": 0.003}) == said


def test_every_trial_is_compared_with_the_base_of_its_seed(tmp_path):
    view = run_plan(make_plan(trials=20, early_stop="off"), tmp_path / "s")
    base = {t.seed: t.map50_95 for t in view.trials if t.architecture.is_base}
    for t in view.trials:
        if not t.architecture.is_base:
            assert t.delta == pytest.approx(t.map50_95 - base[t.seed], abs=1e-12)


def test_duplicates_become_another_seed(tmp_path):
    plan = make_plan(trials=40, modules={"conv": {"groups": [1], "residual": ["none"]}}, slots=None, sampler="tpe")
    view = run_plan(plan, tmp_path / "s")  # eight architectures, forty trials
    assert len({t.architecture for t in view.trials}) <= plan.space.size == 8
    pairs = [(t.architecture, t.seed) for t in view.trials]
    assert len(set(pairs)) == len(pairs) == 40
    base_seeds = {t.seed for t in view.trials if t.architecture.is_base}
    assert {t.seed for t in view.trials} <= base_seeds  # nothing is trained with a seed that the base lacks


def test_limits_refuse_before_training_and_do_not_count(tmp_path):
    plan = make_plan(trials=20, max_gmacs=3.06, sampler="random")
    view = run_plan(plan, tmp_path / "s")
    refused = [t for t in view.trials if t.state == "refused"]
    assert refused and all(t.gmacs > 3.06 and "limit" in t.reason and t.violation > 0 for t in refused)
    assert all(t.gmacs <= 3.06 for t in view.trials if t.role == "search" and t.state == "complete")
    assert view.counted == 20


def test_failures_are_recorded_and_the_search_goes_on(tmp_path):
    first = run_plan(make_plan(trials=10), tmp_path / "a")
    victim = str(first.trials[7].architecture)
    view = run_plan(make_plan(SyntheticEvaluator(fail_on=(victim,)), trials=10), tmp_path / "b")
    failed = [t for t in view.trials if t.state == "failed"]
    assert [str(t.architecture) for t in failed] == [victim]
    assert failed[0].reason and view.counted == 10


def test_flagged_runs_stay_off_the_front(tmp_path):
    from nas_attn.analysis.front import front

    first = run_plan(make_plan(trials=14), tmp_path / "a")
    best = max((c for c in front(first) if not c.architecture.is_base), key=lambda c: c.mean)
    again = run_plan(make_plan(SyntheticEvaluator(flag_on=(str(best.architecture),)), trials=14), tmp_path / "b")
    flagged = [t for t in again.trials if t.evaluation and t.evaluation.flags]
    assert flagged and not any(t.usable or t.delta is not None for t in flagged)
    assert best.architecture not in [c.architecture for c in front(again)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_find_what_is_good(tmp_path, sampler):
    plan = make_plan(SyntheticEvaluator(noise_sd=0.0, effect_sd=0.05), trials=40, sampler=sampler, control_seeds=1)
    view = run_plan(plan, tmp_path / "s")
    truth = [plan.evaluator.truth(a) for a in plan.space.enumerate()]
    best = max(t.map50_95 for t in view.trials if t.usable)
    share = sum(t >= best for t in truth) / len(truth)
    assert share < 0.1  # among the best tenth of the space


def test_more_workers_leave_the_same_kind_of_study(tmp_path):
    view = run_plan(make_plan(trials=15, control_seeds=3), tmp_path / "s", engine=InlineEngine(width=4))
    assert view.counted == 15 and {t.role for t in view.trials[:3]} == {"base"}
    assert view.slots["trials"] == 3


def test_fewer_trials_than_controls(tmp_path):
    view = run_plan(make_plan(trials=2), tmp_path / "s")
    assert [t.role for t in view.trials] == ["base", "base"] and view.slots["trials"] == 2


def test_the_mirror_holds_everything(tmp_path):
    url = f"sqlite:///{tmp_path / 'm.db'}"
    plan = make_plan(SyntheticEvaluator(), trials=14, max_gmacs=3.15, sampler="tpe")
    view = run_plan(plan, tmp_path / "s", url=url)
    records = read_mirror(url, "synthetic")
    again = StudyView.of(view.folder, records)
    assert again.trials == view.trials and again.slots == view.slots and again.header == view.header

    import optuna

    study = optuna.load_study(storage=url, study_name="synthetic")
    texts = [v for t in study.trials for v in t.user_attrs.values() if isinstance(v, str)]
    texts += [v for v in study.user_attrs.values() if isinstance(v, str)]
    assert max(map(len, texts)) < 1000
    states = {t.state.name for t in study.trials}
    assert {"COMPLETE", "PRUNED"} <= states


def test_a_database_that_goes_away_costs_nothing(tmp_path, monkeypatch):
    import sqlalchemy.exc

    from nas_attn.study.mirror import Mirror

    url = f"sqlite:///{tmp_path / 'm.db'}"
    write, calls = Mirror.write_trial, []

    def flaky(self, *arguments):
        calls.append(1)
        if 3 < len(calls) < 7:
            raise sqlalchemy.exc.OperationalError("insert", {}, Exception("gone"))
        write(self, *arguments)

    monkeypatch.setattr(Mirror, "write_trial", flaky)
    notes: list[str] = []

    class Watch(Quiet):
        def note(self, text):
            notes.append(text)

    view = run_plan(make_plan(trials=10), tmp_path / "s", url=url, observer=Watch())
    assert view.counted == 10 and any("gone" in n for n in notes)
    assert StudyView.of(view.folder, read_mirror(url, "synthetic")).trials == view.trials  # caught up at the end


@dataclass(frozen=True)
class SeedEffect:
    """An evaluator in which a seed shifts the scores of all architectures equally; chosen seeds of the base fail."""

    inner: SyntheticEvaluator = field(default_factory=lambda: SyntheticEvaluator(noise_sd=0.0))
    effects: tuple[float, ...] = (-0.05, 0.0, 0.05)
    lost: tuple[int, ...] = ()

    def __call__(self, architecture, fidelity, seed, **keywords):
        if architecture.is_base and seed in self.lost:
            raise EvaluationFailed("lost")
        found = self.inner(architecture, fidelity, seed, **keywords)
        effect = self.effects[seed % len(self.effects)]
        liveness = {k: v + effect for k, v in (found.liveness or {}).items()} or None
        return replace(found, map50_95=found.map50_95 + effect, liveness=liveness)


def test_the_front_compares_architectures_and_not_seeds(tmp_path):
    from nas_attn.analysis.front import trained
    from nas_attn.statistics.pareto import best_of

    modules = {"acmix": {"head": [2], "kernel_att": [3]}, "conv": {"groups": [1]}, "lska": {"k_size": [23]}}
    plan = make_plan(SeedEffect(), trials=40, sampler="random", modules=modules, control_seeds=3)
    view = run_plan(plan, tmp_path / "s")
    truth, found = plan.evaluator.inner.truth, trained(view)
    true = np.array([truth(c.architecture) for c in found.candidates])
    assert found.estimates == pytest.approx(true + np.mean(found.estimates - true), abs=0.005)  # whatever their seeds
    means = np.array([c.mean for c in found.candidates])
    assert np.abs(means - true).max() > 0.045  # the raw mean of one unlucky seed is far lower
    assert true[best_of(found.estimates, found.gmacs)] == true.max()
    for c in view.candidates():
        assert c.score == pytest.approx(truth(c.architecture), abs=1e-9)  # without noise, pairs are exact


def test_the_sampler_is_told_paired_values(tmp_path):
    plan = make_plan(SeedEffect(), trials=12, sampler="random", control_seeds=3)
    folder = tmp_path / "s"
    run_plan(plan, folder)
    search = Search(plan, RunFolder(folder), InlineEngine(), NoMirror(), Silent())
    search._open_space()
    for trial, known in zip(search.view.trials, search._stored.known(search.view), strict=True):
        assert known.values[0] == pytest.approx(plan.evaluator.inner.truth(trial.architecture), abs=1e-9)


def test_a_lost_base_seed_is_replaced(tmp_path):
    view = run_plan(make_plan(SeedEffect(lost=(0,)), trials=20, sampler="random", control_seeds=3), tmp_path / "s")
    base = [t for t in view.trials if t.architecture.is_base]
    assert [t.seed for t in base if t.usable][:3] == [1, 2, 3]
    others = [t for t in view.trials if not t.architecture.is_base]
    assert others and all(t.delta is not None for t in others)


def test_a_base_trial_in_place_of_a_proposal_does_not_bear_its_parameters(tmp_path):
    plan = make_plan(trials=40, modules={"conv": {"groups": [1], "residual": ["none"]}})
    view = run_plan(plan, tmp_path / "s")
    for t in view.trials:
        modules = {slot: gene.module for slot, gene in t.architecture}
        params = t.sampled.get("params", {})
        assert all(modules[k] == v for k, v in params.items() if k in modules)


def test_a_convolution_over_the_limit_is_made_cheaper_or_left_out(tmp_path):
    plan = make_plan(trials=8, max_gmacs=3.0001, sampler="random", control_seeds=1)
    notes: list[str] = []

    class Watch(Quiet):
        def note(self, text):
            notes.append(text)

    with pytest.raises(UserError, match="limits must leave something"):
        run_plan(plan, tmp_path / "s", observer=Watch())
    view = StudyView.read(tmp_path / "s")
    assert {t.role for t in view.trials if t.state == "complete"} == {"base"}
    assert any("no convolution control" in n for n in notes)


@pytest.mark.parametrize("limits", [{"max_gmacs": 2.0}, {"max_gmacs": 3.0}, {"max_params": 2.6}])
def test_limits_that_leave_no_module_are_refused(limits):
    plan = make_plan(**limits)
    with pytest.raises(UserError, match="room for the base and one module"):
        check_limits(plan.config, plan.space, plan.table)
    check_limits(make_plan(max_gmacs=4.0, max_params=4.0).config, plan.space, plan.table)


def test_a_reset_folder_does_not_hand_its_results_to_another_study(tmp_path):
    folder = tmp_path / "s"
    run_plan(make_plan(SyntheticEvaluator(seed=1), trials=8), folder)
    (folder / "records.jsonl").unlink()
    plan = make_plan(SyntheticEvaluator(seed=2), trials=8)
    plan.header["id"] = "another"
    again = run_plan(plan, folder)
    fresh = run_plan(plan, tmp_path / "fresh")
    assert [t.map50_95 for t in again.trials] == [t.map50_95 for t in fresh.trials]


def test_a_storage_with_another_study_of_that_name_is_refused(tmp_path):
    import optuna

    url = f"sqlite:///{tmp_path / 'shared.db'}"
    run_plan(make_plan(trials=6), tmp_path / "a", url=url)
    other = make_plan(trials=6)
    other.header["id"] = "another"
    with pytest.raises(UserError, match="another study with the same name"):
        run_plan(other, tmp_path / "b", url=url)
    single = f"sqlite:///{tmp_path / 'single.db'}"
    optuna.create_study(storage=single, study_name="synthetic")
    with pytest.raises(UserError, match="another study with the same name"):
        run_plan(make_plan(trials=6), tmp_path / "c", url=single)
    run_plan(make_plan(trials=8), tmp_path / "a", url=url)  # its own goes on
    assert len([r for r in read_mirror(url, "synthetic") if r["kind"] == "finished"]) == 8


class Quiet:
    def opened(self, view, trials):
        pass

    def started(self, view, trial):
        pass

    def finished(self, view, trial):
        pass

    def slots(self, view):
        pass

    def note(self, text):
        pass
