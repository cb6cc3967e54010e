"""A search that was stopped at any point and then continued writes the same log as an uninterrupted search."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from untrained_searches import InlineEngine, content, make_plan, run_plan

from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.study.records import LOG_NAME, RecordLog
from nas_attn.study.sampler_table import SAMPLERS

TRIALS = 14


def plan(sampler: str):
    evaluator = SyntheticEvaluator(fail_on=("p3=none p4=none p5=lska(k_size=7)",))
    return make_plan(evaluator, trials=TRIALS, sampler=sampler, max_gmacs=3.2, control_seeds=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    found = {}
    for sampler in SAMPLERS:
        folder = tmp_path_factory.mktemp(sampler)
        run_plan(plan(sampler), folder)
        found[sampler] = (folder / LOG_NAME).read_bytes()
    return found


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_resumed_equals_uninterrupted(whole, sampler, soak):
    log = whole[sampler]
    first = log.index(b"\n") + 1

    @settings(max_examples=max(3, round(30 * soak)), deadline=None)
    @given(cut=st.integers(first, len(log)))
    def check(cut: int) -> None:
        folder = Path(tempfile.mkdtemp())
        try:
            (folder / LOG_NAME).write_bytes(log[:cut])  # a crash may leave any prefix, even half a line
            run_plan(plan(sampler), folder)
            assert content((folder / LOG_NAME).read_bytes()) == content(log)
        finally:
            shutil.rmtree(folder)

    check()


def test_stopping_again_and_again_changes_nothing(whole, tmp_path):
    class Stopping(InlineEngine):
        left = 3

        def wait(self, timeout=None):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().wait(timeout)

    for _ in range(TRIALS):
        try:
            run_plan(plan("tpe"), tmp_path, engine=Stopping())
            break
        except KeyboardInterrupt:
            continue
    assert content((tmp_path / LOG_NAME).read_bytes()) == content(whole["tpe"])


def test_more_trials_go_on_where_it_ended(whole, tmp_path):
    longer = make_plan(plan("tpe").evaluator, trials=TRIALS + 4, sampler="tpe", max_gmacs=3.2, control_seeds=2)
    (tmp_path / LOG_NAME).write_bytes(whole["tpe"])
    view = run_plan(longer, tmp_path)
    assert view.counted == TRIALS + 4
    assert content((tmp_path / LOG_NAME).read_bytes())[: len(content(whole["tpe"]))] == content(whole["tpe"])


def test_half_a_line_is_dropped_and_nothing_else(whole, tmp_path):
    log = RecordLog(tmp_path)
    log.path.write_bytes(whole["random"])
    records = list(log.read())
    with log.path.open("ab") as file:
        file.write(b'{"kind":"c","x"')
    assert list(log.read()) == records
    log.repair()
    assert log.path.read_bytes() == whole["random"]
    log.append("d", x=4)
    assert [*records, {"kind": "d", "x": 4}] == list(log.read())
