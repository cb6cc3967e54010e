"""The report's text and the dashboard's server, without a browser."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import socket
import subprocess
import sys
from html import escape
from pathlib import Path

import pytest
from fabricated_studies import BASE, CONV, FAILED, FLAGGED, HOSTILE, RUNNING, Fabricator, fabricate

from nas_attn.analysis.difference import percent
from nas_attn.analysis.figure_numbers import pareto_numbers
from nas_attn.analysis.front import RULES, front, pick
from nas_attn.analysis.importance.numbers import NO_OPTUNA
from nas_attn.analysis.noise import noise_words
from nas_attn.analysis.posterior import posterior, verdict
from nas_attn.analysis.tables import (
    DEMO,
    EMPTY,
    alias_table,
    estimated,
    estimates,
    front_table,
    liveness_table,
    picks_table,
    trials_table,
)
from nas_attn.cli.app import run
from nas_attn.dashboard.as_html import render
from nas_attn.dashboard.candidate_card import candidate_blocks, picks_blocks
from nas_attn.dashboard.report import CAUTION, report_html, write_report
from nas_attn.dashboard.source import LiveStudy
from nas_attn.errors import MissingPart, UserError
from nas_attn.evaluate.score import MAP
from nas_attn.study.view import StudyView


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> StudyView:
    name = "<i>wild</i> & free"
    return StudyView.read(fabricate(tmp_path_factory.mktemp("runs") / "bccd", 12, name=name).folder)


@pytest.fixture(scope="module")
def text(study) -> str:
    return report_html(study, lambda c: f"# <yaml> of {c.key}")


def test_everything_from_the_study_is_escaped(text):
    assert HOSTILE not in text and "<i>wild</i>" not in text and "<yaml>" not in text
    assert "window.hacked" in text  # shown, as words
    assert "<script>window.hacked" not in text and "</script><script>window" not in text
    assert "&lt;i&gt;wild&lt;/i&gt; &amp; free" in text
    assert "blood &lt;cells&gt; &amp; more" in text


def test_it_names_nothing_to_load(text):
    markup = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)=["'](?!data:)[^"']*""", markup) == []
    assert "@import" not in markup and "url(" not in markup
    assert text.count("plotly.js v") <= 1 and "chart-studio.plotly.com" not in markup


def test_estimates_are_explained_once_before_the_tables(text):
    said = escape(estimates(MAP))
    assert text.count(said) == 1 and text.index(said) < text.index(f"<th>{estimated(MAP)}</th>")


def test_noise_and_rates_of_errors_stand_below_the_front(study, text):
    front, rest = text.index("<h2>Front and controls</h2>"), text.index("<h2>All trials</h2>")
    picks, table = text.index("<th>P(right)</th>"), text.index("<th>P(front)</th>")
    assert front < picks < table < text.index(escape(noise_words(study))) < text.index(escape(CAUTION)) < rest


def test_demo_note_only_for_the_demo(tmp_path, text):
    assert DEMO not in text
    demo = Fabricator(tmp_path, demo=True)
    demo.start(BASE, role="base")
    assert DEMO in report_html(StudyView.read(tmp_path))


def test_written_whole_or_not_at_all(study, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("older")

    def broken(_):
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError):
        write_report(study, path, broken)
    assert path.read_text() == "older"
    write_report(study, path)
    assert path.read_text().startswith("<!doctype html>") and path.read_text().endswith("</html>\n")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_unwritable_place_is_the_users_mistake(study, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="writable"):
        write_report(study, tmp_path / "file" / "report.html")


@pytest.mark.parametrize(("option", "older"), [("-o", "report.html"), ("--csv", "trials.csv")])
def test_a_report_renews_its_own_files_and_writes_over_no_other(study, tmp_path, monkeypatch, capsys, option, older):
    monkeypatch.chdir(tmp_path)
    command = ["report", study.folder.name, "--runs", str(study.folder.parent), option]
    for name in (older, "mine.py"):
        Path(name).write_text("kept")
    assert run([*command, "mine.py"]) == 2
    assert "'mine.py'" in capsys.readouterr().err and Path("mine.py").read_text() == "kept"
    for arguments in ([older], ["mine.py", "--force"]):
        assert run([*command, *arguments]) == 0
        assert Path(arguments[0]).read_text() != "kept"


def test_a_yaml_that_cannot_be_built_says_why(study):
    def missing(_):
        raise MissingPart("torch is not installed")

    assert "torch is not installed" in report_html(study, missing)


def test_tables_tell_all(study):
    trials = trials_table(study)
    assert len(trials.rows) == len(study.trials)
    assert [r[1] for r in trials.rows[-4:]] == ["failed", "refused", "flagged", "running"]
    assert trials.rows[-4][-1] == HOSTILE and trials.rows[-2][-1] == "batch halved"
    places = {r[0]: r[1] for r in front_table(study).rows}
    assert places[BASE] == "front, base (control)" and places[CONV] == "conv (control)"
    assert [r[3] for r in liveness_table(study).rows] == ["live", "live", "dead"]
    assert alias_table(study).rows[0] == ("p5", "lska(k_size=35)", "lska(k_size=23)")


def test_the_front_is_judged_by_the_posterior(study):
    found, table = posterior(study), front_table(study)
    assert table.keys == tuple(r[0] for r in table.rows) and set(table.keys) == {CONV, *(c.key for c in front(study))}
    candidates = {c.key: c for c in study.candidates()}
    for row in (dict(zip(table.columns, r, strict=True)) for r in table.rows):
        c = candidates[row["architecture"]]
        at = found.index(c)
        d = found.differences[at]
        assert row[estimated(MAP)] == f"{found.means[at]:.4f}" and row["P(front)"] == percent(found.on_front[at])
        assert row["val mAP50-95 ± sd"].startswith(f"{c.mean:.4f}") and row["seeds"] == str(len(c.seeds))
        told = [row[k] for k in ("Δ to base", "95 % interval", "P(better)", "verdict")]
        if c.key == BASE:
            assert told == [EMPTY] * 4
        else:
            interval = f"{d.low:+.4f} to {d.high:+.4f}"
            assert told == [f"{d.mean:+.4f}", interval, percent(d.above), verdict(c, found)]


def test_the_table_of_picks(study):
    table = picks_table(study)
    for rule, cells in zip(RULES, table.rows, strict=True):
        row, picked = dict(zip(table.columns, cells, strict=True)), pick(study, rule)
        assert (row["pick"], row["architecture"]) == (rule, picked.candidate.key)
        assert row["P(right)"] == percent(picked.right)
        base = picked.candidate.key == BASE
        assert row["Δ to base"] == (EMPTY if base else f"{picked.difference.mean:+.4f}")
        remark = (
            "one seed: train it again" if len(picked.candidate.seeds) == 1 else "the unchanged base" if base else ""
        )
        assert row["remark"] == remark
    assert {r[1] for r in table.rows} == set(table.keys)


def test_before_a_result_there_are_no_picks(tmp_path):
    study = Fabricator(tmp_path)
    study.start(BASE, role="base")
    assert picks_table(StudyView.read(tmp_path)) is None and picks_blocks(StudyView.read(tmp_path)) == []
    study.complete(BASE, 0.3, seed=1, role="base")
    table = picks_table(StudyView.read(tmp_path))
    assert [r[1:5] + r[7:] for r in table.rows] == [(BASE, EMPTY, EMPTY, EMPTY, "one seed: train it again")] * 3
    study.complete(BASE, 0.31, seed=2, role="base")
    assert {r[7] for r in picks_table(StudyView.read(tmp_path)).rows} == {"the unchanged base"}
    assert "Nothing can be said about differences yet" in report_html(StudyView.read(tmp_path))


def test_the_card_of_a_candidate(study):
    found = posterior(study)
    cards = {c.key: render(*candidate_blocks(study, c, None)) for c in study.candidates()}
    conv = next(c for c in study.candidates() if c.key == CONV)
    d, at = found.differences[found.index(conv)], found.index(conv)
    for said in (
        f"{d.mean:+.4f}, 95 % interval {d.low:+.4f} to {d.high:+.4f} ({verdict(conv, found)})",
        escape(f"with a probability of {percent(d.above)}"),
        escape(f"with a probability of {percent(found.on_front[at])}"),
        f"{found.means[at]:.4f}",
        f"{conv.mean:.4f} ± {conv.sd:.4f}",
    ):
        assert said in cards[CONV], said
    assert "Δ to base" not in cards[BASE] and estimated(MAP) in cards[BASE] and "on the front" in cards[BASE]
    for key in (FLAGGED, FAILED, RUNNING):
        assert estimated(MAP) not in cards[key] and "on the front" not in cards[key]


def test_report_needs_neither_torch_nor_optuna(study, tmp_path):
    program = (
        "import sys; from pathlib import Path; sys.modules['optuna'] = None  # as if it were not installed\n"
        "from nas_attn.study.view import StudyView\n"
        "from nas_attn.dashboard.report import write_report\n"
        "from nas_attn.dashboard.app import build_app\n"
        "view = StudyView.read(Path(sys.argv[1])); write_report(view, Path(sys.argv[2])); view.frame()\n"
        "build_app(Path(sys.argv[1]))\n"
        "sys.exit(sorted({'torch', 'ultralytics', 'fvcore'} & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", program, str(study.folder), str(tmp_path / "r.html")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert NO_OPTUNA in (tmp_path / "r.html").read_text() and NO_OPTUNA not in report_html(study)


def test_importing_the_server_is_cheap():
    program = (
        "import sys, nas_attn.dashboard.server; sys.exit(sorted({'dash', 'plotly', 'pandas'} & set(sys.modules)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_live_study_reads_again_only_after_a_change(tmp_path):
    writer = Fabricator(tmp_path)
    writer.start(BASE, role="base")
    live = LiveStudy(tmp_path)
    first = live.view()
    assert live.view() is first
    writer.complete("p3=conv p4=none p5=none", 0.3)
    assert len(live.view().trials) == 2
    before = sorted(p.name for p in tmp_path.iterdir())
    assert before == ["records.jsonl"]


def test_the_live_page_shows_the_same_judgements(study):
    from nas_attn.dashboard.app import build_app

    client = build_app(study.folder).server.test_client()
    parts = {"progress": "children", "drawn": "data"}
    parts |= dict.fromkeys(("noise", "picks", "front", "trials"), "children")
    asked = {
        "output": f"..{'...'.join(f'{k}.{v}' for k, v in parts.items())}..",
        "outputs": [{"id": k, "property": v} for k, v in parts.items()],
        "inputs": [{"id": "stamp", "property": "data", "value": "x"}],
        "changedPropIds": ["stamp.data"],
    }
    found = client.post("/_dash-update-component", json=asked, headers={"Host": "localhost"}).json["response"]
    assert found["noise"]["children"] == noise_words(study)
    for name, table in (("picks", picks_table(study)), ("front", front_table(study))):
        shown = json.dumps(found[name], ensure_ascii=False)
        assert all(json.dumps(column, ensure_ascii=False) in shown for column in table.columns)
        assert all(cell in shown for row in table.rows for cell in row[2:])
    shapes = found["drawn"]["data"]["layout"]["shapes"]
    assert len(shapes) == 2 and pareto_numbers(study).noise == pytest.approx((shapes[0]["y1"] - shapes[0]["y0"]) / 2)
    page = json.dumps(client.get("/_dash-layout", headers={"Host": "localhost"}).json, ensure_ascii=False)
    assert estimates(MAP) in page and page.index('"picks"') < page.index('"front"')


def test_addresses_that_cannot_be_had(study):
    from nas_attn.dashboard.server import make_server

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="--port"):
        make_server(study.folder, port=taken.getsockname()[1])
    with pytest.raises(UserError, match="between 0 and 65535"):
        make_server(study.folder, port=70000)
    with pytest.raises(UserError, match="--host"):
        make_server(study.folder, host="192.0.2.1")


@pytest.mark.skipif(sys.platform == "win32", reason="no Ctrl-C can be sent to one process")
def test_ctrl_c_ends_the_server_quietly(study):
    program = (
        "import signal, sys; from pathlib import Path; from nas_attn.dashboard.server import serve\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler); serve(Path(sys.argv[1]), port=0)"
    )
    command = [sys.executable, "-c", program, str(study.folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert "http://127.0.0.1:" in server.stderr.readline()
        server.send_signal(signal.SIGINT)
        assert (server.wait(60), server.stderr.read()) == (0, "")


def test_a_folder_without_a_study(tmp_path):
    from nas_attn.dashboard.app import build_app

    with pytest.raises(UserError, match="must hold a study"):
        build_app(tmp_path)


def test_the_table_of_trials_goes_to_stdout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    view = StudyView.read(fabricate(tmp_path / "runs" / "x", 8).folder)
    assert run(["report", "x", "--csv", "-"]) == 0
    said = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert len(rows) == len(view.trials) and {"number", "architecture", "map50_95"} <= rows[0].keys()
    assert "report.html" in said.err and not (tmp_path / "-").exists()
