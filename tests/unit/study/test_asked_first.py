"""`--try`: architectures that are trained before the search chooses its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from untrained_searches import make_plan, run_plan

from nas_attn.errors import GrammarError, UnknownName, UserError
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import NONE
from nas_attn.study.config import StudyConfig
from nas_attn.study.first_trials import introduced
from nas_attn.study.observer import Silent
from nas_attn.study.view import StudyView

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


def with_names(plan, *names):
    return replace(plan, header={**plan.header, "named": list(names)})


@pytest.mark.parametrize("sampler", ["known-cost", "tpe"])
def test_each_module_that_the_user_named_is_tried_early(tmp_path, sampler):
    plan = with_names(make_plan(trials=14, sampler=sampler, first=WANTED[:1]), "lska", "acmix", "conv")
    view = run_plan(plan, tmp_path / "s")
    found = [t.architecture for t in searched(view)]
    assert found[0] == plan.first(plan.space.names, print)[0], "what is asked for comes before what is only named"
    best = max(view.slots["searched"], key=lambda s: view.slots["drop"][s])
    for architecture, name in zip(found[1:4], ("lska", "acmix", "conv"), strict=True):
        assert [(s, g.module) for s, g in architecture if g != NONE] == [(best, name)]
        plain = [
            g for g in plan.space[best].genes if g.module == name and g.as_dict().get("residual", "none") == "none"
        ]
        options = sorted(plain, key=lambda g: plan.params(best, g))
        assert architecture[best] == options[len(options) // 2], "neither the largest nor the smallest"


def test_a_search_of_an_older_release_goes_on_as_it_began(tmp_path):
    run_plan(make_plan(trials=8), tmp_path / "old")
    run_plan(make_plan(trials=14), tmp_path / "old")
    run_plan(make_plan(trials=8), tmp_path / "now")
    now = run_plan(with_names(make_plan(trials=14), "lska", "acmix"), tmp_path / "now")
    assert now.trials == StudyView.read(tmp_path / "old").trials


def test_a_module_that_is_too_large_everywhere_is_not_tried(tmp_path):
    plan = with_names(make_plan(trials=12), "lska")
    cheap = replace(plan, config=plan.config.model_copy(update={"max_gmacs": plan.table.base.gmacs}))
    assert introduced(plan, ["lska"], ["p3"]) and not introduced(cheap, ["lska"], ["p3", "p4", "p5"])
    assert introduced(plan, ["none", "nosuch"], ["p3"]) == []


def test_why_the_base_gets_a_further_seed_is_said(tmp_path):
    notes: list[str] = []

    class Noted(Silent):
        def note(self, text):
            notes.append(text)

    view = run_plan(make_plan(SyntheticEvaluator(noise_sd=0.02), trials=40), tmp_path / "s", observer=Noted())
    further = [t for t in view.trials if t.role == "base"][view.header["config"]["control_seeds"] :]
    said = [n for n in notes if n.startswith("The base gets seed")]
    assert further and len(said) == len(further)
    assert all(f"seed {t.seed}, to compare with" in n for t, n in zip(further, said, strict=True))
