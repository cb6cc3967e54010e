"""The search spaces that come with the package: what they promise in their first lines."""

from __future__ import annotations

import pytest

from nas_attn.attention import entries, get
from nas_attn.cost import CostTable
from nas_attn.space import SearchSpace
from nas_attn.study import shipped
from nas_attn.study.spaces import load_space


@pytest.fixture(scope="module")
def base(known_base):
    return known_base("yolo11n")


def space_of(name, base):
    content = load_space(name)
    slots = [s for s in base[1] if s.name in content["slots"]]
    return SearchSpace.build("yolo11n", slots, content["modules"], imgsz=640)


@pytest.mark.parametrize("name", shipped.names("search_spaces"))
def test_every_module_can_stand_somewhere(name, base):
    space = space_of(name, base)
    offered = {gene.module for s in space.slots for gene in s.genes} - {"none"}
    assert offered == set(load_space(name)["modules"]) and space.size > 100


def test_zoo_is_the_whole_zoo():
    assert set(load_space("zoo")["modules"]) == {e.name for e in entries() if not e.is_none}


def test_light_modules_are_light(base):
    model, slots = base
    defaults = {name: get(name).defaults() for name in load_space("light")["modules"]}
    space = SearchSpace.build("yolo11n", slots, {n: {k: [v] for k, v in d.items()} for n, d in defaults.items()},
                              imgsz=640)  # fmt: skip
    table = CostTable.build(model.build(), space, 640)
    for s in space.slots:
        for gene in s.genes:
            assert table.cell(s.slot.name, gene).macs < 0.01 * table.base.macs, gene
