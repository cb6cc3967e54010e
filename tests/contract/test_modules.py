"""What every module must do, with every setting: the checks of `nas_attn modules check`; the registry is the matrix.

Checks that take seconds run on the default and extreme settings, and on every setting at `--soak 1`.
"""

from __future__ import annotations

import pytest

from nas_attn.attention import entries
from nas_attn.attention.residual import build_module
from nas_attn.conformance import (
    BY_NAME,
    CHECKS,
    DECLARED,
    MISSING,
    PASSED,
    check_processes,
    declaration,
    excused,
    plain_settings,
    run_check,
    settings_for,
)
from nas_attn.errors import SlotRefused
from nas_attn.space import Gene

PROCESS = BY_NAME["fresh process"]
APPLICABLE = [(check, e) for check in CHECKS for e in entries() if check.leaves_out(e) is None]
GENES = [pytest.param(e, s, id=str(Gene.of(e.name, s))) for e in entries() for s in plain_settings(e)]


def name(check, gene):
    return f"{check.name.replace(' ', '_')}-{gene}"


def genes_of(check, entry, config):
    return settings_for(check, entry, all_settings=config.getoption("--soak") >= 1)


def pytest_generate_tests(metafunc):
    wanted = {
        "test_rule": lambda c, e: c is not PROCESS and not excused(c, e),
        "test_process": lambda c, e: c is PROCESS,
    }
    if (judge := wanted.get(metafunc.function.__name__)) is not None:
        cases = [
            pytest.param(check, e, s, id=name(check, Gene.of(e.name, s)))
            for check, e in APPLICABLE
            if judge(check, e)
            for s in genes_of(check, e, metafunc.config)
        ]
        metafunc.parametrize(("check", "entry", "settings"), cases)


def settle(result):
    if result.state == MISSING:
        pytest.skip(f"missing part: {result.reason}")
    assert result.state == PASSED, result.reason


def test_rule(check, entry, settings):
    settle(run_check(check, entry, settings))


@pytest.fixture(scope="session")
def reloaded(pytestconfig):
    """gene -> what became of it in the one process that loads all of them."""
    pairs = [(e, s) for e in entries() for s in genes_of(PROCESS, e, pytestconfig)]
    return {result.gene: result for result in check_processes(PROCESS, pairs)}


def test_process(check, entry, settings, reloaded):
    settle(reloaded[str(Gene.of(entry.name, settings))])


@pytest.mark.parametrize(
    ("check", "entry"), [pytest.param(c, e, id=name(c, e.name)) for c, e in APPLICABLE if excused(c, e)]
)
def test_what_is_declared_is_so(check, entry, pytestconfig):
    result = declaration(check, entry, genes_of(check, entry, pytestconfig))
    assert result.state == DECLARED, result.reason
    assert len(result.reason) > 20


@pytest.mark.parametrize(("entry", "settings"), GENES)
def test_a_refusal_of_the_zoo_names_the_rule(entry, settings):
    for channels in (16, 64):
        if (reason := entry.refusal(channels, 21, 21, settings)) is not None:
            assert len(reason) > 20
            with pytest.raises(SlotRefused, match=r"must divide"):
                build_module(entry, channels, settings)


def test_none_inserts_nothing():
    (none,) = (e for e in entries() if e.is_none)
    assert none.row(16, none.defaults()) == ("NoAttention", []) and none.defaults() == {}
