"""Writers and their observer: every trial once, and a tracker that fails, hangs or comes back never stops a search."""

from __future__ import annotations

import threading
import time

import pytest
from untrained_searches import make_plan, run_plan

import nas_attn.tracking.observer as module
from nas_attn.errors import MissingPart
from nas_attn.study.config import TRACKERS
from nas_attn.study.observer import Silent
from nas_attn.tracking import table, writer
from nas_attn.tracking.observer import tracked
from nas_attn.tracking.runs import Run
from nas_attn.tracking.table import TABLE, trackers
from nas_attn.tracking.tracker import Tracker

WAIT = 60  # seconds, never reached


class Shelf(Tracker):
    """A tracker that keeps its runs in memory, and does what it is told.

    Args:
        folder: not used.
        store: the runs, in the order of their writing; several shelves may share it, as clients share a server.
        ails: called at the begin of each method; it may raise or wait.
    """

    title = "Shelf"

    def __init__(self, folder, store=None, ails=lambda step: None):
        super().__init__(folder)
        self.store = [] if store is None else store
        self.ails = ails
        self.labels: dict = {}
        self.connected = self.closed = 0
        self.threads: set = set()

    def connect(self, view):
        self.ails("connect")
        self.connected += 1
        return {run.key for run in self.store}

    def place(self):
        return "in memory"

    def write(self, run):
        self.threads.add(threading.current_thread())
        self.ails("write")
        self.store.append(run)

    def label(self, labels):
        self.labels = dict(labels)

    def close(self):
        self.ails("close")
        self.closed += 1


class Heard(Silent):
    """An observer that notes what it hears, and in which thread."""

    def __init__(self):
        self.notes, self.numbers, self.threads = [], [], set()

    def note(self, text):
        self.threads.add(threading.current_thread())
        if "Shelf" in text:
            self.notes.append(text)

    def finished(self, view, trial):
        self.numbers.append(trial.number)


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """No library is needed, and no posterior is computed: what runs say is tested in `test_tracking_runs.py`."""
    monkeypatch.setattr(table, "_installed", lambda name: True)
    monkeypatch.setattr(writer, "verdicts", lambda view: {c.architecture: "a word" for c in view.candidates()})
    monkeypatch.setattr(module, "study_run", lambda view: Run("study", "", "", {}, {}, (), {}, trials=view.counted))


@pytest.fixture
def search(tmp_path, monkeypatch):
    """A function that runs or continues a search with one shelf, and returns what its observer heard."""

    def run(shelf, trials=8, heard=None, **more):
        monkeypatch.setitem(TABLE, "mlflow", lambda folder: shelf)
        heard = heard or Heard()
        plan = make_plan(trials=trials, track=["mlflow"], **{"sampler": "random", **more})  # the fastest one
        with tracked(plan.config, tmp_path, heard) as observer:
            run_plan(plan, tmp_path / "s", observer=observer)
        return heard

    return run


def keys(shelf):
    return [run.key for run in shelf.store]


def trials(first, last):
    return [f"trial-{n:04d}" for n in range(first, last)]


def test_each_trial_is_written_once_and_the_study_at_the_end(search):
    shelf = Shelf(None)
    heard = search(shelf)
    assert keys(shelf) == [*trials(0, 8), "study-0008"]
    assert heard.notes == ["Shelf: in memory."] and heard.numbers == list(range(8)), "events are passed on"
    assert threading.main_thread() not in shelf.threads and heard.threads == {threading.main_thread()}
    assert shelf.connected == shelf.closed == 1
    assert shelf.labels == {key: {"verdict": "a word"} for key in trials(0, 8)}


def test_a_continued_study_adds_the_new_trials_only(search):
    store: list = []
    search(Shelf(None, store), 8)
    search(Shelf(None, store), 8)
    assert [run.key for run in store] == [*trials(0, 8), "study-0008"], "the same command again"
    search(Shelf(None, store), 11)
    assert [run.key for run in store] == [*trials(0, 8), "study-0008", *trials(8, 11), "study-0011"]


def test_a_tracker_that_is_named_later_gets_the_earlier_trials_too(search, tmp_path):
    run_plan(make_plan(trials=5, sampler="random"), tmp_path / "s")
    shelf = Shelf(None)
    search(shelf, 7)
    assert keys(shelf) == [*trials(0, 7), "study-0007"]


@pytest.mark.parametrize("step", ["connect", "write", "close"])
@pytest.mark.parametrize("error", [ValueError("no such\n  host"), SystemExit(3), KeyError("x")])
def test_a_broken_tracker_is_said_once_and_the_search_goes_on(search, step, error):
    def ails(now):
        if now == step:
            raise error

    heard = search(Shelf(None, ails=ails))
    assert heard.numbers == list(range(8))
    said = [note for note in heard.notes if note != "Shelf: in memory."]
    assert len(said) == 1 and said[0].startswith("The search goes on without Shelf for now (")
    assert "\n" not in said[0] and "added as soon as it works, or when the study is continued." in said[0]
    assert ("no such)" in said[0]) == isinstance(error, ValueError)


def test_a_tracker_that_comes_back_gets_what_it_missed(search, monkeypatch):
    monkeypatch.setattr(writer, "PAUSE", 0.0)
    gone = threading.Event()

    class Watching(Heard):
        def finished(self, view, trial):
            super().finished(view, trial)
            if trial.number == 2:
                gone.set()
            if trial.number == 6:  # the search goes on only after the failure was seen, so it surely was one
                wait_for(lambda: failures)
                gone.clear()

    failures: list = []

    def ails(step):
        if gone.is_set():
            failures.append(step)
            raise OSError("connection refused")

    shelf = Shelf(None, ails=ails)
    heard = search(shelf, 12, Watching())
    assert failures and sorted(keys(shelf)) == sorted([*trials(0, 12), "study-0012"])
    assert sum("connection refused" in note for note in heard.notes) == 1
    assert shelf.connected > 1, "after an error it is asked again what it has"


def test_a_tracker_that_is_gone_is_not_asked_at_each_trial(search):
    asked: list = []

    def ails(step):
        if step == "connect":
            asked.append(step)
            raise OSError("gone")

    search(Shelf(None, ails=ails), 40)
    assert 1 <= len(asked) <= 2, "once, and once more at the end"


def test_a_slow_tracker_does_not_delay_the_search(search):
    """The tracker takes its first run only when the search has ended all its trials."""
    done = threading.Event()

    class Watching(Heard):
        def finished(self, view, trial):
            super().finished(view, trial)
            if len(self.numbers) == 20:
                done.set()

    def ails(step):
        if step == "write":
            assert done.wait(WAIT)

    shelf = Shelf(None, ails=ails)
    heard = search(shelf, 20, Watching())
    assert heard.numbers == list(range(20)) and sorted(keys(shelf)) == sorted([*trials(0, 20), "study-0020"])
    assert heard.notes == ["Shelf: in memory."]


def test_a_tracker_that_hangs_is_left(search, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    monkeypatch.setattr(module, "TICK", 0.05)
    release = threading.Event()
    heard = search(Shelf(None, ails=lambda step: release.wait(WAIT) if step == "write" else None))
    release.set()
    assert heard.notes[-1].startswith("Shelf does not answer, so the search ends without it; 8 trials are missing")


def test_an_interrupted_search_hardly_waits(search, monkeypatch):
    monkeypatch.setattr(module, "BRIEF", 0.3)
    release, store = threading.Event(), []

    class Interrupting(Heard):
        def finished(self, view, trial):
            super().finished(view, trial)
            if trial.number == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(Shelf(None, store, lambda step: release.wait(WAIT) if step == "write" else None), 8, Interrupting())
    hanging = [t for t in threading.enumerate() if t.name == "nas_attn Shelf"]
    release.set()
    for thread in hanging:
        thread.join(WAIT)
    assert len(store) <= 1, "after the run that was being written it stops"
    search(Shelf(None, store), 8)
    assert [run.key for run in store] == [*trials(0, 8), "study-0008"]


def test_evidence_and_refusals_are_no_runs(search):
    shelf = Shelf(None)
    search(shelf, 10, max_gmacs=3.03)
    numbers = [run.settings["trial"] for run in shelf.store if run.id != "study"]
    assert len(numbers) == 10 < max(numbers) + 1, "refused proposals have numbers, but no run"


def test_one_tracker_that_hangs_does_not_stop_another(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 2.0)
    release = threading.Event()
    whole, hung = Shelf(None), Shelf(None, ails=lambda step: release.wait(WAIT))
    monkeypatch.setitem(TABLE, "mlflow", lambda folder: hung)
    monkeypatch.setitem(TABLE, "wandb", lambda folder: whole)
    plan = make_plan(trials=6, track="mlflow,wandb", sampler="random")
    with tracked(plan.config, tmp_path, Heard()) as observer:
        run_plan(plan, tmp_path / "s", observer=observer)
    release.set()
    assert keys(whole) == [*trials(0, 6), "study-0006"]


def test_without_trackers_the_observer_stays_itself(tmp_path):
    heard = Heard()
    with tracked(make_plan().config, tmp_path, heard) as observer:
        assert observer is heard


def test_the_table_has_the_trackers_of_the_configuration():
    assert tuple(TABLE) == TRACKERS


def test_a_library_that_is_missing_is_said_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "_installed", lambda name: name == "wandb")
    with pytest.raises(MissingPart, match=r"^mlflow and tensorboard are not installed: run `pip install 'nas_attn\[ml"):
        trackers(TRACKERS, tmp_path)
    with pytest.raises(MissingPart, match=r"^mlflow is not installed: .*, or leave out --track$"):
        trackers(["mlflow"], tmp_path)


def test_a_folder_with_the_name_of_a_library_is_none(tmp_path, monkeypatch):
    monkeypatch.undo()  # the real function
    (tmp_path / "no_such_tracker").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not table._installed("no_such_tracker") and table._installed("json")


def test_secrets_in_an_error_are_not_shown():
    said = writer.reason(OSError("cannot reach https://me:geheim-1@host:5000/api: refused"))
    assert "geheim" not in said and "host:5000" in said
    assert len(writer.reason(OSError("x" * 5000))) < 250 and writer.reason(OSError()) == "OSError"


def wait_for(true):
    end = time.monotonic() + WAIT
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    assert true()
