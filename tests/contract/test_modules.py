"""The checks of `nas_attn modules check`, for every module of the registry with every setting.

`--soak` is the share of the combinations that runs: a tenth by default, all of them at 1. `--matrix-seed` draws the
share, differently in every session. Every check runs on every module, and every setting of a module gets at least one
check.
"""

from __future__ import annotations

import functools
import itertools
import random

import pytest

from nas_attn.attention import entries, registry
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


@functools.cache
def drawn(module, seed, share):
    """Check -> settings on which it runs. The checks take the settings of a module in turn, both in random order."""
    rng = random.Random(f"{seed} {module}")
    settings = plain_settings(registry.get(module))
    checks = [c for c, e in APPLICABLE if e.name == module and not c.once]
    rng.shuffle(settings)
    rng.shuffle(checks)
    turn = itertools.cycle(settings)
    return {check: [next(turn) for _ in range(max(1, round(share * len(settings))))] for check in checks}


def genes_of(check, entry, config):
    soak = config.getoption("--soak")
    if soak >= 1 or check.once:
        return settings_for(check, entry, all_settings=True)
    if excused(check, entry):  # perhaps it fails only with some of the settings
        return settings_for(check, entry)
    return drawn(entry.name, config.getoption("--matrix-seed"), soak)[check]


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


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("entry", entries(), ids=lambda e: e.name)
def test_every_setting_is_drawn(entry, seed):
    met = {str(s) for settings in drawn(entry.name, seed, 0.1).values() for s in settings}
    assert met == {str(s) for s in plain_settings(entry)}


def settle(result):
    if result.state == MISSING:
        pytest.skip(f"missing part: {result.reason}")
    assert result.state == PASSED, result.reason


def test_rule(check, entry, settings):
    settle(run_check(check, entry, settings))


@pytest.fixture(scope="session")
def reloaded(pytestconfig):
    """Gene -> its result in the one process that loads all genes."""
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
