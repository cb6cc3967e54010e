"""The message about a wrong setting gives the rule in plain words, the value and its source, for every field."""

from __future__ import annotations

import pytest

from nas_attn.errors import ConfigError
from nas_attn.study.ablation_config import AblationConfig
from nas_attn.study.config import StudyConfig
from nas_attn.study.records import wrong

FIELDS = [(name, False) for name in StudyConfig.model_fields] + [(name, True) for name in AblationConfig.model_fields]
WRONG = [
    *(None, "x y", "", 3, 0, -1, 1.5, 10**30, float("nan"), float("inf"), True, b"x", object()),
    *([], [3], {}, {"a": 3}, {"a": {"b": 3}}, {3: None}),
]
STARTED = {"kind": "started", "number": 0, "role": "base", "seed": 0, "cost": {"gmacs": 1.0}}
PYDANTIC = ("Input", "String", "should", "valid ", "pattern", "unable", "dictionary", "instance", "pydantic")


def problems(name, inner, value):
    values = {"data": "d", "ablation": {name: value}} if inner else {"data": "d", name: value}
    try:
        StudyConfig.of(values, where="a place")
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize(("name", "inner"), FIELDS)
def test_a_wrong_value_is_answered_in_plain_words(name, inner):
    found = [(value, problem) for value in WRONG for problem in problems(name, inner, value)]
    assert found
    for _, problem in found:
        said = str(problem)
        assert not any(word in said for word in PYDANTIC), said
        assert problem.where == "a place" and any(verb in problem.rule for verb in (" must ", " needs ")), said
        assert problem.got is not None or " needs " in problem.rule, said


@pytest.mark.parametrize(
    ("name", "inner", "value", "said"),
    [
        (
            "name",
            False,
            "my study",
            "must be one that a folder can have on every system, but got 'my study'",
        ),
        ("name", False, "x" * 300, "; at most 200 bytes; "),
        ("name", False, 3, "`name` must be text, but got 3"),
        ("demo", False, "x", "`demo` must be true or false, but got 'x'"),
        ("epochs", False, "many", "`epochs` must be a whole number, but got 'many'"),
        ("epochs", False, 1.5, "`epochs` must be a whole number, but got 1.5"),
        ("imgsz", False, 16, "`imgsz` must be at least 32, but got 16"),
        ("jobs", False, 2000, "`jobs` must be at most 1024, but got 2000"),
        ("lr0", False, 0, "`lr0` must be greater than 0, but got 0"),
        ("hours", False, float("inf"), "`hours` must be a finite number, but got inf"),
        ("start", False, "zero", "`start` must be 'scratch', 'weights' or 'base', but got 'zero'"),
        ("slots", False, 3, "`slots` must be a list, but got 3"),
        (
            "modules",
            False,
            "acmix",
            "`modules` must be a list of modules, or map them to their settings, but got 'acmix'",
        ),
        ("modules", False, {"acmix": 2}, "`modules.acmix` must map names to values, but got 2"),
        ("modules", False, {"acmix": {"head": 2}}, "`modules.acmix.head` must be a list, but got 2"),
        ("modules", False, {3: None}, "`modules.3` must be text, but got 3"),
        ("difference", True, 1, "`ablation.difference` must be less than 1, but got 1"),
        ("dead_slots", True, "drop", "`ablation.dead_slots` must be 'skip' or 'keep', but got 'drop'"),
    ],
)
def test_the_rule_is_said(name, inner, value, said):
    assert [said in str(problem) for problem in problems(name, inner, value)] == [True]


def test_a_wrong_sampler_is_told_once():
    assert len(problems("sampler", False, 3)) == len(problems("sampler", False, "x")) == 1


def test_a_password_is_not_repeated():
    (problem,) = problems("storage", False, ["postgresql://me:hidden@host/db"])
    assert "hidden" not in str(problem) and "`storage` must be text" in str(problem)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "target"}, "`trials` is missing"),
        ({"kind": "target", "trials": "3"}, "`trials` must be a whole number, got '3'"),
        ({"kind": "finished", "number": 0, "state": "complete"}, "a complete trial needs its `evaluation`"),
        ({**STARTED, "architecture": "p3="}, "`architecture`: "),
    ],
)
def test_a_damaged_record_is_described_so_too(fields, said):
    found = wrong(fields)
    assert found is not None and found.startswith(said) and not any(word in found for word in PYDANTIC)
