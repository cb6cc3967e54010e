"""Real trackers: an MLflow server, event files of TensorBoard, and W&B offline; read back by their own means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tracker_readers import MlflowServer, read_mlflow, read_tensorboard, read_wandb
from untrained_searches import make_plan, run_plan

import nas_attn as na
from nas_attn.evaluate.synthetic import SyntheticEvaluator
from nas_attn.folder_names import folder_name
from nas_attn.space import NONE
from nas_attn.study.config import TRACKERS
from nas_attn.study.observer import Silent
from nas_attn.study.view import StudyView
from nas_attn.tracking.observer import tracked
from nas_attn.tracking.runs import ended, offered, trial_id, trial_run, verdicts

FAILING = "p3=lska(k_size=23) p4=none p5=none"
EVALUATOR = SyntheticEvaluator(test=True, seed_sd=0.01, fail_on=(FAILING,))
SMALL = {
    "model": "yolo11n.yaml",
    "width": 0.0625,
    "imgsz": 64,
    "final_imgsz": 320,
    "modules": {"conv": None, "lska": {"k_size": [7]}},
}
EACH = [
    pytest.param(name, marks=pytest.mark.needs(name, *(["flask_cors", "huey"] if name == "mlflow" else [])))
    for name in TRACKERS
]  # the client alone is no server: the two others belong to it
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a server and its workers are ended as one group")


class Heard(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)

    def of(self, *titles):
        """The notes about trackers."""
        return [n for n in self.notes if any(t in n for t in titles or ("MLflow", "TensorBoard", "W&B"))]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def ready(request, monkeypatch, tmp_path):
    """A function that makes a tracker usable, and returns the function that reads a study back from it."""
    for name in [n for n in os.environ if n.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)  # nothing is left where the tests were started

    def of(name):
        if name == "mlflow":
            uri = request.getfixturevalue("server").uri
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            return lambda folder: read_mlflow(uri, StudyView.read(folder).name)
        return {"tensorboard": lambda f: read_tensorboard(f / "tensorboard"), "wandb": read_wandb}[name]

    return of


def count(uri, experiment):
    """The number of runs in MLflow."""
    from mlflow import MlflowClient

    found = MlflowClient(uri).get_experiment_by_name(experiment)
    return len(MlflowClient(uri).search_runs([found.experiment_id])) if found else 0


def wait_for(true):
    end = time.monotonic() + 120
    while not true() and time.monotonic() < end:
        time.sleep(0.1)
    assert true()


def search(folder, tracker, **config):
    """Run or continue a search without training, with one tracker."""
    plan, heard = make_plan(EVALUATOR, track=tracker, **{"first": [FAILING], **config}), Heard()
    with tracked(plan.config, folder, heard) as observer:
        return run_plan(plan, folder, observer=observer), heard


@pytest.mark.parametrize("name", EACH)
def test_a_study_is_read_back_as_it_is(name, ready, tmp_path, capfd):
    read = ready(name)
    folder = tmp_path / "s"
    view, heard = search(folder, name, trials=12, name=f"whole-{name}")
    assert len(heard.of()) == 1, heard.notes
    assert capfd.readouterr().out == "", "results stand on stdout"
    found = {run.id: run for run in read(folder)}
    assert set(found) == {"study", *(trial_id(t) for t in ended(view))} and len(ended(view)) == 12
    said = verdicts(view)
    for trial in ended(view):
        run, wanted = found[trial_id(trial)], trial_run(view, trial, said)
        assert run.failed == (trial.state == "failed") == (str(trial.architecture) == FAILING)
        if name != "tensorboard":  # its files do not say more than numbers and letters in the name of a folder
            assert run.group == wanted.group
            assert {k: run.settings[k] for k in wanted.settings} == {k: str(v) for k, v in wanted.settings.items()}
        else:
            assert run.group == folder_name(wanted.group) or run.group.startswith(folder_name(wanted.group)[:50])
            assert run.settings["architecture"] == wanted.group and float(run.settings["seed"]) == trial.seed
        assert run.labels["state"] == trial.state and run.labels.get("reason", "") == wanted.labels.get("reason", "")
        assert set(run.rows) >= {step for step, _ in wanted.rows}
        for step, values in wanted.rows:
            assert {k: run.rows[step][k] for k in values} == pytest.approx(values, rel=1e-6)
        assert {k: run.values[k] for k in wanted.figures} == pytest.approx(wanted.figures, rel=1e-6)
    whole = found["study"]
    assert list(whole.rows)[-1] == 12 and whole.values["complete_trials"] == 11 - whole.values["stopped_trials"]
    assert whole.labels["answer"].split() and "Front and controls" in whole.texts["study.md"]


@pytest.mark.parametrize("name", EACH)
def test_runs_of_one_architecture_are_one_group(name, ready, tmp_path):
    read = ready(name)
    view, _ = search(tmp_path / "s", name, trials=8, name=f"group-{name}", control_seeds=3, first=[])
    groups: dict = {}
    for run in read(tmp_path / "s"):
        groups.setdefault(run.group, set()).add(run.id)
    wanted: dict = {}
    for trial in ended(view):
        wanted.setdefault(trial.architecture, set()).add(trial_id(trial))
    assert sorted(map(sorted, groups.values())) == sorted(map(sorted, [{"study"}, *wanted.values()]))
    assert any(len(group) >= 3 for group in groups.values()), "the controls have several seeds"
    base = next(a for a in wanted if all(gene == NONE for _, gene in a))
    assert groups["the-base" if name == "tensorboard" else "the base"] == wanted[base]


@pytest.mark.parametrize("name", EACH)
def test_a_continued_study_adds_the_new_trials_only(name, ready, tmp_path):
    read, folder = ready(name), tmp_path / "s"

    def steps():
        found = read(folder)
        assert len({run.id for run in found}) == len(found)  # the readers refuse values that were written twice
        return {run.id for run in found if run.id != "study"}, next(r for r in found if r.id == "study").rows

    search(folder, name, trials=6, name=f"goes-on-{name}")
    assert len(steps()[0]) == 6 and set(steps()[1]) == {6}
    search(folder, name, trials=6, name=f"goes-on-{name}")
    assert len(steps()[0]) == 6 and set(steps()[1]) == {6}, "the same command adds nothing"
    search(folder, name, trials=9, name=f"goes-on-{name}")
    assert len(steps()[0]) == 9 and set(steps()[1]) == {6, 9}


@pytest.mark.needs("mlflow", "flask_cors", "huey")
def test_a_server_that_dies_and_comes_back(ready, tmp_path, monkeypatch):
    """It is killed at the fourth trial. The search ends; the same study continues when the server is there again."""
    ready("tensorboard")
    own = MlflowServer(tmp_path)
    own.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", own.uri)
    plan = make_plan(EVALUATOR, track="mlflow", trials=10, name="dies")

    class Killing(Heard):
        def finished(self, view, trial):
            if trial.number == 3:
                wait_for(lambda: count(own.uri, "dies") >= 2)
                bounds.append(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
                own.stop()

    heard, bounds = Killing(), []
    with tracked(plan.config, tmp_path / "s", heard) as observer:
        view = run_plan(plan, tmp_path / "s", observer=observer)
    assert view.counted == 10 and len(ended(view)) == 10
    complaints = heard.of("The search goes on without MLflow")
    assert len(complaints) == 1 and own.uri in complaints[0], heard.notes
    assert bounds == ["0"], "MLflow itself would try each request for minutes"
    assert not {"MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"} & set(os.environ), "it is put back"
    own.start()
    try:
        view, heard = search(tmp_path / "s", "mlflow", trials=11, name="dies", first=[])
        assert not heard.of("goes on without") and view.counted == 11
        found = read_mlflow(own.uri, "dies")
        assert sorted(r.id for r in found) == sorted(["study", *(trial_id(t) for t in ended(view))])
    finally:
        own.stop()


@pytest.mark.needs("mlflow", "flask_cors", "huey")
def test_a_run_that_a_killed_process_left_is_written_again(ready, tmp_path, server):
    from mlflow import MlflowClient

    read = ready("mlflow")
    search(tmp_path / "s", "mlflow", trials=4, name="killed", first=[])
    client = MlflowClient(server.uri)
    half = next(r for r in client.search_runs([client.get_experiment_by_name("killed").experiment_id])
                if r.data.tags["nas_attn.run"] == "trial-0002")  # fmt: skip
    client.update_run(half.info.run_id, status="RUNNING")
    search(tmp_path / "s", "mlflow", trials=5, name="killed", first=[])
    assert sorted(r.id for r in read(tmp_path / "s")) == ["study", *(f"trial-{n:04d}" for n in range(5))]


@pytest.mark.needs("mlflow", "wandb")
def test_half_set_variables_are_said_once(tmp_path):
    """In a process of its own, because these libraries read their variables when they are first used."""
    code = (
        "import sys; from test_trackers import search; from pathlib import Path\n"
        "v, heard = search(Path(sys.argv[1]), 'mlflow,wandb', trials=6, name='half')\n"
        "print(v.counted); print(*heard.of(), sep='\\n')"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "MLFLOW_"))}
    variables = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true"}
    folders = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    run = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code, tmp_path / "s"],
        env={**kept, **variables, "PYTHONPATH": folders},
        cwd=tmp_path, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    counted, *notes = run.stdout.splitlines()
    assert counted == "6" and len(notes) == 2, run.stdout
    assert all(n.startswith("The search goes on without ") for n in notes)
    assert any("no API key" in n and "WANDB_MODE=offline" in n for n in notes)
    assert any("127.0.0.1" in n and "MLflow" in n for n in notes)
    assert "Traceback" not in run.stderr and "Retrying" not in run.stderr, run.stderr


@pytest.mark.needs("mlflow", "flask_cors", "huey", "tensorboard", "wandb")
def test_a_search_with_all_trackers_at_once(ready, tmp_path, monkeypatch):
    readers = {name: ready(name) for name in TRACKERS}
    given: dict = {"evaluator": EVALUATOR, "engine": na.InlineEngine(), "progress": False, **SMALL}
    study = na.run_search("all", runs=tmp_path, trials=8, track="mlflow, tensorboard,wandb", **given)
    wanted = study.yaml(offered(study.view).candidate)
    for name, read in readers.items():
        found = {run.id: run for run in read(study.folder)}
        assert len(found) == 9, name
        assert wanted in found["study"].texts["pick.yaml"], name
    assert json.loads((study.folder / "wandb.json").read_text())
    files = sorted((study.folder / "tensorboard").rglob("events.*"))
    given["engine"] = na.InlineEngine()
    na.run_search("all", runs=tmp_path, trials=9, track=["none"], **given)
    assert sorted((study.folder / "tensorboard").rglob("events.*")) == files, "`none` switches them off"
