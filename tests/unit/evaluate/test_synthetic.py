"""The synthetic evaluator behaves like any evaluator, and its scores scatter around its known truth."""

from __future__ import annotations

import pickle
import statistics
import subprocess
import sys

import pytest

from nas_attn.errors import EvaluationFailed
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.evaluate.synthetic import CRASH_CODE, SyntheticEvaluator
from nas_attn.space import Architecture

FIDELITY = Fidelity(5, 128)
NONE = Architecture.parse("p3=none p4=none p5=none")
BOTH = Architecture.parse("p3=conv p4=none p5=lska(k_size=7)")


def test_the_same_call_gives_the_same_answer_in_another_copy():
    evaluator = SyntheticEvaluator(seed=4)
    again = pickle.loads(pickle.dumps(evaluator))
    assert evaluator(BOTH, FIDELITY, 2) == again(BOTH, FIDELITY, 2)
    assert evaluator(BOTH, FIDELITY, 2).map50_95 != evaluator(BOTH, FIDELITY, 3).map50_95


def test_effects_add_up():
    evaluator = SyntheticEvaluator(seed=1)
    one = evaluator.truth(Architecture.parse("p3=conv p4=none p5=none")) - evaluator.truth(NONE)
    two = evaluator.truth(Architecture.parse("p3=none p4=none p5=lska(k_size=7)")) - evaluator.truth(NONE)
    assert evaluator.truth(BOTH) - evaluator.truth(NONE) == pytest.approx(one + two)
    assert one != 0 and two != 0
    assert SyntheticEvaluator(seed=2).truth(BOTH) != evaluator.truth(BOTH)


def test_noise_is_around_the_truth():
    evaluator = SyntheticEvaluator(noise_sd=0.01)
    values = [evaluator(BOTH, FIDELITY, seed).map50_95 for seed in range(300)]
    assert statistics.fmean(values) == pytest.approx(evaluator.truth(BOTH), abs=0.003)
    assert statistics.stdev(values) == pytest.approx(0.01, rel=0.2)
    assert SyntheticEvaluator(noise_sd=0.0)(BOTH, FIDELITY, 9).map50_95 == evaluator.truth(BOTH)


def test_dead_slots_have_no_effect_and_show_it():
    evaluator = SyntheticEvaluator(dead=("p5",), noise_sd=0.0)
    assert evaluator.truth(BOTH) == evaluator.truth(Architecture.parse("p3=conv p4=none p5=none"))
    found = evaluator(NONE, FIDELITY, 0, liveness=True)
    assert found.liveness["p5"] == found.map50_95
    assert found.map50_95 - found.liveness["p3"] > 0.1
    assert evaluator(NONE, FIDELITY, 0).liveness is None


def test_the_evaluation_is_whole():
    found = SyntheticEvaluator()(BOTH, FIDELITY, 3)
    assert Evaluation.from_dict(found.as_dict()) == found
    assert [r["epoch"] for r in found.curve] == [1, 2, 3, 4, 5]
    assert found.curve[-1]["map50_95"] == found.map50_95 and found.curve[-1]["lr"] == 0
    assert (found.seed, found.epochs, found.imgsz, found.comparable) == (3, 5, 128, True)


def test_failures_and_flags_on_demand():
    evaluator = SyntheticEvaluator(fail_on=(str(BOTH),), flag_on=(str(NONE),))
    with pytest.raises(EvaluationFailed, match="told to fail"):
        evaluator(BOTH, FIDELITY, 0)
    assert not evaluator(NONE, FIDELITY, 0).comparable


def test_a_crash_takes_the_process_as_often_as_told(tmp_path):
    evaluator = SyntheticEvaluator(crash_on=(str(BOTH),), crashes=2, crash_folder=str(tmp_path))
    code = f"""
import pickle
evaluator, architecture, fidelity = pickle.loads({pickle.dumps((evaluator, BOTH, FIDELITY))!r})
print(evaluator(architecture, fidelity, 0).seed)
"""
    codes = [subprocess.run([sys.executable, "-c", code], capture_output=True).returncode for _ in range(3)]
    assert codes == [CRASH_CODE, CRASH_CODE, 0]
