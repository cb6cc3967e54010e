"""Slots, costs, modules and articles in Python: the figures of the commands, as values."""

from __future__ import annotations

from pathlib import Path

import pytest

import nas_attn as na
from nas_attn.errors import ConfigError, UnknownName, UserError

ARTICLES = Path(__file__).parents[2] / "integration" / "articles"


def test_the_cost_of_an_architecture():
    base = na.cost_of(model="yolo11n.yaml")
    one = na.cost_of("p3=acmix(head=4)", model="yolo11n.yaml")
    table = na.costs_of(["", "p3=acmix(head=4)", one.architecture], model="yolo11n.yaml")
    assert list(table) == [base, one, one]
    assert one.gmacs > base.gmacs > 3 and one.params_m > base.params_m > 2.6
    assert str(one).startswith(f"{one.gmacs:.4f} GMACs") and "p3=acmix(head=4,kernel_att=7)" in str(one)
    assert table.frame()["gmacs"][1] == one.gmacs and table.records[1] == one.as_dict()
    assert "GMACs" in repr(one) and one._repr_html_().startswith("<div>")
    with pytest.raises(UnknownName, match="acmix"):
        na.cost_of("p3=acmx")


def test_the_slots_of_a_model():
    slots = na.slots("yolo11n.yaml")
    by_name = {s.name: s for s in slots}
    assert by_name["p3"].stride == 8 and by_name["p4"].channels == 128
    assert [s.name for s in na.slots("yolo11n.yaml", names="p*")][:1] == ["p3"]
    assert "Detect" in repr(slots) and "p3" in repr(slots) and "<table>" in slots._repr_html_()
    assert list(slots.frame()["slot"]) == [s.name for s in slots]
    with pytest.raises(ConfigError, match="at least one slot"):
        na.slots(names="")
    with pytest.raises(UnknownName):
        na.slots(names="p9")


def test_the_modules():
    modules = na.modules()
    assert [e.name for e in modules][:1] == ["none"] and len(modules) >= 31
    assert "acmix" in repr(modules) and modules.frame().set_index("name").loc["acmix", "family"]


def test_the_liveness_of_slots():
    evaluator = na.SyntheticEvaluator(dead=("p5",))
    found = na.liveness(
        "demo", seeds=2, model="yolo11n.yaml", evaluator=evaluator, engine=na.InlineEngine(), progress=False
    )
    assert {s.slot: s.state for s in found} == {"p3": "live", "p4": "live", "p5": "dead"}
    with pytest.raises(UnknownName, match="trial_minutes"):
        na.liveness("demo", trials=3)
    assert found.measured["seeds"] == [0, 1] and "p5" in repr(found)


def test_an_article_is_adopted(tmp_path):
    found = na.adopt(ARTICLES / "acmix_yolo11.yaml", scale="n", nc=3)
    assert "acmix" in str(found.architecture) and found.cost.gmacs > found.base_cost.gmacs
    assert str(found.architecture) in repr(found) and "architecture" in found._repr_html_()
    path = found.write(tmp_path / "fixed.yaml")
    assert "nas_attn.ACmix" in path.read_text(encoding="utf-8")
    assert na.cost_of(model=path, nc=3).gmacs == pytest.approx(found.cost.gmacs)
    with pytest.raises(UserError, match="must not be overwritten"):
        found.write(path)
