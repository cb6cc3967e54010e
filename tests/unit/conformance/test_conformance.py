"""Every conformance check finds a module with the fault that it checks, and its message gives a remedy."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from broken_modules import (
    BROKEN,
    BatchNorm,
    BrokenAtFive,
    BurntSize,
    Choosy,
    Dropping,
    DtypeLeak,
    HonestAlias,
    Infinite,
    Plain,
    Random,
    TwoForms,
)
from first_modules import HABITS, LeavingLater, Retyping, Threading

from nas_attn.attention import registry, table
from nas_attn.attention.decorated import refuse_unsupported
from nas_attn.attention.validation import read_settings
from nas_attn.conformance import (
    BY_NAME,
    CHECKS,
    DECLARED,
    FAILED,
    MISSING,
    NOT_RUN,
    PASSED,
    STALE,
    UNFIT,
    check_modules,
    check_processes,
    chosen_settings,
    declaration,
    plain_settings,
    run_check,
)
from nas_attn.conformance.construction import construction
from nas_attn.conformance.surroundings import flags, generators
from nas_attn.errors import CheckFailed

ONNX = pytest.mark.needs("onnx", "onnxruntime")


def cases(faults):
    """(class, check, words) as parameters of a test."""
    return [
        pytest.param(cls, check, words, id=f"{cls.__name__}-{check}", marks=ONNX if check.startswith("onnx") else ())
        for cls, check, words in faults
    ]


@pytest.fixture
def entered(monkeypatch):
    """A function (class, declared limits) -> its entry, which is in the registry during one test."""
    from ultralytics.nn import tasks

    registry.entries()
    known = set(vars(tasks))

    def enter(cls, cannot=None):
        settings = (*read_settings(cls, ""), registry.RESIDUAL)
        entry = registry.ModuleEntry(cls.__name__.lower(), cls, "test", "", settings, "", cannot or {})
        monkeypatch.setitem(table.TABLE, entry.name, entry)
        return entry

    yield enter
    for name in set(vars(tasks)) - known:  # the checks registered these names with Ultralytics
        delattr(tasks, name)


def test_every_check_has_a_module_that_fails_it():
    assert {check for _, check, _ in (*BROKEN, *HABITS)} == set(BY_NAME)
    assert all(check.meaning and (check.excuse is None or check.excuse in registry.LIMITS) for check in CHECKS)
    assert {check.excuse for check in CHECKS} - {None} == set(registry.LIMITS)


@pytest.mark.parametrize(("cls", "check", "words"), cases(BROKEN))
def test_it_is_caught(entered, cls, check, words):
    entry = entered(cls)
    result = run_check(BY_NAME[check], entry, entry.defaults())
    assert result.state == FAILED and result.wrong
    assert all(word in result.reason for word in words), result.reason
    assert (result.module, result.check, result.gene) == (entry.name, check, f"{entry.name}(k_size=3)")


@pytest.mark.parametrize(("cls", "check", "words"), cases(HABITS))
def test_a_common_mistake_is_named_by_the_first_failure(entered, cls, check, words):
    entry = entered(cls)
    until = CHECKS[: CHECKS.index(BY_NAME[check]) + 1]
    quick = [c for c in until if not c.slow or c.name == check]
    ((_, results),) = check_modules([entry], checks=quick)
    first = next(r for r in results if r.wrong)
    assert first.check == check and all(word in first.reason for word in words), str(first)
    if BY_NAME[check].basic:
        assert all(r.check == check or r.state != FAILED for r in results)


def test_a_remedy_names_the_declaration_that_excuses(entered):
    for check in (c for c in CHECKS if c.excuse and not c.slow):
        entry = entered(LeavingLater)
        reason = run_check(check, entry, entry.defaults()).reason
        assert f'cannot={{"{check.excuse}": "the reason"}}' in reason and "SystemExit" in reason
    assert "cannot=" not in run_check(BY_NAME["maps"], entry, entry.defaults()).reason


@ONNX
def test_a_sound_module_passes_everything(entered):
    entry, two = entered(Plain), entered(TwoForms)
    ((_, results),) = check_modules([entry], checks=[c for c in CHECKS if c.name != "fresh process"])
    assert {r.state for r in results if r.check != "forms"} == {PASSED}
    assert {r.state for r in results if r.check == "forms"} == {UNFIT}
    assert {r.gene for r in results if r.check == "maps"} == {
        "plain(k_size=3)",
        "plain(k_size=5)",
    }
    assert run_check(BY_NAME["forms"], two, two.defaults()).state == PASSED
    assert run_check(BY_NAME["settings"], entered(HonestAlias), two.defaults()).state == PASSED


def test_what_fails_a_basic_check_is_checked_no_further(entered):
    entry = entered(BrokenAtFive, {"half": "for the test's sake"})
    ((_, results),) = check_modules([entry], checks=[BY_NAME[n] for n in ("maps", "half", "batch", "fresh process")])
    states = {(r.check, r.gene.partition("(")[2].rstrip(")")): r.state for r in results}
    assert states["maps", "k_size=3"] == PASSED and states["maps", "k_size=5"] == FAILED
    assert states["batch", "k_size=3"] == PASSED
    for check in ("half", "batch", "fresh process"):
        assert states[check, "k_size=5"] == NOT_RUN
    assert states["half", ""] == STALE and states["fresh process", "k_size=3"] == FAILED
    assert next(r.reason for r in results if r.state == NOT_RUN) == "fails maps"


def test_the_new_process_judges_each_module_for_itself(entered):
    good, hidden = registry.get("eca"), entered(Infinite)
    broken = [(good, good.defaults()), (hidden, hidden.defaults()), (good, chosen_settings(good)[1])]
    results = check_processes(BY_NAME["fresh process"], broken)
    assert [r.state for r in results] == [PASSED, FAILED, PASSED]
    ((_, found),) = check_modules([good], checks=[BY_NAME["fresh process"]])
    assert [r.state for r in found] == [PASSED] * len(chosen_settings(good))


def test_a_declared_inability_excuses_and_is_never_passed(entered):
    reason = "adds noise on purpose"
    entry = entered(Random, {"deterministic": reason})
    result = run_check(BY_NAME["deterministic"], entry, entry.defaults())
    assert (result.state, result.reason, result.wrong) == (DECLARED, reason, False)
    assert run_check(BY_NAME["pure"], entry, entry.defaults()).state == FAILED


@pytest.mark.parametrize(
    ("cls", "key", "check", "state"),
    [
        (BatchNorm, "single_value", "single value", DECLARED),
        (Plain, "single_value", "single value", STALE),
        (DtypeLeak, "half", "half", DECLARED),
        (Plain, "half", "half", STALE),
        (Plain, "half", "large in half", DECLARED),  # a module that passes on a small map may overflow on a large one
        (Plain, "bfloat16", "bfloat16", STALE),
        (Plain, "meta", "meta", STALE),
        pytest.param(Plain, "onnx", "onnx", STALE, marks=ONNX),
        (BurntSize, "onnx_dynamic", "onnx dynamic", DECLARED),
        pytest.param(Plain, "onnx_dynamic", "onnx dynamic", STALE, marks=ONNX),
        (Plain, "compile", "compile", STALE),
        (Plain, "deterministic", "deterministic", DECLARED),  # a CPU cannot disprove it
    ],
)
def test_a_declaration_must_be_true(entered, cls, key, check, state):
    entry = entered(cls, {key: "it was so once"})
    result = declaration(BY_NAME[check], entry, plain_settings(entry))
    assert result.state == state and result.wrong == (state == STALE)
    assert "it was so once" in result.reason and ("Remove the declaration" in result.reason) == (state == STALE)


def test_a_missing_library_is_never_a_pass(entered, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for check in ("onnx", "onnx dynamic"):
        entry = entered(Plain)
        result = run_check(BY_NAME[check], entry, entry.defaults())
        assert result.state == MISSING and "nas_attn[export]" in result.reason
        excused = entered(Plain, {BY_NAME[check].excuse: "reason"})
        assert declaration(BY_NAME[check], excused, [excused.defaults()]).state == DECLARED


def test_refused_maps_are_left_out_with_the_reason(entered):
    entry = entered(Choosy)
    result = run_check(BY_NAME["maps"], entry, entry.defaults())
    assert result.state == PASSED and "80x80 refused: 40,960,000 attention logits" in result.reason


@pytest.mark.parametrize("cls", [Random, Threading, Retyping])
def test_the_caller_keeps_its_random_states_threads_and_flags(entered, cls):
    entry = entered(cls)
    torch.manual_seed(5)
    before = generators(), flags()
    for check in CHECKS:
        if not check.slow:
            run_check(check, entry, entry.defaults())
            assert flags() == before[1]
    assert generators() == before[0]


def test_chosen_settings_are_the_default_and_the_ends():
    entry = registry.get("acmix")
    assert len(plain_settings(entry)) == 16 and plain_settings(entry)[0] == entry.defaults()
    assert [(s["kernel_att"], s["head"]) for s in chosen_settings(entry)] == [(7, 4), (3, 1), (9, 8)]


def test_a_failed_check_is_an_error_with_exit_code_1():
    assert CheckFailed("rule", got=1, remedy="Do.").exit_code == 1
    assert str(CheckFailed("rule", got=1, remedy="Do.")) == "rule, but got 1. Do."


def test_dropout_in_training_is_no_mistake(entered):
    entry = entered(Dropping)
    for name in ("pure", "no trace", "deterministic", "batch", "copies", "gradients"):
        assert run_check(BY_NAME[name], entry, entry.defaults()).state == PASSED, name


@pytest.mark.parametrize("hook", ["", "unsupported"])
def test_arguments_that_the_constructor_does_not_take_are_told_from_its_own_mistakes(hook):
    class Demanding(Plain):
        def __init__(self, channels, *, needed):
            super().__init__(channels)

    if hook:
        Demanding.unsupported = classmethod(lambda cls, channels: None)
        refuse_unsupported(Demanding, ())
    entry = registry.ModuleEntry("demanding", Demanding, "test", "", (registry.RESIDUAL,), "", {})
    with pytest.raises(CheckFailed, match="settings must match the arguments of the constructor"):
        construction(entry, {"residual": "none"})
