"""Real worker processes: what they return, what they are pinned to, and what a dying one costs."""

from __future__ import annotations

import json

import psutil
import pytest
from worker_calls import pinned, raise_data_error

from nas_attn.engine import Call, Failure, LocalEngine
from nas_attn.errors import DataError
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.space import Architecture

FIDELITY = Fidelity(epochs=2, imgsz=64)
BASE = Architecture.parse("p3=none p4=none")
OTHER = Architecture.parse("p3=lska(k_size=7) p4=none")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with LocalEngine(["cpu", "cpu"], threads=3, logs=tmp_path_factory.mktemp("logs")) as engine:
        yield engine


def outcomes(engine: LocalEngine, *calls: Call) -> dict:
    found, waiting = {}, list(calls)
    while len(found) < len(calls):
        while waiting and engine.free:
            engine.submit(waiting.pop(0))
        outcome = engine.wait(timeout=120)
        assert outcome is not None, "no outcome within two minutes"
        found[outcome.call.key] = outcome.value
    return found


def test_results_come_back_under_their_keys(engine):
    evaluator = SyntheticEvaluator()
    calls = [Call(i, evaluator, (BASE, FIDELITY, i)) for i in range(5)]
    found = outcomes(engine, *calls)
    assert [found[i] for i in range(5)] == [evaluator(BASE, FIDELITY, i) for i in range(5)]
    assert engine.free == 2


def test_workers_are_pinned_before_torch_is_imported(engine):
    found = outcomes(engine, Call("pin", pinned))["pin"]
    assert found.versions == {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "3", "torch": "no"}


def test_a_worker_that_dies_once_costs_nothing(engine, tmp_path):
    evaluator = SyntheticEvaluator(crash_on=(str(OTHER),), crashes=1, crash_folder=str(tmp_path))
    found = outcomes(engine, Call("x", evaluator, (OTHER, FIDELITY, 0)))["x"]
    assert isinstance(found, Evaluation)


def test_a_worker_that_dies_twice_costs_one_trial(engine, tmp_path):
    evaluator = SyntheticEvaluator(crash_on=(str(OTHER),), crashes=2, crash_folder=str(tmp_path))
    found = outcomes(engine, Call("bad", evaluator, (OTHER, FIDELITY, 0)), Call("good", evaluator, (BASE, FIDELITY, 0)))
    assert isinstance(found["bad"], Failure) and found["bad"].died and "exit code 77" in found["bad"].reason
    assert isinstance(found["good"], Evaluation) and engine.free == 2


def test_a_trial_that_fails_says_why(engine):
    evaluator = SyntheticEvaluator(fail_on=(str(OTHER),))
    found = outcomes(engine, Call("x", evaluator, (OTHER, FIDELITY, 0)))["x"]
    assert isinstance(found, Failure) and not found.died and found.reason


def test_the_users_mistakes_are_raised(engine):
    engine.submit(Call("x", raise_data_error))
    with pytest.raises(DataError, match="must hold images, but got 'none'"):
        engine.wait(timeout=120)


def test_a_finished_result_outlives_its_supervisor(engine, tmp_path):
    path = tmp_path / "evaluation.json"
    first = outcomes(engine, Call("x", SyntheticEvaluator(), (BASE, FIDELITY, 0), result=path))["x"]
    assert Evaluation.from_dict(json.loads(path.read_text())["evaluation"]) == first
    # the evaluator would now say something else, so the answer can only have come from the file
    again = outcomes(engine, Call("x", SyntheticEvaluator(fail_on=(str(BASE),)), (BASE, FIDELITY, 0), result=path))["x"]
    assert again == first
    # what another study left under that name is not this study's
    other = Call("x", SyntheticEvaluator(seed=5), (OTHER, FIDELITY, 0), result=path, signature="another study")
    assert outcomes(engine, other)["x"] == SyntheticEvaluator(seed=5)(OTHER, FIDELITY, 0)


def test_no_process_is_left_behind(tmp_path):
    with LocalEngine(["cpu"], threads=1) as engine:
        found = outcomes(engine, Call("pid", pinned))["pid"]
        assert psutil.pid_exists(found.seed)
    assert not psutil.pid_exists(found.seed)
