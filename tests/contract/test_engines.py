"""The rules that every engine must keep. To test a new engine, add a line to `ENGINES`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from untrained_searches import content, make_plan, run_plan
from worker_calls import beat_until, misbehave, pinned, raise_data_error

from nas_attn.engine import Call, Engine, Failure, InlineEngine, LocalEngine, awaited
from nas_attn.errors import DataError
from nas_attn.evaluate import Evaluation, Fidelity
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.pulse import Reached
from nas_attn.space import Architecture
from nas_attn.study.records import LOG_NAME

FIDELITY = Fidelity(epochs=2, imgsz=64)
BASE = Architecture.parse("p3=none p4=none")
OTHER = Architecture.parse("p3=lska(k_size=7) p4=none")


def load() -> None:
    """Load the libraries of the calls: none."""


@dataclass(frozen=True)
class Made:
    """One kind of engine.

    Attributes:
        make: takes the number of simultaneous calls, and a folder for the output of workers.
        outside: true if calls run in other processes, which may die or hang.
    """

    make: Callable[[int, Path], Engine]
    outside: bool


ENGINES = {
    "inline": Made(lambda width, logs: InlineEngine(width), outside=False),
    "local": Made(lambda width, logs: LocalEngine(["cpu"] * width, logs=logs), outside=True),
    "local, forked": Made(lambda width, logs: LocalEngine(["cpu"] * width, logs=logs, load=load), outside=True),
}
EVERY = pytest.mark.parametrize("engine", ENGINES, indirect=True)
OUTSIDE = pytest.mark.parametrize("engine", [n for n, made in ENGINES.items() if made.outside], indirect=True)


@pytest.fixture(scope="module")
def engine(request, tmp_path_factory):
    with ENGINES[request.param].make(2, tmp_path_factory.mktemp("logs")) as engine:
        yield engine


def outcomes(engine: Engine, *calls: Call) -> dict[Any, Evaluation | Failure]:
    found: dict[Any, Evaluation | Failure] = {}
    waiting = list(calls)
    while len(found) < len(calls):
        while waiting and engine.free:
            engine.submit(waiting.pop(0))
        outcome = engine.wait(timeout=120)
        assert outcome is not None, "no outcome within two minutes"
        assert not isinstance(outcome.value, list)
        found[outcome.call.key] = outcome.value
    return found


@EVERY
def test_results_come_back_under_their_keys(engine):
    evaluator = SyntheticEvaluator()
    free = engine.free
    found = outcomes(engine, *(Call(i, evaluator, (BASE, FIDELITY, i)) for i in range(5)))
    assert [found[i] for i in range(5)] == [evaluator(BASE, FIDELITY, i) for i in range(5)]
    assert engine.free == free > 0


@EVERY
def test_as_many_calls_are_accepted_as_are_free(engine):
    many = range(engine.free)
    for i in many:
        assert engine.free == len(many) - i
        engine.submit(Call(i, SyntheticEvaluator(), (BASE, FIDELITY, i)))
    assert engine.free == 0
    assert {engine.wait(timeout=120).call.key for _ in many} == {*many}


@EVERY
def test_without_a_call_there_is_nothing_to_wait_for(engine):
    assert engine.wait(timeout=0.01) is None


@EVERY
def test_a_trial_that_fails_says_why(engine):
    found = outcomes(engine, Call("x", SyntheticEvaluator(fail_on=(str(OTHER),)), (OTHER, FIDELITY, 0)))["x"]
    assert isinstance(found, Failure) and not found.died and "told to fail" in found.reason


@EVERY
@pytest.mark.parametrize("how", ["exit", "base", "generator", "unpicklable", "unprintable", "memory", "nothing"])
def test_whatever_a_module_raises_fails_its_trial_alone(engine, how):
    found = outcomes(engine, Call("bad", misbehave, (how,)))["bad"]
    assert isinstance(found, Failure) and found.reason and "\n" not in found.reason
    evaluator = SyntheticEvaluator()
    assert outcomes(engine, Call("good", evaluator, (BASE, FIDELITY, 0)))["good"] == evaluator(BASE, FIDELITY, 0)


@pytest.mark.parametrize("name", ENGINES)
def test_the_users_mistakes_are_raised(name, tmp_path):
    with ENGINES[name].make(1, tmp_path) as engine:
        engine.submit(Call("x", raise_data_error))
        with pytest.raises(DataError, match="must hold images, but got 'none'"):
            engine.wait(timeout=120)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ENGINES)
def test_calls_that_nobody_waits_for_do_not_hold_it_up(name, tmp_path):
    with ENGINES[name].make(2, tmp_path) as engine:
        for i in range(2):
            engine.submit(Call(i, SyntheticEvaluator(seconds=1e6), (BASE, FIDELITY, i)))


@EVERY
def test_a_finished_result_outlives_its_supervisor(engine, tmp_path):
    path = tmp_path / "evaluation.json"
    first = outcomes(engine, Call("x", SyntheticEvaluator(), (BASE, FIDELITY, 0), result=path))["x"]
    assert Evaluation.from_dict(json.loads(path.read_text())["evaluation"]) == first
    # the evaluator would now give another result, so this one must come from the file
    again = outcomes(engine, Call("x", SyntheticEvaluator(fail_on=(str(BASE),)), (BASE, FIDELITY, 0), result=path))["x"]
    assert again == first
    # a file of the same name from another study is not used
    other = Call("x", SyntheticEvaluator(seed=5), (OTHER, FIDELITY, 0), result=path, signature="another study")
    assert outcomes(engine, other)["x"] == SyntheticEvaluator(seed=5)(OTHER, FIDELITY, 0)


@OUTSIDE
def test_a_worker_that_dies_once_costs_nothing(engine, tmp_path):
    evaluator = SyntheticEvaluator(crash_on=(str(OTHER),), crashes=1, crash_folder=str(tmp_path))
    found = outcomes(engine, Call("x", evaluator, (OTHER, FIDELITY, 0)))["x"]
    assert isinstance(found, Evaluation)


@OUTSIDE
def test_a_worker_that_dies_twice_costs_one_trial(engine, tmp_path):
    evaluator = SyntheticEvaluator(crash_on=(str(OTHER),), crashes=2, crash_folder=str(tmp_path))
    free = engine.free
    found = outcomes(engine, Call("bad", evaluator, (OTHER, FIDELITY, 0)), Call("good", evaluator, (BASE, FIDELITY, 0)))
    assert isinstance(found["bad"], Failure) and found["bad"].died and "exit code 77" in found["bad"].reason
    assert isinstance(found["good"], Evaluation) and engine.free == free


@OUTSIDE
def test_a_call_that_takes_too_long_is_stopped_and_not_repeated(engine):
    limits = iter([None, None])  # the limit becomes known while the call runs
    found = outcomes(engine, Call("x", misbehave, ("hang",), limit=lambda: next(limits, 0.6)))["x"]
    assert found == Failure("stopped after 0.01 minutes, the limit of a trial (--trial-minutes)")
    assert isinstance(outcomes(engine, Call("y", pinned))["y"], Evaluation)


@pytest.mark.parametrize("name", ENGINES)
def test_a_search_writes_the_log_of_one_in_this_process(tmp_path, name):
    plan = make_plan(trials=8, control_seeds=1)
    logs = []
    for kind, engine in (("inline", InlineEngine()), ("own", ENGINES[name].make(1, tmp_path))):
        assert run_plan(plan, tmp_path / kind, engine=engine).counted == 8
        logs.append(content((tmp_path / kind / LOG_NAME).read_bytes()))
    assert logs[0] == logs[1]


@OUTSIDE
def test_the_place_of_a_running_call_is_told(engine, tmp_path):
    (tmp_path / "running").touch()
    call = Call("slow", beat_until, (tmp_path / "running",), progress=tmp_path / "trials" / "progress.json")
    told: list[dict[str, Any]] = []

    def tell(places: dict[Any, Reached]) -> None:
        told.append(places)
        if places:
            (tmp_path / "running").unlink(missing_ok=True)

    engine.submit(call)
    outcome = awaited(engine, [call], tell)
    assert isinstance(outcome.value, Evaluation) and told[-1] == {"slow": Reached(3, 4, 0.6)}
    assert not call.progress.exists()
