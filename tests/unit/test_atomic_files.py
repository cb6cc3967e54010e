"""The errors for read-only disks and for names that are too long."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fabricated_studies import fabricate

from nas_attn.ablation.run import run_ablation
from nas_attn.api import run_search
from nas_attn.atomic_files import write_text_atomic
from nas_attn.cli.app import run
from nas_attn.errors import RecordLost, StorageFull, UserError, room_wanted
from nas_attn.study.folder import RunFolder


@pytest.fixture
def read_only(tmp_path, monkeypatch):
    """A folder that atomic writing sees as a read-only file system."""

    def refuse(prefix, dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))

    monkeypatch.setattr("nas_attn.atomic_files.tempfile.mkstemp", refuse)
    return tmp_path


def test_a_read_only_disk_is_wrong_input_of_a_command_and_a_mishap_of_a_study(read_only):
    with pytest.raises(UserError, match=r"must be writable.*Read-only file system.*Name another folder"), room_wanted():
        write_text_atomic(read_only / "model.yaml", "")
    with (
        pytest.raises(StorageFull, match=r"Read-only file system.*Make it writable, then give the same command"),
        room_wanted(),
        room_wanted(study=True),
    ):
        write_text_atomic(read_only / "table.json", "")


def test_a_search_and_an_ablation_meet_a_read_only_disk(read_only, monkeypatch):
    def write(*arguments):
        write_text_atomic(read_only / "table.json", "")

    monkeypatch.setattr("nas_attn.study.run._run_here", write)
    monkeypatch.setattr("nas_attn.ablation.run._run", write)
    asked = SimpleNamespace(folder=read_only / "s" / "ablations" / "a")
    for call in (lambda: run_search("demo", runs=read_only), lambda: run_ablation(asked, observer=None)):
        with pytest.raises(StorageFull, match="Make it writable"):
            call()


@pytest.mark.parametrize(("code", "remedy"), [("EROFS", "Make it writable"), ("EACCES", "Make it writable"),
                                              ("ENOSPC", "Make room"), ("EDQUOT", "Make room")])  # fmt: skip
def test_a_record_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch, code, remedy):
    def refuse(*arguments, **keywords):
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    log = RunFolder(tmp_path).log
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(RecordLost, match=f"{remedy}, then give the same command again"):
        log.append("study")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other words for it")
def test_names_that_are_too_long_are_wrong_input_of_every_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fabricate(tmp_path / "runs" / "s", trials=4)
    long = "a" * 5000
    for command in (
        ["report", "s", "-o", f"{long}.html"],
        ["report", "s", "-o", f"{long}/r.html"],
        ["search", "s", "--runs", long],
        ["search", "demo", "--runs", long],
    ):
        assert run(command) == 2, command
        said = capsys.readouterr().err
        assert "a name or path must be one that a file can have" in said and "must be writable" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]


@pytest.mark.parametrize("name", ["a" * 5000, "a" * 5000 + "/b", "/".join(["a" * 200] * 50)])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other words for it")
def test_a_name_that_is_too_long_is_no_fault_of_its_folder(tmp_path, name):
    with pytest.raises(UserError, match=r"one that a file can have, but got '.*aaa.* \(File name too long\)") as caught:
        write_text_atomic(tmp_path / name, "")
    assert "another folder" not in str(caught.value)
