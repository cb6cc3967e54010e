"""The shipped search spaces hold what their first lines promise."""

from __future__ import annotations

import pytest

from nas_attn.attention import entries, get
from nas_attn.cost import CostTable
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.slots import all_slots
from nas_attn.errors import ConfigError
from nas_attn.space import SearchSpace
from nas_attn.study import shipped
from nas_attn.study.config import StudyConfig
from nas_attn.study.space_files import chosen_slots, load_space


@pytest.fixture(scope="module")
def base(known_base):
    return known_base("yolo11n")


def space_of(name, base):
    content = load_space(name)
    slots = chosen_slots(StudyConfig(), content, all_slots(base[0]))
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


PLACES = load_space("placement")["slots"]


@pytest.mark.parametrize(
    ("name", "lacking"), [("yolo11n", []), ("yolo12n", ["sppf.*"]), ("yolov6n", ["inner.*"]), ("yolov8n-p6", [])]
)
def test_placement_takes_every_slot_that_a_base_has(name, lacking):
    slots = all_slots(load_base(name))
    assert chosen_slots(StudyConfig(space="placement"), {"slots": PLACES}, slots) == slots
    for pattern in PLACES:
        if pattern in lacking:
            with pytest.raises(ConfigError, match="must name a slot of the base"):
                chosen_slots(StudyConfig(), {"slots": [pattern]}, slots)
        else:
            assert chosen_slots(StudyConfig(), {"slots": [pattern]}, slots)


def test_of_a_continued_study_only_patterns_are_held_to_its_slots(base):
    slots = all_slots(base[0])

    def found(*wanted):
        return {s.name for s in chosen_slots(StudyConfig(slots=list(wanted)), {}, slots, None, {"p3", "td.p4"})}

    assert found("*") == {"p3", "td.p4"}
    assert found("*.p4") == {"td.p4"}
    assert found("p?", "down.p3") == {"p3", "down.p3"}


def test_a_name_in_a_space_and_a_pattern_of_a_study_must_match(base):
    slots = all_slots(base[0])
    with pytest.raises(ConfigError, match=r"got 'p6'.*yolo11n\.yaml.*Known: backbone\.p2"):
        chosen_slots(StudyConfig(), {"slots": ["p6", "td.*"]}, slots)
    with pytest.raises(ConfigError, match=r"got 'p6\*'"):
        chosen_slots(StudyConfig(slots=["p6*", "td.*"]), {"slots": ["p3"]}, slots)
    assert [s.name for s in chosen_slots(StudyConfig(slots=["td.*", "p5.head"]), {}, slots)] == ["p3", "p5", "td.p4"]
