"""MLflow: a run for each trial in one experiment. The server itself is asked which runs it has.

The address and the experiment are those of MLflow's own variables, `MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas_attn.study.storage_url import masked
from nas_attn.study.view import StudyView
from nas_attn.tracking.runs import Run
from nas_attn.tracking.tracker import Tracker

BOUNDS = {  # MLflow would try a request for minutes; here the next trial tries again
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # results stand on stdout
}
AT_ONCE = 500  # metrics of one request; the server takes 1,000
LONGEST = 500  # characters of a parameter that every server takes
LONGEST_TAG = 5000
OWN = "nas_attn."  # begin of the tags by which our runs are found


class ToMlflow(Tracker):
    """Writes runs with the MLflow client, which changes nothing about runs that the user's own code has active."""

    title = "MLflow"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._left = contextlib.ExitStack()
        self._runs: dict[str, str] = {}  # id of a run -> MLflow's id
        self._verdicts: dict[str, str] = {}
        self._client: Any = None
        self._study = self._experiment = self._name = ""

    def connect(self, view: StudyView) -> set[str]:
        self._left.close()
        self._left.enter_context(_bounded())
        from mlflow import MlflowClient

        self._client = client = MlflowClient()
        self._study = str(view.header.get("id") or view.name)
        self._name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or view.name
        found = client.get_experiment_by_name(self._name)
        self._experiment = found.experiment_id if found else client.create_experiment(self._name)
        self._runs, self._verdicts, known = {}, {}, set()
        for run in self._pages():
            tags, number = run.data.tags, run.info.run_id
            if run.info.status == "RUNNING":  # a process ended while it wrote this run
                client.delete_run(number)
                continue
            self._runs[tags[f"{OWN}run"]] = number
            self._verdicts[tags[f"{OWN}run"]] = tags.get("verdict", "")
            known.add(tags[f"{OWN}key"])
        return known

    def place(self) -> str:
        return f"experiment {self._name} at {masked(self._client.tracking_uri)}"

    def write(self, run: Run) -> None:
        from mlflow.entities import Metric, Param, RunTag

        number, now = self._runs.get(run.id), int(time.time() * 1000)
        params = []
        if number is None:
            own = {f"{OWN}study": self._study, f"{OWN}run": run.id}
            number = self._client.create_run(self._experiment, run_name=run.name, tags=own).info.run_id
            params = [Param(k, str(v)[:LONGEST]) for k, v in run.settings.items()]
        for name, text in run.texts.items():
            self._client.log_text(number, text, name)
        rows = [*run.rows, (run.rows[-1][0] if run.rows else 0, run.figures)]
        metrics = [Metric(name, value, now, step) for step, values in rows for name, value in values.items()]
        while len(metrics) > AT_ONCE:
            self._client.log_batch(number, metrics=metrics[:AT_ONCE])
            metrics = metrics[AT_ONCE:]
        tags = {**({"group": run.group} if run.group else {}), **run.labels, f"{OWN}key": run.key}
        told = [RunTag(k, v[:LONGEST_TAG]) for k, v in tags.items()]
        self._client.log_batch(number, metrics=metrics, params=params, tags=told)
        self._client.set_terminated(number, "FAILED" if run.failed else "FINISHED")
        self._runs[run.id], self._verdicts[run.id] = number, run.labels.get("verdict", "")

    def label(self, labels: Mapping[str, Mapping[str, str]]) -> None:
        for name, said in labels.items():
            if name in self._runs and self._verdicts.get(name) != said["verdict"]:
                self._client.set_tag(self._runs[name], "verdict", said["verdict"])
                self._client.delete_tag(self._runs[name], "verdict_after")
                self._verdicts[name] = said["verdict"]

    def close(self) -> None:
        self._left.close()

    def _pages(self) -> Iterator[Any]:
        """All runs of the study."""
        own, token = f"tags.`{OWN}study` = '{self._study}'", None
        while True:
            page = self._client.search_runs([self._experiment], own, page_token=token)
            yield from page
            if not (token := page.token):
                return


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """A context in which MLflow neither repeats requests nor reports its own steps; values of the user stay."""
    added = [name for name in BOUNDS if name not in os.environ]
    os.environ.update({name: BOUNDS[name] for name in added})
    logger = logging.getLogger("mlflow")
    before = logger.level
    import mlflow  # noqa: F401 (sets the level when it is first imported)

    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
        for name in added:
            os.environ.pop(name, None)
