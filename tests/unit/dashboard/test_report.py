"""The report's text and the dashboard's server, without a browser."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from html import escape
from pathlib import Path

import pytest
from fabricated_studies import BASE, HOSTILE, Fabricator, fabricate

from nas_attn.analysis.importance.numbers import NO_OPTUNA
from nas_attn.analysis.tables import DEMO, PAIRED, PAIRED_MEANS, alias_table, front_table, liveness_table, trials_table
from nas_attn.cli.app import run
from nas_attn.dashboard.report import report_html, write_report
from nas_attn.dashboard.source import LiveStudy
from nas_attn.errors import MissingPart, UserError
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


def test_paired_map_is_explained_once_before_the_tables(text):
    said = escape(PAIRED_MEANS)
    assert text.count(said) == 1 and text.index(said) < text.index(f"<th>{PAIRED}</th>")


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
    assert places[BASE] == "front, base (control)"
    assert [r[3] for r in liveness_table(study).rows] == ["live", "live", "dead"]
    assert alias_table(study).rows[0] == ("p5", "lska(k_size=35)", "lska(k_size=23)")


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
