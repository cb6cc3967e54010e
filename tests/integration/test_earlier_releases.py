"""Files of earlier releases are opened, read, reported, exported and continued, with the same numbers."""

from __future__ import annotations

import importlib
import json
import operator
from functools import reduce
from pathlib import Path
from typing import Any

import earlier_releases as earlier
import numpy as np
import pytest
import yaml
from later_release import grown
from module_files import registry_as_before

from nas_attn.ablation.view import AblationView
from nas_attn.analysis.front import front
from nas_attn.analysis.posterior import obstacle, posterior
from nas_attn.api import run_search
from nas_attn.bundle.comments import cost_line
from nas_attn.cli.app import run
from nas_attn.dashboard.source import LiveAblations, LiveStudy
from nas_attn.data.check import check_data
from nas_attn.study import read_study
from nas_attn.study.mirror import read_mirror
from nas_attn.study.records import RecordLog

RELEASES = {r.name: r for r in sorted((Path(__file__).parents[1] / "fixtures").glob("v*"))}
FIGURES = {name: json.loads((r / "figures.json").read_text()) for name, r in RELEASES.items()}


def each(part: str, *names: str) -> pytest.MarkDecorator:
    """One test for each release and each file of a kind that it wrote, or only those with the given names."""
    found = [(r, name) for r in RELEASES for name in FIGURES[r][part] if not names or name in names]
    return pytest.mark.parametrize(("release", "name"), found)


@pytest.fixture(scope="module", autouse=True)
def own_module_is_forgotten():
    with registry_as_before():
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Release -> its unpacked files, which no test changes; their module files are named, as by their author."""
    found = {name: earlier.unpack(r, tmp_path_factory.mktemp(name)) for name, r in RELEASES.items()}
    for root in found.values():
        assert run(["modules", "--modules", str(root / "gate.py"), "--json"]) == 0
    return found


@pytest.fixture
def fresh(kept, tmp_path):
    """A function: release -> a new copy of its unpacked files, which a test may change."""
    return lambda release: earlier.unpack(RELEASES[release], tmp_path)


def same(found: Any, wanted: Any) -> None:
    """True if two values are equal, numbers up to rounding."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        found, wanted = list(found.values()), [wanted[key] for key in found]
    if isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    else:
        assert found == (pytest.approx(wanted, rel=1e-9, abs=1e-12) if isinstance(wanted, float) else wanted)


@pytest.mark.parametrize("release", RELEASES)
def test_the_data_is_drawn_as_it_was(kept, release):
    for task, digest in FIGURES[release]["data"].items():
        assert check_data(str(kept[release] / "data" / task / "data.yaml"), task).fingerprint == digest


@each("studies")
def test_a_study_is_judged_by_the_posterior_of_today(kept, release, name):
    view = read_study(kept[release] / "runs" / name)
    found = posterior(view)
    assert (found is None) == (obstacle(view) is not None)
    on_front = front(view)
    assert on_front and [c.gmacs for c in on_front] == sorted(c.gmacs for c in on_front)
    if found is not None:
        costs = {t.architecture: t.gmacs for t in view.trials if t.usable}
        points = [found.coded.point(c.architecture) for c in found.candidates]
        same(found.coded.gmacs(np.array(points)).tolist(), [costs[c.architecture] for c in found.candidates])
        assert all(d.low <= d.mean <= d.high for d in found.differences)


@each("studies")
def test_a_study_is_read(kept, release, name):
    folder = kept[release] / "runs" / name
    for view in (read_study(folder), LiveStudy(folder).view()):
        same(earlier.study_figures(view), earlier.recorded(FIGURES[release]["studies"][name]))
    assert len(LiveAblations(folder).cards()) == len(list(folder.glob("ablations/*")))


@each("studies")
def test_a_study_is_reported_and_its_winner_exported(kept, release, name, tmp_path, capsys):
    runs = ["--runs", str(kept[release] / "runs")]
    best = tmp_path / "best.yaml"
    assert run(["report", name, *runs, "-o", str(tmp_path / "report.html")]) == 0
    view = read_study(name, runs=kept[release] / "runs")
    trial = next(t for t in view.trials if t.role == "search")
    html = (tmp_path / "report.html").read_text()
    assert all(text in html for text in str(trial.architecture).split())
    assert run(["export", name, *runs, "--pick", f"trial:{trial.number}", "-o", str(best)]) == 0
    assert yaml.safe_load(best.read_text())["nas_attn"]["architecture"] == str(trial.architecture)
    assert cost_line(trial.cost, 320) in best.read_text(), "the recorded cost is shown"


@each("continued")
def test_a_search_goes_on_with_the_same_proposals_and_costs_though_the_zoo_has_grown(fresh, release, name):
    with grown():
        same(earlier.continued(fresh(release), name), FIGURES[release]["continued"][name])


@each("ablations")
def test_an_ablation_is_read(kept, release, name):
    view = AblationView.read(kept[release] / "runs" / name)
    same(earlier.ablation_figures(view), FIGURES[release]["ablations"][name])


@each("ablations continued")
def test_an_ablation_goes_on_though_the_zoo_has_grown(fresh, release, name):
    study, _, own = name.split("/")
    with grown():
        same(earlier.ablation_continued(fresh(release), study, own), FIGURES[release]["ablations continued"][name])


@each("continued", "pose")
def test_a_search_goes_on_and_really_trains(fresh, release, name):
    root = fresh(release)
    before = read_study(name, runs=root / "runs")
    after = run_search(str(root / f"{name}.yaml"), runs=root / "runs", trials=before.counted + 1)
    wanted = FIGURES[release]["continued"][name][0]
    *found, map50_95 = earlier.trial_figures(after.trials[len(before.trials)])
    same(found, wanted[:-1])
    assert 0 <= map50_95 <= 1


@each("studies")
def test_a_mirror_is_read_back(kept, release, name):
    root = kept[release]
    folder = root / "runs" / name
    log = [json.dumps(r).replace(str(root), earlier.HOME) for r in RecordLog(folder).read() if r["kind"] != "target"]
    found = read_mirror(f"sqlite:///{folder / 'study.db'}", name)
    assert sorted(json.dumps(r) for r in found) == sorted(log)


@each("continued", "obb")
def test_a_mirror_goes_on_without_the_log(fresh, release, name):
    root = fresh(release)
    folder = root / "runs" / name
    lines = [json.dumps(r) + "\n" for r in read_mirror(f"sqlite:///{folder / 'study.db'}", name)]
    (folder / "records.jsonl").write_text("".join(lines).replace(earlier.HOME, str(root)))
    same(earlier.continued(root, name), FIGURES[release]["continued"][name])


@pytest.mark.parametrize("release", RELEASES)
def test_a_bundle_is_verified(fresh, release, capsys):
    assert run(["export", "--verify", str(fresh(release) / "bundle")]) == 0
    assert "FAIL" not in capsys.readouterr().out


@each("checkpoints")
def test_a_checkpoint_gives_the_same_output_where_only_ultralytics_is_imported(kept, release, name):
    found = earlier.output(kept[release] / "checkpoints" / name)
    assert found == pytest.approx(FIGURES[release]["checkpoints"][name], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("release", RELEASES)
def test_what_pickles_name_stays_where_it_was(release):
    for text in FIGURES[release]["pickled"]:
        module, name = text.split()
        found = reduce(getattr, name.split("."), importlib.import_module(module))
        assert operator.attrgetter("__module__", "__qualname__")(found) == (module, name)


@pytest.mark.parametrize("release", RELEASES)
def test_files_say_nothing_of_the_machine_that_made_them(release, tmp_path):
    import tarfile

    with tarfile.open(RELEASES[release] / "files.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    for path in tmp_path.rglob("*.*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not any(f"/{place}/".encode() in data for place in ("home", "root", "work", "tmp", "Users")), path
    assert sum(f.stat().st_size for f in RELEASES[release].iterdir()) < 1_500_000
