"""Errors: their messages, their suggestions, and their way out of a worker process."""

from __future__ import annotations

import pickle

import pytest

from nas_attn import errors
from nas_attn.errors import ConfigError, NasAttnError, StudyLocked, UnknownName, UserError

USER = UserError("`--trials` must be at least 1", got=0, where="--trials", remedy="Give a positive number.")
UNKNOWN = UnknownName("sampler", "tpee", ["tpe", "gp", "random"], where="study.yaml")
EXAMPLES = [
    USER,
    UNKNOWN,
    ConfigError([USER, UNKNOWN], where="study.yaml"),
    *(
        cls("rule", got="x", where="here", remedy="Do y.")
        for cls in (
            *(errors.GrammarError, errors.DataError, errors.SlotRefused),
            *(errors.NotWritable, errors.StudyChanged, errors.CheckFailed),
        )
    ),
    errors.ExportChanged({"nc": 1}, {"base": "yolo11n"}, got="`nc` is 1", where="best.yaml", remedy="Export it again."),
    *(
        cls("one line")
        for cls in (
            *(StudyLocked, errors.RecordLost, errors.StorageFull),
            *(errors.MissingPart, errors.DownloadFailed, errors.EvaluationFailed),
        )
    ),
]


def test_every_error_has_an_example_here():
    found, queue = set(), [NasAttnError]
    while queue:
        cls = queue.pop()
        found.add(cls)
        queue += cls.__subclasses__()
    own = {c for c in found if c.__module__ == errors.__name__}
    assert {type(e) for e in EXAMPLES} == own - {NasAttnError}
    assert all(c.__name__ in errors.__doc__ for c in own)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)
def test_survives_a_pipe(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error) and repr(again) == repr(error) and again.exit_code == error.exit_code
    assert vars(again).keys() == vars(error).keys()
    with pytest.raises(type(error)):
        raise again


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)
def test_exit_codes(error):
    wrong_input = isinstance(error, UserError) and not isinstance(error, errors.CheckFailed)
    assert error.exit_code == (2 if wrong_input else 1)


def test_messages_give_rule_got_where_remedy():
    assert str(USER) == "`--trials` must be at least 1, but got 0 (in --trials). Give a positive number."
    assert str(UserError("a rule")) == "a rule."
    assert str(UserError("a rule", got="")) == "a rule, but got ."
    assert str(UserError("a rule", where="a file")) == "a rule (in a file)."
    assert (USER.rule, USER.got, USER.where) == ("`--trials` must be at least 1", 0, "--trials")


@pytest.mark.parametrize(
    ("name", "suggestion"), [("tpee", "tpe"), ("TPE", "tpe"), ("randm", "random"), ("RANDOM", "random"), ("xyz", None)]
)
def test_did_you_mean(name, suggestion):
    text = str(UnknownName("sampler", name, ["tpe", "gp", "random"], where="--sampler"))
    assert text.startswith(f"the sampler must be a known one, but got '{name}' (in --sampler).")
    assert text.endswith("Known: gp, random, tpe.")
    assert (f"Did you mean '{suggestion}'?" in text) if suggestion else ("Did you mean" not in text)


def test_a_faint_likeness_is_no_suggestion():
    assert "Did you mean" not in str(UnknownName("attention module", "foo", ["coord", "acmix", "none"]))


def test_nothing_known():
    assert str(UnknownName("study", "a", [])).endswith("None are known.")


def test_several_problems_are_listed_and_one_stands_alone():
    lines = str(ConfigError([USER, UNKNOWN], where="study.yaml")).splitlines()
    assert lines[0] == "2 problems in study.yaml:"
    assert lines[1] == f"  1. {USER}" and lines[2] == f"  2. {UNKNOWN}"
    assert str(ConfigError([USER])) == str(USER)
