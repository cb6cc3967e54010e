"""A study in which no trial has ended may change everything: a mistake in the first command does not burn its name."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from nas_attn.data.demo import write_data
from nas_attn.study import read_study

SMALL = ["--epochs", 1, "--imgsz", 64, "--final-imgsz", 320, "--modules", "lska", "--slots", "p3", "--jobs", 1]


@pytest.fixture
def data(tmp_path) -> Path:
    """The data.yaml of eight images for train and four for val, of which two and one cannot be read."""
    file = write_data(tmp_path / "data", {"train": 8, "val": 4}, 64, ((8, 12), (14, 24), (30, 50)))
    for image in broken(file):
        shutil.copy(image, f"{image}.whole")
        image.write_bytes(image.read_bytes()[:40])
    return file


def broken(data: Path) -> list[Path]:
    root = data.parent / "images"
    return [*sorted((root / "train").glob("*.[pj]*g"))[2:4], sorted((root / "val").glob("*.[pj]*g"))[1]]


def mend(data: Path) -> None:
    for image in broken(data):
        Path(f"{image}.whole").rename(image)


@pytest.mark.parametrize("stored", [False, True])
def test_the_same_command_after_mending_the_images(data, tmp_path, shell_in, stored):
    shell = shell_in(tmp_path)
    where = ["--storage", f"sqlite:///{tmp_path}/all.db"] if stored else []
    command = ["search", "mine", "--data", data, *SMALL, "--trials", 1, *where]
    failed = shell(*command)
    assert failed.code == 2 and all(str(image) in failed.err for image in broken(data)), failed.err
    mend(data)
    done = shell(*command)
    assert done.code == 0 and "begins anew" in done.err, done.err
    view = read_study(tmp_path / "runs" / "mine")
    assert [t.state for t in view.trials] == ["complete"]
    if stored:
        with sqlite3.connect(tmp_path / "all.db") as database:
            assert database.execute("select study_name from studies").fetchall() == [("mine",)]
            assert database.execute("select count(*) from trials").fetchone() == (1,)


def test_settings_may_change_until_a_trial_has_ended(data, tmp_path, shell_in):
    shell = shell_in(tmp_path)
    assert shell("search", "mine", "--data", data, *SMALL, "--trials", 1).code == 2
    mend(data)
    changed = shell("search", "mine", "--epochs", 2, "--imgsz", 96, "--trials", 1)  # the data is remembered
    assert changed.code == 0, changed.err
    config = read_study(tmp_path / "runs" / "mine").header["config"]
    assert (config["epochs"], config["imgsz"]) == (2, 96) and config["data"] == str(data)
    refused = shell("search", "mine", "--epochs", 3)
    assert refused.code == 2 and "must stay the same search" in refused.err
