"""The list of studies: their state, and what each found."""

from __future__ import annotations

import json
import os
import socket

import pytest
from fabricated_studies import Fabricator, fabricate

import nas_attn as na
from nas_attn.cli.app import run
from nas_attn.study.folder import HOLDER, Lease, RunFolder, is_held


@pytest.fixture
def runs(tmp_path):
    fabricate(tmp_path / "first", 12)
    Fabricator(tmp_path / "begun")
    (tmp_path / "no study").mkdir()
    os.utime(tmp_path / "first" / "records.jsonl", (1, 1))
    return tmp_path


def test_each_study_has_its_state_and_its_best(runs):
    found = na.studies(runs)
    assert [s.folder.name for s in found] == ["begun", "first"], "the newest record first"
    rows = {row[0]: dict(zip(found.table.columns, row, strict=True)) for row in found.table.rows}
    best = next(p for p in found[1].picks() if p.rule == "best")
    assert rows["first"]["architecture"] == best.candidate.key
    assert rows["begun"]["architecture"] == "–" and rows["begun"]["state"] == "stopped"


def test_a_damaged_study_is_said_and_the_others_are_listed(runs):
    (runs / "first" / "records.jsonl").write_text("no JSON\n" * 3)
    rows = na.studies(runs).table.rows
    assert {row[0] for row in rows} == {"begun", "first"}
    assert len(na.studies(runs)) == 1


def test_a_study_that_a_process_works_on_is_running(runs):
    folder = RunFolder(runs / "first")
    assert not is_held(folder)
    with Lease(folder):
        assert is_held(folder)
        assert next(row for row in na.studies(runs).table.rows if row[0] == "first")[1] == "running"
    gone = {"pid": 2**22 + 1, "host": socket.gethostname()}  # no system gives this number to a process
    (runs / "first" / HOLDER).write_text(json.dumps(gone))
    assert not is_held(folder)
    (runs / "first" / HOLDER).write_text(json.dumps({**gone, "host": "elsewhere"}))
    assert is_held(folder)


def test_the_command(runs, capsys):
    assert run(["list", "--runs", str(runs)]) == 0
    out = capsys.readouterr().out
    assert "first" in out and "begun" in out
    assert run(["list", "--runs", str(runs / "none"), "--json"]) == 0 and json.loads(capsys.readouterr().out) == []


def test_a_name_that_is_not_there_names_those_that_are(runs, capsys):
    assert run(["report", "frist", "--runs", str(runs)]) == 2
    assert "Did you mean 'first'?" in capsys.readouterr().err
