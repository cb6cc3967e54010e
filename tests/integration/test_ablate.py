"""`ablate` on the command line: a winner and a user's architecture, trained on a tiny data set."""

from __future__ import annotations

import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scipy import stats

from nas_attn.ablation.view import AblationView, load_ablations
from nas_attn.study import read_study

FULL = "p3=acmix(head=2,kernel_att=3) p4=none p5=lska(k_size=7)"
SCORES = 0.0005  # mAP50-95; two epochs on the tiny data set reach more
SMALL = ("--kinds", "leave-one-out,add-one-in", "--no-controls", "--dead-slots", "keep")


@pytest.fixture(scope="module")
def ablated(searched):
    """(shell, result) of an ablation of the tiny study."""
    shell, _ = searched
    command = ("ablate", "tiny", "--base", FULL, *SMALL, "--seeds", 3, "--difference", SCORES, "--name", "own")
    done = shell(*command, "-o", "tables", "--json")
    return shell, done


def view_of(shell, name: str = "own", study: str = "tiny") -> AblationView:
    return AblationView.read(shell.folder / "runs" / study / "ablations" / name)


def test_it_prints_one_object(ablated):
    _, done = ablated
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["full"] == FULL and not found["partial"]
    assert [r["comparison"] for r in found["rows"] if r["family"] == "base"] == [
        "base",
        "full",
        "without p3",
        "without p5",
    ]
    assert "Traceback" not in done.err and "Warning" not in done.err


def test_seeds_are_not_those_that_chose_the_winner(ablated):
    shell, _ = ablated
    searched_seeds = {t.seed for t in read_study(shell.folder / "runs" / "tiny").trials}
    view = view_of(shell)
    assert {t.seed for t in view.trials}.isdisjoint(searched_seeds)
    assert {t.seed for t in view.trials} == set(range(max(searched_seeds) + 1, max(searched_seeds) + 4))


def test_trials_are_those_of_the_search(ablated):
    """Recipe, steps and precision are the same, because one function trains for both."""
    shell, _ = ablated
    one = read_study(shell.folder / "runs" / "tiny").trials[0].evaluation
    for trial in view_of(shell).trials:
        e = trial.evaluation
        assert (e.recipe, e.epochs, e.imgsz, e.device, e.precision) == (
            one.recipe,
            one.epochs,
            one.imgsz,
            one.device,
            one.precision,
        )
        assert len(e.curve) == len(one.curve) and e.curve[-1]["lr"] == one.curve[-1]["lr"]


def test_each_figure_is_that_of_its_trials(ablated):
    """Means, spreads, differences, intervals and p-values equal those computed here from the trials of the row."""
    shell, _ = ablated
    view = view_of(shell)
    numbers = {t.number: t for t in view.trials}
    rows = list(csv.DictReader((view.folder / "ablation.csv").read_text().splitlines()))
    base = {t.seed: t for t in view.trials if t.architecture.is_base}
    checked = 0
    for row in rows:
        if row["family"] != "base" or row["comparison"] == "base":
            continue
        own = [
            numbers[int(n)] for n in row["trials"].split() if str(numbers[int(n)].architecture) == row["architecture"]
        ]
        values = [t.evaluation.map50_95 for t in own]
        differences = [t.evaluation.map50_95 - base[t.seed].evaluation.map50_95 for t in own]
        assert float(row["val_map50_95_mean"]) == pytest.approx(statistics.fmean(values))
        assert float(row["val_map50_95_sd"]) == pytest.approx(statistics.stdev(values))
        assert float(row["val_delta"]) == pytest.approx(statistics.fmean(differences))
        tests = [t.evaluation.test_map50_95 for t in own]
        assert float(row["test_map50_95_mean"]) == pytest.approx(statistics.fmean(tests))
        assert float(row["gmacs"]) == own[0].gmacs
        if len(set(differences)) > 1:
            reference = stats.ttest_1samp(differences, 0.0)
            assert float(row["p_uncorrected"]) == pytest.approx(reference.pvalue)
            assert float(row["val_delta_low"]) == pytest.approx(reference.confidence_interval().low)
        else:
            assert row["p_corrected"] == "" and "not tested" in row["verdict_words"]
        checked += 1
    assert checked == 3


def test_tables_are_written_beside_the_trials_and_where_asked(ablated):
    shell, _ = ablated
    names = {"ablation.md", "ablation.tex", "ablation_tables.tex", "ablation.csv"}
    for folder in (view_of(shell).folder, shell.folder / "tables"):
        assert names <= {p.name for p in folder.iterdir()}
    text = (shell.folder / "tables" / "ablation.md").read_text()
    assert FULL in text and "| without p3 |" in text and "Holm-corrected for 3 comparisons" in text
    assert str(shell.folder / "runs") not in (shell.folder / "tables" / "ablation_tables.tex").read_text()


def test_the_same_command_again_is_done_at_once(ablated):
    shell, first = ablated
    again = shell("ablate", "tiny", "--name", "own", "--json")
    assert again.code == 0 and json.loads(again.out) == json.loads(first.out), again.err


def test_another_architecture_under_the_same_name_is_refused(ablated):
    shell, _ = ablated
    log = (view_of(shell).folder / "records.jsonl").read_bytes()
    for more, words in (
        (("--base", "p3=lska(k_size=7)"), "another architecture"),
        (("--epochs", 1), "epochs"),
        (("--seed", 77), "first seed"),
    ):
        done = shell("ablate", "tiny", "--name", "own", *more)
        assert done.code == 2 and words in done.err and "--name" in done.err, done.err
        assert "Traceback" not in done.err
    assert (view_of(shell).folder / "records.jsonl").read_bytes() == log


def test_the_winner_is_taken_apart_without_naming_it(searched):
    shell, done = searched
    winner = next(c for c in json.loads(done.out)["front"] if "=none p4=none p5=none" not in c["architecture"])
    number = next(t["number"] for t in json.loads(done.out)["trials"] if t["architecture"] == winner["architecture"])
    plan = shell(
        "ablate", "tiny", "--pick", f"trial:{number}", "--plan", "--json", "--kinds", "leave-one-out,swap,sweep"
    )
    assert plan.code == 0, plan.err
    arms = {a["name"]: a["architecture"] for a in json.loads(plan.out)["arms"]}
    assert arms["full"] == winner["architecture"] and arms["base"] == "p3=none p4=none p5=none"


def test_a_plan_runs_nothing_and_says_what_it_costs(searched):
    shell, _ = searched
    before = sorted((shell.folder / "runs").rglob("*"))
    done = shell(
        "ablate", "tiny", "--base", FULL, "--kinds", "factorial,a/a", "--seeds", 7, "--plan", "--json", "--name", "p"
    )
    found = json.loads(done.out)
    assert done.code == 0 and found["hours"] > 0 and found["source"] == "the study's trials"
    assert found["trials"] <= len(found["arms"]) * 7
    assert {a["name"] for a in found["arms"]} == {
        "base",
        "full",
        "p3",
        "p5",
        "base, other seeds",
        "conv in place of attention",
    }
    assert sorted((shell.folder / "runs").rglob("*")) == before
    shown = shell("ablate", "tiny", "--base", FULL, "--kinds", "factorial", "--plan", "--name", "p")
    assert "Nothing was run" in shown.out and "hours" in shown.out and "factorial" in shown.out


def test_without_a_study_seconds_are_measured(tmp_path, tiny_data, shell_in):
    shell = shell_in(tmp_path)
    done = shell(
        *("ablate", "new", "--base", "p3=lska(k_size=7)", "--data", tiny_data, "--imgsz", 64, "--epochs", 2),
        *("--kinds", "placement,scale", "--plan", "--json"),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["source"] == "a few measured steps of the base" and 0 < found["hours"] < 10
    names = {a["name"] for a in found["arms"]}
    assert {"lska at td.p4", "lska at inner.p3.insert", "full on yolo11s", "base on yolo11m"} <= names
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_it_goes_on_where_it_was(tmp_path, write_study, shell_in):
    shell = shell_in(tmp_path)
    write_study(tmp_path / "tiny.yaml")
    command = ("ablate", "tiny.yaml", "--base", "p3=lska(k_size=7)", *SMALL, "--seeds", "3", "--jobs", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "nas_attn", *command], cwd=tmp_path, env=dict(os.environ), stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    log = tmp_path / "runs" / "tiny" / "ablations" / "ablation" / "records.jsonl"
    deadline = time.monotonic() + 240
    while not (log.exists() and log.read_text().count('"finished"') >= 2):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    cut = load_ablations(tmp_path / "runs" / "tiny")[0]
    assert cut.partial
    kept = [(t.number, t.map50_95) for t in cut.trials if t.state == "complete"]
    done = shell(*command)
    assert done.code == 0, done.err
    whole = load_ablations(tmp_path / "runs" / "tiny")[0]
    assert not whole.partial and len(whole.trials) == 6
    assert [(t.number, t.map50_95) for t in whole.trials][: len(kept)] == kept
    assert "continuing after" in done.err


def test_fewer_than_three_seeds_are_warned_of_and_have_no_p(tmp_path, write_study, shell_in):
    shell = shell_in(tmp_path)
    write_study(tmp_path / "tiny.yaml")
    done = shell("ablate", "tiny.yaml", "--base", "p3=lska(k_size=7)", *SMALL, "--seeds", 2)
    assert done.code == 0 and "fewer than 3 seeds" in done.err
    rows = csv.DictReader((tmp_path / "runs/tiny/ablations/ablation/ablation.csv").read_text().splitlines())
    found = list(rows)
    assert all(r["p_corrected"] == "" for r in found)
    assert "no arm reaches 0.01 mAP50-95" in found[1]["verdict_words"]
    assert "liveness of slots not measured: the base reaches only 0.00" in done.err


def test_a_dead_slot_is_said(tmp_path, write_study, shell_in):
    """A base of two epochs uses no slot, so nothing can be shown there; only the base is trained to find this."""
    shell = shell_in(tmp_path)
    write_study(tmp_path / "tiny.yaml", live_threshold=SCORES)
    done = shell(
        *("ablate", "tiny.yaml", "--base", "p3=lska(k_size=7) p5=lska(k_size=7)", "--seeds", 3),
        *("--kinds", "add-one-in", "--dead-slots", "skip"),
    )
    assert done.code == 0, done.err
    assert "slot p3 is dead" in " ".join(done.out.split()) and "no difference" not in done.out
    view = load_ablations(tmp_path / "runs" / "tiny")[0]
    assert all(t.architecture.is_base or "full" in done.err for t in view.trials)
    assert not any(str(t.architecture).count("lska") == 1 for t in view.trials)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--base", "p3=lska", "--seeds", "3", "--hours", "1"), "must not be given together"),
        (("--base", "p3=lska", "--pick", "best"), "must not be given together"),
        (("--base", "p3=lska", "--kinds", "swap", "--scales", "s"), "needs the kind `scale`"),
        ((), "no searched study and no --base"),
        (("--base", "p3=lskaa"), "Did you mean 'lska'?"),
        (("--base", "p9=lska"), "Known: "),
        (("--base", "p3=none"), "with attention"),
        (("--base", "p3=lska(k_size=8)"), "must be one of"),
        (("--base", "p3="), "an architecture must read"),
        (("--base", "p3=lska", "--arm", "p4=nope"), "--arm"),
        (("--base", "p3=lska", "--kinds", "leave-one-outs"), "Did you mean 'leave-one-out'?"),
        (("--base", "p4=lska", "--kinds", "scale", "--model", "yolov3-tiny.yaml"), "no larger scale of"),
        (("--base", "p3=lska", "--kinds", "scale", "--scales", "q,s"), "Larger scales: s, m, l, x"),
        (("--base", "p3=lska", "--seeds", "0"), "seeds"),
        (("--base", "p3=lska", "--hours", "-1"), "hours"),
        (("--base", "p3=lska", "--max-seeds", "2"), "max_seeds"),
        (("--base", "p3=lska", "--difference", "0"), "difference"),
        (("--base", "p3=lska", "--dead-slots", "maybe"), "'skip' or 'keep'"),
        (("--base", "p3=lska", "--imgsz", "70"), "multiple of the model's stride"),
        (("--base", "p3=lska", "--name", "../up"), "one word"),
    ],
)
def test_wrong_input(tmp_path, monkeypatch, capfd, tiny_data, arguments, words):
    from nas_attn.cli.app import run

    monkeypatch.chdir(tmp_path)
    assert run(["ablate", "x", "--data", str(tiny_data), *arguments]) == 2
    said = capfd.readouterr()
    assert words in said.err and "Traceback" not in said.err and not said.out
    assert not list(Path(tmp_path).rglob("*.jsonl"))


def test_a_winner_that_is_the_base_is_refused(searched):
    shell, done = searched
    number = next(t["number"] for t in json.loads(done.out)["trials"] if t["architecture"] == "p3=none p4=none p5=none")
    refused = shell("ablate", "tiny", "--pick", f"trial:{number}", "--name", "none")
    assert refused.code == 2 and "the unchanged base" in refused.err and "--base" in refused.err
    assert not (shell.folder / "runs" / "tiny" / "ablations" / "none").exists()


def test_another_ablation_takes_other_seeds(ablated):
    """New seeds: the trials that confirm an arm are not those that chose it, also if that ablation grew."""
    shell, _ = ablated
    first = min(t.seed for t in view_of(shell).trials)
    plan = ("ablate", "tiny", "--base", "p3=acmix(head=2,kernel_att=3)", "--name", "again", *SMALL, "--seeds", 1)
    done = shell(*plan)
    assert done.code == 0, done.err
    again = view_of(shell, "again")
    assert min(t.seed for t in again.trials) == first + 20 and again.fresh
    used = shell("ablate", "tiny", "--base", "p3=lska(k_size=7)", "--name", "used", *SMALL, "--seeds", 1, "--seed", 0)
    assert used.code == 0 and "used these seeds before" in used.err
    assert "has used these seeds before" in (view_of(shell, "used").folder / "ablation.md").read_text()


def test_a_plan_downloads_nothing(tmp_path, monkeypatch, capfd):
    from nas_attn.cli.app import run

    monkeypatch.chdir(tmp_path)
    assert run(["ablate", "articles", "--plan"]) == 2
    said = capfd.readouterr().err
    assert "downloads nothing" in said and "VOC.yaml" in said


def test_a_plan_counts_what_would_be_trained(ablated):
    shell, _ = ablated
    plan = shell("ablate", "tiny", "--base", FULL, *SMALL, "--seeds", 3, "--name", "other", "--plan", "--json")
    assert json.loads(plan.out)["trials"] == 4 * 3, plan.err
    rest = shell("ablate", "tiny", "--name", "own", "--seeds", 4, "--plan", "--json")
    assert json.loads(rest.out)["trials"] == 4
