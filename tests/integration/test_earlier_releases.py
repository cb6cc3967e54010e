"""What earlier releases wrote is opened, read, reported, exported and continued, with the same figures."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import earlier_releases as earlier
import pytest
import yaml
from module_files import registry_as_before

from nas_attn.ablation.view import AblationView
from nas_attn.cli.app import run
from nas_attn.detector.data import check_data
from nas_attn.space import Architecture
from nas_attn.study import load_study
from nas_attn.study.mirror import read_mirror
from nas_attn.study.records import RecordLog

RELEASES = sorted((Path(__file__).parents[1] / "fixtures").glob("v*"))
FIGURES = {r.name: json.loads((r / "figures.json").read_text()) for r in RELEASES}


def each(part: str) -> pytest.MarkDecorator:
    """One test for each release and each thing of a kind that it wrote."""
    found = [(r.name, name) for r in RELEASES for name in FIGURES[r.name][part]]
    return pytest.mark.parametrize(("release", "name"), found)


@pytest.fixture(scope="module", autouse=True)
def own_module_is_forgotten():
    with registry_as_before():
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """release -> its unpacked files, which no test changes."""
    return {r.name: earlier.unpack(r, tmp_path_factory.mktemp(r.name)) for r in RELEASES}


@pytest.fixture
def fresh(tmp_path):
    """release -> its unpacked files, to be continued."""
    return lambda name: earlier.unpack(next(r for r in RELEASES if r.name == name), tmp_path)


def same(found: Any, wanted: Any) -> None:
    """Equal, numbers up to rounding."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            same(found[key], value)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    else:
        assert found == (pytest.approx(wanted, rel=1e-9, abs=1e-12) if isinstance(wanted, float) else wanted)


@pytest.mark.parametrize("release", FIGURES)
def test_the_data_is_drawn_as_it_was(kept, release):
    for task, digest in FIGURES[release]["data"].items():
        assert check_data(str(kept[release] / "data" / task / "data.yaml"), task).fingerprint == digest


@each("studies")
def test_a_study_is_read(kept, release, name):
    same(earlier.study_figures(load_study(name, runs=kept[release] / "runs")), FIGURES[release]["studies"][name])


@each("studies")
def test_a_study_is_reported_and_its_winner_exported(kept, release, name, tmp_path, capsys):
    runs = ["--runs", str(kept[release] / "runs")]
    assert run(["report", name, *runs, "-o", str(tmp_path / "report.html")]) == 0
    html = (tmp_path / "report.html").read_text()
    view = load_study(name, runs=kept[release] / "runs")
    searched = [t for t in view.trials if t.role == "search"]
    assert name in html and all(text in html for text in str(searched[0].architecture).split())
    for trial in (searched[0], searched[-1]):
        assert run(["export", name, *runs, "--pick", f"trial:{trial.number}", "-o", str(tmp_path / "best.yaml"),
                    "--force"]) == 0  # fmt: skip
        assert yaml.safe_load((tmp_path / "best.yaml").read_text())["nas_attn"]["architecture"] == str(
            trial.architecture
        )
        assert f"{trial.cost['gmacs']:.4g}"[:5] in (tmp_path / "best.yaml").read_text()


@each("continued")
def test_a_search_goes_on_with_the_same_proposals_and_costs(fresh, release, name):
    same(earlier.continued(fresh(release), name), FIGURES[release]["continued"][name])


@each("ablations")
def test_an_ablation_is_read(kept, release, name):
    view = AblationView.read(kept[release] / "runs" / name)
    same(earlier.ablation_figures(view), FIGURES[release]["ablations"][name])


@each("ablations continued")
def test_an_ablation_goes_on(fresh, release, name):
    study, _, own = name.split("/")
    same(earlier.ablation_continued(fresh(release), study, own), FIGURES[release]["ablations continued"][name])


@each("studies")
def test_a_mirror_is_read_back_and_continued(fresh, release, name):
    root = fresh(release)
    folder = root / "runs" / name
    log = [r for r in RecordLog(folder).read() if r["kind"] != "target"]
    found = read_mirror(f"sqlite:///{folder / 'study.db'}", name)
    assert [{**r, "number": r.get("number")} for r in sorted(found, key=_order)] == [
        {**r, "number": r.get("number")} for r in sorted(json.loads(json.dumps(log).replace(str(root), earlier.HOME)), key=_order)
    ]


def _order(record: dict[str, Any]) -> tuple[bool, int, str]:
    return (record["kind"] not in ("study", "slots"), record.get("number", -1), record["kind"] == "finished")
