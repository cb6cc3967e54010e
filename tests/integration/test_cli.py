"""The command line from search to training, on a tiny data set, with one process per command."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml

from nas_attn.space import Architecture
from nas_attn.study import read_study


def test_search_prints_one_object(searched):
    shell, done = searched
    assert done.code == 0, done.err
    found = json.loads(done.out)
    judged = {"score", "not_searched_for", "answer", "candidates", "front", "picks", "noise", "effects", "conclusion"}
    assert set(found) == {"study", "trials", *judged} and len(found["trials"]) == 9
    assert {c["architecture"] for c in found["candidates"]} == {t["architecture"] for t in found["trials"]}
    keys = {"number", "architecture", "seed", "score", "map50_95", "gmacs", "params_m", "state", "stopped_after"}
    keys |= {"origin"}
    assert all(set(t) == keys for t in found["trials"])
    assert found["front"] and all(Architecture.parse(c["architecture"]) for c in found["front"])
    assert [t["state"] for t in found["trials"]] == ["complete"] * 9
    assert (shell.folder / "runs" / "tiny" / "study.db").exists()


def test_progress_stands_on_stderr(searched):
    _, done = searched
    lines = [x for x in done.err.splitlines() if re.match(r"\s+\d+  (base|conv|search)\s+seed", x)]
    assert len(lines) == 9 and all("mAP50-95" in x and "GMACs" in x for x in lines)
    assert "Traceback" not in done.err and "Warning" not in done.err
    # two epochs teach the base next to nothing, and then nothing is claimed of its slots
    assert re.search(r"It is not known which slots are live: the base reaches only 0\.00\d\d mAP50-95", done.err)
    assert "--dead-slots keep" not in done.err  # the study has it already
    assert len(re.findall(r"p[345]: unknown \(the base scores too little to tell\), searched", done.err)) == 3


def test_every_evaluation_says_how_it_was_made(searched):
    view = read_study(searched[0].folder / "runs" / "tiny")
    for t in view.trials:
        e = t.evaluation
        assert e.recipe["lr0"] == 0.002 and e.recipe["batch"] == 4 and e.recipe["start"] == "scratch"
        assert e.device == "cpu" and e.precision == "fp32" and set(e.versions) >= {"torch", "ultralytics"}
        assert e.comparable and e.test_map50_95 is not None and len(e.curve) == 2
    assert view.header["proxy_reg_max"] == 3


def test_again_is_done_at_once_and_more_trials_go_on(searched):
    shell, first = searched
    again = shell("search", "tiny.yaml", "--json")
    assert json.loads(again.out) == json.loads(first.out)
    named = shell("search", "tiny", "--json")  # the study in the run folder, without the file that started it
    assert named.code == 0 and json.loads(named.out) == json.loads(first.out), named.err
    more = shell("search", "tiny", "--trials", 10, "--json")
    trials = json.loads(more.out)["trials"]
    assert len(trials) == 10 and trials[:9] == json.loads(first.out)["trials"]


def test_a_misspelt_name_does_not_train_the_demo(searched):
    shell, _ = searched
    done = shell("search", "tinny", "--trials", 1)
    assert done.code == 2 and "Did you mean 'tiny'?" in done.err and "--data" in done.err
    assert not (shell.folder / "runs" / "tinny").exists()


def test_a_name_of_ones_own_is_continued_by_the_same_command(searched, tiny_data):
    shell, _ = searched
    size = ["--trials", 1, "--epochs", 1, "--imgsz", 64, "--fraction", 0.5, "--final-imgsz", 320]
    command = ["search", "mine", "--data", tiny_data, *size, "--modules", "lska", "--slots", "p3", "--jobs", 1]
    first, again = shell(*command, "--json"), shell(*command, "--json")
    assert first.code == 0, first.err
    assert again.code == 0 and json.loads(again.out) == json.loads(first.out), again.err


def test_another_search_under_the_same_name_is_refused(searched, write_study):
    shell, _ = searched
    log = (shell.folder / "runs" / "tiny" / "records.jsonl").read_bytes()
    for changes, words in (({"epochs": 3}, "epochs"), ({"modules": {"lka": None}}, "the space"), ({"seed": 5}, "seed")):
        other = shell.folder / "other"
        other.mkdir(exist_ok=True)
        write_study(other / "tiny.yaml", **changes)
        done = shell("search", "other/tiny.yaml")
        assert done.code == 2 and "must stay the same search" in done.err and words in done.err, done.err
        assert "Traceback" not in done.err
    assert (shell.folder / "runs" / "tiny" / "records.jsonl").read_bytes() == log


def test_report_and_csv(searched):
    shell, _ = searched
    done = shell("report", "tiny", "-o", "r.html", "--csv", "t.csv")
    assert done.code == 0, done.err
    page = (shell.folder / "r.html").read_text()
    assert "Plotly" in page and 'src="http' not in page and "p3=none p4=none p5=none" in page
    rows = list(csv.DictReader((shell.folder / "t.csv").read_text().splitlines()))
    assert len(rows) >= 9 and rows[0]["architecture"] == "p3=none p4=none p5=none"


def test_export_trains_and_loads_in_a_process_that_knows_only_ultralytics(searched, tiny_data):
    shell, _ = searched
    view = read_study(shell.folder / "runs" / "tiny")
    number = next(t.number for t in view.trials if t.role == "search" and not t.architecture.is_base)
    done = shell("export", "tiny", "--pick", f"trial:{number}", "-o", "found.yaml")
    assert done.code == 0, done.err
    text = (shell.folder / "found.yaml").read_text()
    content = yaml.safe_load(text)
    assert list(content["scales"]) == ["n"] and content["reg_max"] == 16 and content["nc"] == 3
    assert str(view.trials[number].architecture) in text and "nas_attn." in text

    trained = shell("train", "found.yaml", "--data", tiny_data, "--epochs", 1, "--imgsz", 64, "--batch", 4, "--json")
    assert trained.code == 0, trained.err
    result = json.loads(trained.out)["runs"][0]
    assert result["model"] == "found" and result["test_map50_95"] is not None

    code = (
        "import sys; from ultralytics import YOLO; assert 'nas_attn' not in sys.modules;"
        f"rows = YOLO({result['checkpoint']!r}).model.model; print({{type(row).__module__ for row in rows}})"
    )
    fresh = subprocess.run([sys.executable, "-c", code], cwd=shell.folder, capture_output=True, text=True, check=True)
    assert "nas_attn" in fresh.stdout


def test_export_picks(searched):
    shell, _ = searched
    for pick in ("best", "knee"):
        done = shell("export", "tiny", "--pick", pick, "-o", f"{pick}.yaml")
        assert done.code == 0, done.err
    for given, says in (
        (("--pick", "bets"), "Did you mean 'best'"),
        (("--pick", "trial:999"), "trial must exist"),
        (("--max-gmacs", 0.0001), "cheapest"),
    ):
        done = shell("export", "tiny", *given, "-o", "none.yaml")
        assert done.code == 2 and says in done.err and not (shell.folder / "none.yaml").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_kill_minus_nine_and_the_same_command_again(tmp_path, write_study, shell_in):
    """The supervisor and its workers die during the study; after the resume, it equals an uninterrupted one."""
    write_study(tmp_path / "k.yaml", trials=4, epochs=2, control_seeds=1, jobs=1)
    command = [sys.executable, "-m", "nas_attn", "search", "k.yaml", "--json"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    log = tmp_path / "runs" / "k" / "records.jsonl"
    first = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (log.exists() and log.read_text().count('"kind":"finished"') >= 2):
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = [json.loads(x) for x in log.read_bytes().splitlines(keepends=True) if x.endswith(b"\n")]
    done = shell_in(tmp_path)("search", "k.yaml", "--json")
    assert done.code == 0, done.err
    trials = json.loads(done.out)["trials"]
    assert [t["number"] for t in trials] == list(range(4)) and {t["state"] for t in trials} == {"complete"}
    after = [json.loads(x) for x in log.read_text().splitlines()]
    assert after[: len(before)] == before

    write_study(tmp_path / "w.yaml", trials=4, epochs=2, control_seeds=1, jobs=1)
    reference = shell_in(tmp_path)("search", "w.yaml", "--json")
    assert trials == json.loads(reference.out)["trials"], reference.err


@pytest.mark.parametrize("sign", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.skipif(sys.platform == "win32", reason="a signal that is sent ends the process at once")
def test_interrupting_is_no_failure(tmp_path, write_study, sign):
    write_study(tmp_path / "i.yaml", trials=30, control_seeds=1, jobs=1)
    sign = getattr(signal, sign)
    command = [sys.executable, "-m", "nas_attn", "search", "i.yaml"]
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # background jobs ignore the interrupt, jobs of nohup ignore the hang-up, and children inherit this
        preexec_fn=lambda: signal.signal(sign, signal.SIG_DFL),
    )
    for line in running.stderr:
        if " GMACs " in line:  # the line of a trial
            break
    running.send_signal(sign)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and not out
    assert "give the same command again" in err and "Traceback" not in err
    assert read_study(tmp_path / "runs" / "i").trials[0].state == "complete"


def test_only_one_supervisor(tmp_path, write_study, searched):
    from nas_attn.study.folder import Lease, RunFolder

    shell, _ = searched
    with Lease(RunFolder(shell.folder / "runs" / "tiny")):
        done = shell("search", "tiny.yaml")
    assert done.code == 1 and "another process works on" in done.err and str(os.getpid()) in done.err


def test_start_from_a_trained_base(tmp_path, write_study, shell_in):
    write_study(tmp_path / "b.yaml", start="base", trials=3, control_seeds=1, epochs=1)
    done = shell_in(tmp_path)("search", "b.yaml", "--json")
    assert done.code == 0, done.err
    trials = json.loads(done.out)["trials"]
    assert len(trials) == 3  # the base's own training does not count
    for t in trials:
        for _, gene in Architecture.parse(t["architecture"]):
            assert gene.module == "none" or gene.as_dict()["residual"] == "scaled"
    view = read_study(tmp_path / "runs" / "b")
    assert all(t.evaluation.transferred == 1.0 for t in view.trials)
    assert (tmp_path / "runs" / "b" / "base.pt").exists()


def test_slots_alone(tmp_path, write_study, searched):
    shell, _ = searched
    done = shell("slots", "tiny.yaml", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert set(found["drop"]) == {"p3", "p4", "p5"} and found["seeds"] == [0]
    view = read_study(shell.folder / "runs" / "tiny")
    # the same base, seed and recipe as in the search
    assert found["drops"]["p3"][0] == pytest.approx(
        view.trials[0].map50_95 - view.trials[0].evaluation.liveness["p3"], abs=1e-9
    )


def test_doctor_modules_cost(searched):
    shell, _ = searched
    doctor = shell("doctor")
    assert doctor.code == 0 and "FAIL" not in doctor.out
    modules = shell("modules", "--json")
    assert {"none", "acmix", "lska"} <= {m["name"] for m in json.loads(modules.out)}
    cost = shell("cost", "p3=acmix(head=4,kernel_att=7) p5=lska(k_size=23)", "--json")
    rows = json.loads(cost.out)["costs"]
    assert rows[0]["params_m"] == 2.62408 and rows[1]["params_m"] == pytest.approx(2.62408 + 0.017822 + 0.07296)
