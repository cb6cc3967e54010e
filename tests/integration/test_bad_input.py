"""Wrong input: one clear message, exit code 2, no traceback, and no lost or partial file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nas_attn.cli.app import run


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(here, capfd):
    """A function that runs a command, which must be refused, and returns its message."""

    def check(*arguments: object, code: int = 2) -> str:
        before = sorted(str(p) for p in here.rglob("*"))
        assert run([str(a) for a in arguments]) == code
        said = capfd.readouterr()
        assert "Traceback" not in said.err and not said.out
        assert sorted(str(p) for p in here.rglob("*")) in (before, sorted([*before, str(here / "runs")]))
        return said.err

    return check


def data(folder: Path, tiny_data: Path) -> Path:
    shutil.copytree(tiny_data.parent, folder / "data")
    return folder / "data" / tiny_data.name


def edit(path: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))
    return path


def test_data_yaml_missing(refused):
    said = refused("search", "new", "--data", "nowhere.yaml")
    assert "existing data.yaml" in said and "nowhere.yaml'" in said


def test_data_folders_missing(refused, here, tiny_data):
    said = refused("search", "new", "--data", edit(data(here, tiny_data), train="images/none", val="images/gone"))
    assert said.count("image folder must exist") == 2 and "images/none" in said and "images/gone" in said


def test_data_without_labels(refused, here, tiny_data):
    path = data(here, tiny_data)
    shutil.rmtree(path.parent / "labels")
    said = refused("search", "new", "--data", path)
    assert "must have labels" in said and "labels" in said


def test_class_count(refused, here, tiny_data):
    said = refused("search", "new", "--data", edit(data(here, tiny_data), nc=7))
    assert "`nc` must equal the number of names" in said and "nc 7, 3 names" in said
    for label in (here / "data" / "labels" / "train").glob("*.txt"):
        label.write_text("9 0.5 0.5 0.1 0.1\n")
    assert "class" in refused("search", "new", "--data", edit(here / "data" / "data.yaml", nc=3))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "yolo11m7.yaml"], ["base model", "Did you mean"]),
        (["--modules", "acmx,lska"], ["attention module", "'acmx'", "Did you mean 'acmix'"]),
        (["--slots", "p3,p9"], ["slot", "'p9'", "p3, p3.head, p4, p4.head, p5"]),
        (["--sampler", "tpee"], ["sampler", "Did you mean 'tpe'"]),
        (["--space", "nek"], ["search space", "Did you mean 'neck'"]),
        (["--imgsz", "100"], ["multiple", "100", "Use 96"]),
        (["--trials", "0"], ["trials", "at least 1", "0"]),
        (["--trials", "-3"], ["trials", "-3"]),
        (["--device", "cuda"], ["GPU", "--device cpu"]),
        (["--device", "gpu0"], ["--device", "'gpu0'"]),
        (["--storage", "nonsense"], ["storage must be a database", "'nonsense", "sqlite:///"]),
        (["--storage", "sqlite:////nonexistent/x.db"], ["storage must be a database", "unable to open"]),
        (["--start", "weights"], ["--weights"]),
        (["--weights", "none.pt"], ["weights", "none.pt'"]),
        (["--start", "nothing"], ["start", "nothing"]),
        (["--dead-slots", "hide"], ["dead", "hide"]),
        (["--epochs", "0"], ["epochs", "0"]),
        (["--fraction", "1.5"], ["fraction", "1.5"]),
        (["--jobs", "0"], ["jobs", "0"]),
    ],
    ids=lambda v: "-".join(v[:2]) if isinstance(v, list) else None,
)
def test_options(refused, tiny_data, arguments, words):
    if arguments[:2] == ["--device", "cuda"]:
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU, so asking for it is no mistake")
    said = refused("search", "new", "--data", tiny_data, *arguments)
    for word in words:
        assert word in said, said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modules": {"acmix": {"heads": [4]}}}, ["setting of acmix", "'heads'", "Did you mean 'head'"]),
        ({"modules": {"acmix": {"head": [3]}}}, ["acmix.head", "3"]),
        ({"epoch": 4}, ["study setting", "'epoch'", "Did you mean 'epochs'"]),
    ],
)
def test_study_yaml(refused, here, write_study, changes, words):
    said = refused("search", write_study(here / "s.yaml", **changes))
    for word in words:
        assert word in said, said


def test_several_mistakes_are_reported_at_once(refused, here, write_study):
    changes = {"data": "nowhere.yaml", "model": "yolo11q", "device": "tpu", "space": "nek", "storage": "nonsense"}
    said = refused("search", write_study(here / "s.yaml", **changes))
    for word in ("data.yaml", "'yolo11q'", "'tpu'", "'nek'", "'nonsense"):
        assert word in said, said
    assert "5 problems" in said

    said = refused("search", write_study(here / "t.yaml", sampler="best", trials=0, imgsz=-1, colour="red"))
    for word in ("'best'", "trials", "imgsz", "'colour'"):
        assert word in said, said


@pytest.mark.parametrize("text", ["a: [1\n", "- a\n- b\n", "\x00"])
def test_a_study_yaml_that_is_none(refused, here, text):
    (here / "s.yaml").write_text(text)
    assert "YAML" in refused("search", "s.yaml")


def test_a_missing_study_yaml(refused):
    assert "'gone.yaml'" in refused("search", "gone.yaml")


def test_an_unwritable_folder(refused, here, tiny_data):
    (here / "file").write_text("in the way")
    said = refused("search", "new", "--data", tiny_data, "--runs", here / "file")
    assert "run folder must be writable" in said and "--runs" in said
    said = refused("report", "new", "-o", here / "file" / "r.html")
    assert "must hold a study" in said


def test_changed_data(here, tiny_data, refused, capfd, write_study):
    path = data(here, tiny_data)
    study = write_study(here / "c.yaml", data=str(path), trials=1, epochs=1, control_seeds=1)
    assert run(["search", str(study)]) == 0
    log = (here / "runs" / "c" / "records.jsonl").read_bytes()
    next((here / "data" / "labels" / "train").glob("*.txt")).write_text("0 0.5 0.5 0.2 0.2\n")
    capfd.readouterr()
    assert run(["search", str(study), "--trials", "2"]) == 2
    assert "the data" in capfd.readouterr().err
    assert (here / "runs" / "c" / "records.jsonl").read_bytes() == log


@pytest.mark.parametrize("command", [["report"], ["dashboard"], ["export"]])
def test_no_such_study(refused, command):
    assert "must hold a study" in refused(*command, "nobody")


def test_commands_have_did_you_mean(refused):
    assert "search" in refused("serch")


def test_training_input(refused, here, tiny_data):
    assert "model YAML must exist" in refused("train", "gone.yaml", "--data", tiny_data)
    (here / "m.yaml").write_text("nc: 3\n")
    assert "backbone" in refused("train", "m.yaml", "--data", tiny_data)


def test_architectures(refused):
    assert "Did you mean 'acmix'" in refused("cost", "p3=acmx")
    assert "slot" in refused("cost", "p7=acmix")
    assert "acmix.head" in refused("cost", "p3=acmix(head=3)")
    assert "must read" in refused("cost", "p3:acmix")


def test_a_missing_libgl_is_one_line_with_the_remedy(tmp_path):
    """A file of that name that is no library imitates a slim image: the loader fails in the same way."""
    import cv2

    libraries = subprocess.run(["ldd", next(Path(cv2.__file__).parent.glob("*.so"))], capture_output=True, text=True)
    if "libGL.so.1" not in libraries.stdout:
        pytest.skip("missing part: an OpenCV that uses libGL (opencv-python, not opencv-python-headless)")
    (tmp_path / "libGL.so.1").write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-m", "nas_attn", "search", "--trials", "3"],
        cwd=tmp_path,
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and not done.stdout
    assert len(done.stderr.strip().splitlines()) == 1
    assert "libGL.so.1" in done.stderr and "apt-get install libgl1" in done.stderr
