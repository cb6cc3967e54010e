"""A narrow base, two exported YAMLs with the same name, and `train` called with wrong input."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from short_training import FOUND

from nas_attn.cli.app import run
from nas_attn.space import Architecture


@pytest.fixture(scope="module")
def base():
    from nas_attn.detector.model.base_model import load_base

    return load_base("yolo11n", nc=3, width=0.0625)


@pytest.fixture(scope="module")
def slots(base):
    from nas_attn.detector.neck.slots import find_slots

    return find_slots(base)


@pytest.fixture(scope="module")
def exports(tmp_path_factory, base, slots) -> Path:
    """A folder with two exported YAMLs of the same name, a/best.yaml and b/best.yaml."""
    from nas_attn.detector.neck.export import write_yaml

    folder = tmp_path_factory.mktemp("exports")
    for name, text in (("a", FOUND), ("b", "p4=lska(k_size=7)")):
        write_yaml(folder / name / "best.yaml", base, slots, Architecture.parse(text), final_nc=3)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, exports):
    shutil.copytree(exports, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(here, capfd, tiny_data):
    """A function that runs `train` with arguments that it must refuse, and returns its message."""

    def check(*arguments: object) -> str:
        before = sorted(here.rglob("*"))
        capfd.readouterr()
        assert run([str(a) for a in ("train", "--data", tiny_data, *arguments)]) == 2
        said = capfd.readouterr()
        assert "Traceback" not in said.err and not said.out
        assert sorted(here.rglob("*")) == before
        return said.err

    return check
