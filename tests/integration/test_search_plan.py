"""`search --plan`: what a search will do, before it is run."""

from __future__ import annotations

import json

import pytest

import nas_attn as na
from nas_attn.errors import ConfigError, UserError


def test_a_plan_trains_nothing_and_writes_nothing(tmp_path, write_study, shell_in):
    write_study(tmp_path / "tiny.yaml", width=0.125)
    shell = shell_in(tmp_path)
    done = shell("search", "tiny.yaml", "--plan", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["left"], found["workers"]) == (9, 1) and 3 < found["seconds"] < 100
    assert (found["foresight"]["controls"], found["foresight"]["candidates"]) == (4, 5)
    assert found["hours"] == pytest.approx(9 * found["seconds"] / 3600)
    assert found["disk"] == pytest.approx(16 * 3 * 64**2 / 1e9) and found["memory"] > 0.1
    told = shell("search", "tiny.yaml", "--plan").out
    assert "9 trials: 4 controls, 5 try something" in told and told.endswith("Nothing was run.\n")
    assert not (tmp_path / "runs").exists()


def test_the_plan_of_a_study_that_has_begun_knows_its_trials(searched):
    shell, first = searched
    begun = len(na.load_study(shell.folder / "runs" / "tiny").trials)  # another test may have continued it
    done = shell("search", "tiny.yaml", "--trials", 30, "--plan", "--json")
    found, before = json.loads(done.out), (shell.folder / "runs" / "tiny" / "records.jsonl").stat().st_mtime_ns
    took = [t["seconds"] for t in json.loads(first.out)["trials"] if t.get("seconds")]
    assert found["left"] == 30 - begun and found["source"] == "the median so far" and found["foresight"]["measured"]
    assert not took or min(took) <= found["seconds"] <= max(took)
    assert (shell.folder / "runs" / "tiny" / "records.jsonl").stat().st_mtime_ns == before


def test_a_plan_finds_every_mistake(tmp_path, tiny_data):
    with pytest.raises(ConfigError, match=r"(?s)imgsz.*trials|trials.*imgsz"):
        na.plan_search("mine", runs=tmp_path, progress=False, data=str(tiny_data), imgsz=63, trials=0)
    with pytest.raises(UserError, match="nosuch"):
        na.plan_search("nosuch", runs=tmp_path, progress=False)
