"""`--try`: architectures that are trained before the search chooses its own."""

from __future__ import annotations

import pytest
from untrained_searches import make_plan, run_plan

from nas_attn.errors import GrammarError, UnknownName, UserError
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.config import StudyConfig

WANTED = ["p4=ACmix", "p3=lska(k_size=11) p5=conv"]


def searched(view):
    return [t for t in view.trials if t.role == "search"]


@pytest.mark.parametrize("sampler", ["known-cost", "tpe"])
def test_they_come_first_in_their_order(tmp_path, sampler):
    plan = make_plan(trials=12, sampler=sampler, first=WANTED)
    wanted = plan.first(plan.space.names, print)
    found = searched(run_plan(plan, tmp_path / "s"))
    assert [t.architecture for t in found[:2]] == wanted
    assert len({t.architecture for t in found}) > 2, "then the search chooses"


def test_a_search_that_goes_on_trains_what_is_newly_asked_for(tmp_path):
    run_plan(make_plan(trials=9), tmp_path / "s")
    view = run_plan(make_plan(trials=12, first=WANTED[:1]), tmp_path / "s")
    text = "p3=none p4=acmix(head=4,kernel_att=7) p5=none"
    at = next(t.number for t in view.trials if str(t.architecture) == text)
    assert at <= 9, "at once, unless the search had tried it"
    again = run_plan(make_plan(trials=12, first=WANTED[:1]), tmp_path / "s")
    assert len(again.trials) == len(view.trials), "once"


def test_one_at_a_slot_that_is_not_searched_is_left_out_and_said(tmp_path):
    told: list[str] = []
    plan = make_plan(SyntheticEvaluator(dead=("p5",)), trials=10, first=WANTED)
    left_out = plan.first(plan.space.names, told.append)[1]
    assert told == [] and len(plan.first(("p3", "p4"), told.append)) == 1
    assert told == [f"`--try` {left_out}: left out, because p5 is not searched."]
    assert left_out not in [t.architecture for t in run_plan(plan, tmp_path / "s").trials]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [("p9=acmix", UnknownName, "p9"), ("p3=acmx", UserError, "acmx"), ("acmix", GrammarError, "slot=gene"),
     ("p3=acmix(head=3)", UserError, "head")],
)  # fmt: skip
def test_what_the_space_lacks_is_refused(text, error, words):
    plan = make_plan(first=[text])
    with pytest.raises(error, match=words):
        plan.first(plan.space.names, print)


def test_one_text_or_several():
    assert StudyConfig(data="d", first="p3=se").first == ["p3=se"] == StudyConfig(data="d", first=["p3=se"]).first
