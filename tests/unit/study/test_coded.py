"""Architectures as points with exact costs: back and forth, costs with and without a record of them, dead slots."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from fabricated_studies import BASE, REFUSED, Fabricator, cost
from known_effects import study_of
from untrained_searches import make_plan, run_plan, with_costs

from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import Architecture, Gene
from nas_attn.study.coded import Coded
from nas_attn.study.plan import Plan
from nas_attn.study.view import StudyView

TRIALS = {"trials": 24, "sampler": "random", "seed": 3}


def ended(view: StudyView) -> list[Architecture]:
    return list(dict.fromkeys(t.architecture for t in view.trials if t.state != "refused"))


def gmacs(coded: Coded, architectures: list[Architecture]) -> np.ndarray:
    return coded.gmacs(np.array([coded.point(a) for a in architectures]))


def recorded(view: StudyView) -> list[float]:
    found = {t.architecture: t.gmacs for t in view.trials}
    return [found[a] for a in ended(view)]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return with_costs(make_plan(**TRIALS))


@pytest.fixture(scope="module")
def view(plan, tmp_path_factory) -> StudyView:
    """A study with the costs of genes in its header."""
    return run_plan(plan, tmp_path_factory.mktemp("runs") / "s")


@pytest.fixture(scope="module")
def older(tmp_path_factory) -> StudyView:
    """The same study without them, like those of release 0.1.0."""
    return run_plan(make_plan(**TRIALS), tmp_path_factory.mktemp("runs") / "s")


def test_points_and_architectures_go_back_and_forth(view, plan):
    coded = Coded.of_view(view)
    for architecture in [*ended(view), plan.space.base_architecture()]:
        assert coded.architecture(coded.point(architecture)) == architecture
    points = coded.space.random(np.random.default_rng(0), 50)
    assert [coded.point(coded.architecture(tuple(p))) for p in points] == [tuple(p) for p in points]
    assert len({coded.architecture(tuple(p)) for p in points}) == len(np.unique(points, axis=0)) > 30


def test_the_space_is_everything_that_the_study_could_choose(view, plan):
    coded = Coded.of_view(view)
    assert {slot: set(genes) for slot, genes in coded.genes.items()} == {
        slot: set(cells) for slot, cells in plan.table.cells.items()
    }
    assert all(genes[0] == Gene("none") for genes in coded.genes.values())
    assert all(coded.point(a) is not None for a in list(plan.space.enumerate())[::50])


def test_without_a_record_the_space_is_what_was_trained(older):
    coded = Coded.of_view(older)
    trained = {slot: {a[slot] for a in ended(older)} for slot in ("p3", "p4", "p5")}
    assert {slot: set(genes) for slot, genes in coded.genes.items()} == trained


@pytest.mark.parametrize("text", ["p3=acmix(head=8,kernel_att=3) p4=none p5=none", "p3=se p4=none p5=none", "p2=conv"])
def test_other_genes_and_slots_have_no_point(view, text):
    assert Coded.of_view(view).point(Architecture.parse(text)) is None


def test_slots_that_are_not_named_are_empty(view):
    coded = Coded.of_view(view)
    full = Architecture.parse("p3=lska(k_size=23) p4=none p5=none")
    assert coded.point(Architecture.parse("p3=lska(k_size=23)")) == coded.point(full)
    assert coded.point(Architecture.parse("p2=none p3=lska(k_size=23)")) == coded.point(full)
    assert coded.point(Architecture.parse("p3=none")) == (0, 0, 0)


def test_costs_are_those_of_the_record(view, plan):
    coded = Coded.of_view(view)
    assert gmacs(coded, ended(view)) == pytest.approx(recorded(view), abs=1e-12)
    others = list(plan.space.enumerate())[::37]
    assert gmacs(coded, others) == pytest.approx([plan.table.cost(a).macs / 1e9 for a in others], abs=1e-12)
    assert np.ptp(recorded(view)) > 0.05


def test_costs_that_were_not_recorded_follow_from_those_of_architectures(older):
    coded = Coded.of_view(older)
    assert gmacs(coded, ended(older)) == pytest.approx(recorded(older), abs=1e-9)
    assert gmacs(coded, [Architecture.parse(BASE)]) == pytest.approx([3.0], abs=1e-9)


def test_the_cost_of_a_base_that_never_ran_follows_from_other_trials(tmp_path):
    study = Fabricator(tmp_path)
    for genes in itertools.product(("none", "conv", "lska(k_size=23)"), repeat=2):
        if genes != ("none", "none"):
            study.complete(f"p3={genes[0]} p4={genes[1]} p5=none", 0.3)
    coded = Coded.of_view(StudyView.read(tmp_path))
    assert gmacs(coded, [Architecture.parse(BASE)]) == pytest.approx([cost(Architecture.parse(BASE))["gmacs"]])


def test_a_gene_that_the_record_lacks_is_solved(view):
    """Of the trained genes at p4, one is taken out of the header; only its own cost then follows from trials."""
    header = json.loads(json.dumps(view.header))
    own, texts = header["space"]["slots"]["p4"], header["space"]["genes"]
    gone = next(a["p4"] for a in ended(view) if a["p4"] != Gene("none"))
    at = own["counted"].index(texts.index(str(gone)))
    macs = own["costs"].pop(at)[0]
    own["counted"].pop(at)
    less = StudyView(view.folder, view.header.changed(header), view.slots, view.trials)
    coded = Coded.of_view(less)
    alone, base = Architecture.of({"p4": gone}), Architecture.parse("p4=none")
    assert np.diff(gmacs(coded, [base, alone])) == pytest.approx([macs / 1e9], abs=1e-9)
    assert gmacs(coded, ended(view)) == pytest.approx(recorded(view), abs=1e-9)


def test_a_plan_and_its_study_have_equal_costs(view, plan):
    genes = {s.slot.name: s.genes for s in plan.space.slots}
    planned, found = Coded.of_plan(plan, genes), Coded.of_view(view)
    assert planned.genes == {slot: tuple(some) for slot, some in genes.items()}
    points = planned.space.random(np.random.default_rng(1), 40)
    asked = [planned.architecture(tuple(p)) for p in points]
    assert planned.gmacs(points) == pytest.approx(gmacs(found, asked), abs=1e-12)


@pytest.mark.parametrize("costs", [True, False])
def test_dead_slots_are_left_out(tmp_path, costs):
    plan = make_plan(SyntheticEvaluator(dead=("p4",)), **TRIALS)
    view = run_plan(with_costs(plan) if costs else plan, tmp_path / "s")
    coded = Coded.of_view(view)
    assert list(coded.genes) == ["p3", "p5"] and list(ended(view)[0].slots) == ["p3", "p4", "p5"]
    for architecture in ended(view):
        left = {slot: gene for slot, gene in architecture if slot != "p4"}
        assert coded.architecture(coded.point(architecture)) == Architecture.of(left)
    assert coded.point(Architecture.parse("p3=none p4=lska(k_size=23) p5=none")) is None
    assert gmacs(coded, ended(view)) == pytest.approx(recorded(view), abs=1e-9)


def test_dead_slots_that_are_searched_stay(tmp_path):
    view = run_plan(make_plan(SyntheticEvaluator(dead=("p4",)), dead_slots="keep", **TRIALS), tmp_path / "s")
    assert list(Coded.of_view(view).genes) == ["p3", "p4", "p5"]


def test_what_was_only_refused_is_no_part_of_the_space(tmp_path):
    study = Fabricator(tmp_path)
    study.complete(BASE, 0.3, role="base")
    study.complete("p3=none p4=conv p5=none", 0.3)
    study.refuse(REFUSED, "too large")
    study.fail("p3=none p4=lska(k_size=23) p5=none", "CUDA out of memory")
    coded = Coded.of_view(StudyView.read(tmp_path))
    assert {s: [str(g) for g in genes] for s, genes in coded.genes.items()} == {
        "p4": ["none", "conv", "lska(k_size=23)"]
    }


def test_slots_stand_in_natural_order():
    rows = [
        ("p2=conv p3=none p10=none", 0.3, 0),
        ("p2=none p3=conv p10=none", 0.3, 0),
        ("p2=none p3=none p10=conv", 0.3, 0),
    ]
    assert list(Coded.of_view(study_of(rows)).genes) == ["p2", "p3", "p10"]
