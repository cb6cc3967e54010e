"""Readers of what trackers were given, each by the tracker's own files or server, and an MLflow server to write to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Read:
    """A run as it was read back.

    Attributes:
        id: `trial-0003` or `study`.
        group: what groups runs of one architecture.
        settings: name -> value as text.
        labels: name -> text.
        rows: step -> name -> value.
        texts: file name -> content, where the tracker keeps files.
        failed: True if it is marked as failed.
    """

    id: str
    group: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    rows: dict[int, dict[str, float]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    failed: bool = False

    @property
    def values(self) -> dict[str, float]:
        """The last value of each name."""
        return {name: value for step in sorted(self.rows) for name, value in self.rows[step].items()}


class MlflowServer:
    """A real MLflow server with a SQLite file. It may be stopped, and started again with the same file and port.

    Args:
        folder: its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        store = ("--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}")
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1")
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *store, *where, "--artifacts-destination", "artifacts"],
                cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + 120
        while time.monotonic() < end:
            assert self._process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.2)
        raise AssertionError("the MLflow server does not answer")

    def stop(self) -> None:
        """End it at once, with its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)  # its own session, made above
            self._process.wait()
            self._process = None


def read_mlflow(uri: str, experiment: str) -> list[Read]:
    """All runs of an experiment that are not deleted, oldest first, whatever their state."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    made = []
    for run in client.search_runs([found.experiment_id], max_results=1000, order_by=["attributes.start_time ASC"]):
        tags, number = run.data.tags, run.info.run_id
        assert run.info.status in ("FINISHED", "FAILED"), run.info.status
        rows: dict[int, dict[str, float]] = {}
        for name in run.data.metrics:
            points = client.get_metric_history(number, name)
            assert len({p.step for p in points}) == len(points), f"{name} was written twice"
            for point in points:
                rows.setdefault(point.step, {})[name] = point.value
        texts = {f.path: _artifact(client, number, f.path) for f in client.list_artifacts(number)}
        read = Read(tags["nas_attn.run"], tags.get("group", ""), run.data.params, tags, rows, texts)
        read.failed = run.info.status == "FAILED"
        made.append(read)
    return made


def _artifact(client: Any, number: str, path: str) -> str:
    return Path(client.download_artifacts(number, path)).read_text(encoding="utf-8")


def read_tensorboard(folder: Path) -> list[Read]:
    """All runs below a folder of event files, in the order of their names."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    made = []
    for place in sorted({p.parent for p in folder.rglob("events.out.tfevents.*")}, key=lambda p: p.name):
        found = EventAccumulator(str(place), size_guidance={"scalars": 0, "tensors": 0}).Reload()
        group = place.parent.name if place.parent != folder else ""
        read = Read(place.name, group)
        for name in found.Tags()["scalars"]:
            for event in found.Scalars(name):
                row = read.rows.setdefault(event.step, {})
                assert name not in row, f"{name} was written twice"
                row[name] = event.value
        for name in found.Tags()["tensors"]:
            text = found.Tensors(name)[-1].tensor_proto.string_val[0].decode()
            read.texts[name.removesuffix("/text_summary")] = text
        lines = [line.strip("| ").split(" | ") for line in read.texts.pop("labels").splitlines()[2:]]
        read.labels = {line[0]: line[1] for line in lines}
        start = found.summary_metadata.get("_hparams_/session_start_info")
        if start is not None:
            data = HParamsPluginData.FromString(start.plugin_data.content)
            hparams = data.session_start_info.hparams
            read.settings = {k: str(v.string_value or v.number_value) for k, v in hparams.items()}
        read.failed = read.labels.get("state") == "failed"
        made.append(read)
    return made


def read_wandb(folder: Path) -> list[Read]:
    """All offline runs below a run folder, in the order of their names. Files of one run are put together."""
    from wandb.proto import wandb_internal_pb2

    protocol: Any = wandb_internal_pb2  # its names are made when it is imported

    made: dict[str, Read] = {}
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        records = [protocol.Record.FromString(data) for data in _log(file.read_bytes())]
        run = next(r.run for r in records if r.WhichOneof("record_type") == "run")
        name = run.run_id.partition("-")[2]
        read = made.setdefault(name, Read(name))
        read.group = run.run_group
        read.settings |= {item.key: str(json.loads(item.value_json)) for item in run.config.update}
        read.labels["name"] = run.display_name
        for record in records:
            row = read.rows.setdefault(record.history.step.num, {}) if record.HasField("history") else {}
            for item in record.history.item:
                key = _key(item)
                assert key not in row, f"{key} was written twice"
                row[key] = json.loads(item.value_json)
            if record.HasField("exit"):
                read.failed = record.exit.exit_code != 0
        last = read.rows.setdefault(max(read.rows, default=0), {})
        for item in (item for record in records for item in record.summary.update):
            value = json.loads(item.value_json)
            if isinstance(value, str):
                read.labels[_key(item)] = value
            elif not _key(item).startswith("_"):
                last.setdefault(_key(item), value)
        read.texts |= {p.name: p.read_text(encoding="utf-8") for p in (file.parent / "files").iterdir()}
    for read in made.values():
        read.rows = {s: {k: v for k, v in row.items() if not k.startswith("_")} for s, row in read.rows.items()}
    return [made[name] for name in sorted(made)]


def _key(item: Any) -> str:
    return str(item.key or item.nested_key[0])


def _log(data: bytes) -> Iterator[bytes]:
    """The records of a file in the log format of LevelDB, with the header of 7 bytes that W&B writes."""
    at, part, block = 7, b"", 32768
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        part, at = part + data[at + 7 : at + 7 + size], at + 7 + size
        if kind in (1, 4):
            yield part
            part = b""
