"""Trials that run together: one call for a group, one trial for each member, and no score without a run alone."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from synthetic_groups import SyntheticGroups
from untrained_searches import make_plan, run_plan

from nas_attn.analysis.front import front
from nas_attn.analysis.posterior import posterior
from nas_attn.engine import Call, Failure, worker
from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Fidelity
from nas_attn.space import Architecture
from nas_attn.study.plan import Plan
from nas_attn.study.record_kinds import KINDS
from nas_attn.study.records import LOG_NAME
from nas_attn.study.trial import TOGETHER
from nas_attn.study.view import StudyView

TRIALS = 56
MODULES = {"conv": {"groups": [1]}, "lska": {"k_size": [7]}, "acmix": {"head": [2], "kernel_att": [3]}}


@pytest.fixture(scope="module")
def evaluator():
    return SyntheticGroups(noise_sd=0.02, effect_sd=0.01, seed=1)


@pytest.fixture(scope="module")
def view(evaluator, tmp_path_factory):
    return run_plan(planned(evaluator), tmp_path_factory.mktemp("groups") / "s")


def planned(evaluator: SyntheticGroups, **config: Any) -> Plan:
    return make_plan(evaluator, **{"trials": TRIALS, "modules": MODULES, "together": 8, **config})


def grouped(view: StudyView) -> dict[int, list]:
    found: dict[int, list] = {}
    for t in view.trials:
        if t.group is not None:
            found.setdefault(t.group, []).append(t)
    return found


def test_each_member_is_a_trial_and_a_group_is_one_call(view, evaluator):
    groups = grouped(view)
    assert view.counted == TRIALS and groups
    assert [tuple(str(t.architecture) for t in ts) for ts in groups.values()] == evaluator.calls
    for number, members in groups.items():
        assert members[0].number == number and len({t.seed for t in members}) == 1
        assert all(t.state == "complete" and t.together and not t.usable for t in members)
        assert all(TOGETHER in t.evaluation.flags for t in members if t.evaluation)
    alone = {t.seed for t in view.trials if t.group is None}
    assert not alone & {t.seed for t in view.trials if t.group is not None}


def test_nothing_is_reported_without_a_run_alone(view):
    own = {t.architecture for t in view.trials if t.usable}
    found = posterior(view)
    assert found is not None and {c.architecture for c in found.candidates} <= own
    assert {c.architecture for c in front(view)} <= own
    for candidate in view.candidates():
        trained = any(t.usable for t in candidate.trials)
        assert (candidate.mean is not None) == trained
        assert (
            candidate.state in ("usable", "stopped") if candidate.architecture in own else candidate.state != "usable"
        )
    assert view.reference == pytest.approx(
        sum(t.map50_95 for t in view.trials if t.usable and t.architecture.is_base)
        / sum(t.usable and t.architecture.is_base for t in view.trials)
    )


def test_a_group_tells_something_of_what_runs_alone(view):
    without = StudyView(view.folder, view.header, view.slots, tuple(t for t in view.trials if t.group is None))
    told, plain = posterior(view), posterior(without)
    assert told is not None and plain is not None
    some, others = ({c.key: d.mean for c, d in zip(p.candidates, p.differences, strict=True)} for p in (told, plain))
    assert some.keys() == others.keys() and any(some[key] != others[key] for key in some)


def test_a_member_that_fails_leaves_the_others_alone(tmp_path):
    first = run_plan(planned(SyntheticGroups(noise_sd=0.02, seed=1)), tmp_path / "whole")
    lost = next(iter(grouped(first).values()))[2]
    again = SyntheticGroups(noise_sd=0.02, seed=1, lost=(str(lost.architecture),))
    view = run_plan(planned(again), tmp_path / "one failed")
    members = next(iter(grouped(view).values()))
    assert Counter(t.state for t in members) == {"complete": len(members) - 1, "failed": 1}
    assert view.trials[lost.number].reason == "lost in a group"
    assert sum(str(lost.architecture) in call for call in again.calls) == 1


def test_a_search_that_ended_within_a_group_continues_it_as_it_began(tmp_path, evaluator):
    plan = planned(SyntheticGroups(noise_sd=0.02, effect_sd=0.01, seed=1))
    whole = run_plan(plan, tmp_path / "whole")
    log = tmp_path / "whole" / LOG_NAME
    lines = log.read_text("utf-8").splitlines(keepends=True)
    number = next(iter(grouped(whole)))
    ends = [
        i for i, line in enumerate(lines) if (r := json.loads(line))["kind"] == "finished" and r["number"] == number
    ]
    for name, kept in (("all begun, none ended", ends[0]), ("one ended", ends[0] + 1)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / LOG_NAME).write_text("".join(lines[:kept]), "utf-8")
        evaluator.calls.clear()
        other = planned(evaluator, together=4)  # new groups are smaller; this one goes on
        view = run_plan(other, folder)
        assert evaluator.calls[0] == tuple(str(t.architecture) for t in grouped(whole)[number])
        assert all(len(call) <= 4 for call in evaluator.calls[1:])
        members = grouped(view)[number]
        assert [t.evaluation for t in members] == [t.evaluation for t in grouped(whole)[number]]
        records = [json.loads(line) for line in (folder / LOG_NAME).read_text("utf-8").splitlines()]
        ended = Counter(r["number"] for r in records if r["kind"] == "finished")
        assert max(ended.values()) == 1


@pytest.mark.parametrize("config", [{"together": 1}, {"trials": 30}, {"sampler": "random"}])
def test_no_groups(config, tmp_path):
    evaluator = SyntheticGroups(noise_sd=0.02, seed=1)
    view = run_plan(planned(evaluator, **config), tmp_path / "s")
    assert not evaluator.calls and all(t.group is None for t in view.trials)


def test_the_records_of_a_group_are_valid_and_read_by_all_tables(view):
    records = [json.loads(line) for line in (view.folder / LOG_NAME).read_text("utf-8").splitlines()]
    for record in records:
        KINDS[record["kind"]].model_validate(record)
    frame = view.frame()
    assert frame["flags"].str.contains(TOGETHER).sum() == sum(t.group is not None for t in view.trials)
    assert StudyView.read(view.folder).trials == view.trials


def test_a_worker_keeps_the_results_of_a_group(tmp_path):
    some = [Architecture.parse("p3=none"), Architecture.parse("p3=lska(k_size=7)"), Architecture.parse("p3=simam()")]
    evaluator = SyntheticGroups(lost=(str(some[1]),))
    call = Call(0, evaluator.together, (some, Fidelity(3, 64), 1000), result=tmp_path / "result", signature="a group")
    found = worker.checked(worker.run(call))
    assert isinstance(found, list) and found[1] == Failure("lost in a group")
    assert worker.checked(worker.run(call)) == found and len(evaluator.calls) == 1
    assert worker.checked([1.0, EvaluationFailed("no")]) == [
        Failure("the result is not an evaluation: float"),
        Failure("no"),
    ]


def test_what_ran_in_a_group_only_is_shown_with_what_is_expected_of_it(view):
    from nas_attn.analysis.figure_numbers import pareto_numbers
    from nas_attn.analysis.figures import pareto_figure
    from nas_attn.analysis.tables import counts
    from nas_attn.api.progress import line
    from nas_attn.dashboard.candidate_card import candidate_blocks

    chosen = [t.architecture for t in view.trials if t.group is not None and t.role == "search"][1:4]
    left = tuple(t for t in view.trials if t.group is not None or t.architecture not in chosen)
    view = StudyView(view.folder, view.header, view.slots, left)
    only = [c for c in view.candidates() if c.state == "together"]
    assert only and counts(view)["together"] == sum(t.together for t in view.trials)
    numbers = pareto_numbers(view)
    points = {p.key: p for p in numbers.points}
    found = posterior(view)
    assert found is not None
    for candidate in only:
        point = points[candidate.key]
        assert point.state == "together" and not point.on_front and candidate.key not in numbers.front
        assert point.score == pytest.approx(found.expected([candidate.architecture])[0])
        assert "a run of its own decides" in point.verdict
        assert f"{candidate.trials[0].number} (together)" in str(candidate_blocks(view, candidate, lambda _: ""))
        assert "trained together with " in line(candidate.trials[0]) and "mAP" not in line(candidate.trials[0])
    assert "trained together (expected)" in [t.name for t in pareto_figure(numbers).data]
