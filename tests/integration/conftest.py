"""A tiny data set, and one small search on the command line that several tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from loaded_process import Finished, LoadedProcess, run_anew

STUDY = {
    "model": "yolo11n.yaml",
    "width": 0.0625,
    "epochs": 2,
    "imgsz": 64,
    "final_imgsz": 320,
    "batch": 4,
    "trials": 9,
    "dead_slots": "keep",
    "jobs": 1,
    "control_seeds": 2,
    "modules": {"acmix": {"head": [2], "kernel_att": [3, 5]}, "conv": None, "lska": {"k_size": [7, 23]}},
}


@dataclass(frozen=True)
class Shell:
    """A runner for `python -m nas_attn` in a folder, as a user types it; libraries are loaded once for all commands."""

    folder: Path
    loaded: LoadedProcess

    def __call__(self, *arguments: object, timeout: float = 400) -> Finished:
        return self.loaded.run([str(a) for a in arguments], self.folder, os.environ, timeout)

    def anew(self, *arguments: object, timeout: float = 400) -> Finished:
        """The same in a new interpreter, in which nothing is loaded yet."""
        return run_anew([str(a) for a in arguments], self.folder, os.environ, timeout)


@pytest.fixture(scope="session")
def shell_in() -> Iterator[Callable[[Path], Shell]]:
    """A function: folder -> the shell in it."""
    with LoadedProcess() as loaded:
        yield lambda folder: Shell(folder, loaded)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """The data.yaml of sixteen drawn images of 64 px."""
    from nas_attn.data.demo import write_data

    folder = tmp_path_factory.mktemp("tiny")
    return write_data(folder, {"train": 8, "val": 4, "test": 4}, 64, ((8, 12), (14, 24), (30, 50)))


@pytest.fixture(scope="module")
def nas(shell_in) -> Callable[..., Finished]:
    """A function that runs one command of nas_attn in a folder."""

    def call(folder: Path, *arguments: object, code: int = 0) -> Finished:
        done = shell_in(folder)(*arguments)
        assert done.code == code, done.err[-3000:]
        assert code != 2 or "Traceback" not in done.err
        return done

    return call


@pytest.fixture(scope="session")
def write_study(tiny_data):
    """A function that writes a changed copy of the tiny study's YAML."""

    def write(path: Path, **changes: object) -> Path:
        path.write_text(yaml.safe_dump({**STUDY, "data": str(tiny_data), **changes}))
        return path

    return write


@pytest.fixture(scope="session")
def searched(tmp_path_factory, write_study, shell_in):
    """(shell, result) of one finished search named `tiny`, with two workers and in a new interpreter."""
    folder = tmp_path_factory.mktemp("search")
    write_study(folder / "tiny.yaml", jobs=2)
    shell = shell_in(folder)
    return shell, shell.anew("search", "tiny.yaml", "--json")
