"""The message about a damaged `design` record gives the rule in plain words, for damage at every place in it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from nas_attn.ablation.design import BASE, FULL, Arm, Contrast, Design
from nas_attn.ablation.looks import Looks
from nas_attn.ablation.plan_record import plan_fields, read_plan
from nas_attn.errors import RecordLost
from nas_attn.space import Architecture

ARMS = (Arm(BASE, (), Architecture.parse("p3=none")), Arm(FULL, (), Architecture.parse("p3=se(rd_ratio=0.0625)")))
DESIGN = Design(ARMS, (Contrast.between("full", "base", ARMS[1], ARMS[0]),))
RECORD = {**plan_fields(DESIGN, Looks.planned(9)), "settings": {"difference": 0.003, "kinds": ["swap"]}}
DAMAGE: tuple[Any, ...] = (None, True, 3, -1, 0.5, "x", "", [], {}, [[]], [None], {"a": {}}, ["x"] * 9)
PYDANTIC = ("Input", "String", "Tuple", "should", "valid ", "pattern", "unable", "dictionary", "instance", "pydantic")


def places(part, path=()):
    yield path
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        yield from places(value, (*path, key))


def damaged(path, value):
    record = copy.deepcopy(RECORD)
    part = record
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return record


def message(record):
    try:
        read_plan(json.loads(json.dumps(record)))
    except RecordLost as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", [p for p in places(RECORD) if p], ids=lambda p: ".".join(map(str, p)))
def test_damage_is_named_in_plain_words(path):
    found = [said for value in DAMAGE if (said := message(damaged(path, value)))]
    assert found
    for said in found:
        assert not any(word in said for word in PYDANTIC), said
        assert "is damaged: " in said and "Make a copy of the file" in said


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        (("settings", "difference"), 2, "`settings.difference` must be less than 1. Make"),
        (("looks", "seeds"), [9, 5], "`looks`: `seeds` must ascend. Make"),
        (("design", "arms", 0, "offset"), "x", "`design.arms.0.offset` must be a whole number. Make"),
        (("design", "contrasts", 0, "family"), "x", "`design`: `family` must be a known family. Make"),
    ],
)
def test_the_message_names_the_field_and_its_rule(path, value, rule):
    assert rule in message(damaged(path, value))
