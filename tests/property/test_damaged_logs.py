"""Readers of a damaged record log either continue, or raise one error with a message; no other error is raised."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from damaged_logs import damaged
from fabricated_studies import BASE, CONV, Fabricator, evaluation
from untrained_ablations import ablation_plan, run_ablation_plan
from untrained_searches import make_plan, run_plan

from nas_attn.ablation.plan.prepare import AblationPlan
from nas_attn.ablation.report.files import csv_text, markdown
from nas_attn.dashboard.report import report_html
from nas_attn.dashboard.source import LiveAblations, LiveStudy, Shown, load_shown
from nas_attn.errors import RecordLost, UserError
from nas_attn.study.records import LOG_NAME

LOGS = 100_000  # number of logs at --soak 1
PAGES = 1500  # one of this many logs is also shown as pages


def whole_ablation(folder: Path) -> AblationPlan:
    return ablation_plan(folder, seeds=2, scales=["yolo11s.yaml"], kinds=("scale",))


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> dict[str, bytes]:
    """The log of a search that ran, one with every kind of failure, and one of an ablation on two scales."""
    folder = tmp_path_factory.mktemp("whole")
    run_plan(make_plan(trials=8, control_seeds=1, epochs=2), folder / "search")
    study = Fabricator(folder / "mishaps")
    study.complete(BASE, 0.3, role="base")
    study.slots()
    study.complete(CONV, 0.31, role="conv")
    study.fail("p3=acmix(head=4) p4=none p5=none", "CUDA out of memory")
    study.refuse("p3=acmix(head=8) p4=none p5=none", "too large")
    number = study.start("p3=acmix(head=2) p4=none p5=none")
    flagged = evaluation(0.3, 0, flags=("batch halved",), epochs=3).as_dict()
    study.log.append("finished", number=number, state="complete", evaluation=flagged)
    study.start("p3=none p4=lska(k_size=7) p5=none")
    run_ablation_plan(whole_ablation(folder / "ablation"))
    return {p.parent.name: p.read_bytes() for p in folder.glob(f"*/{LOG_NAME}")}


def opened(folder: Path) -> Shown:
    """The folder as readers show it; everything about it is read once."""
    shown = load_shown(folder)
    for view in (shown.study, *(v for a in shown.ablations for v in a.views.values())):
        view.candidates()
    for ablation in shown.ablations:
        assert ablation.decisions is not None
    return shown


def follow(said: str, folder: Path) -> bool:
    """Remove lines as a message about a log says. True if the message says so and the log can then be opened."""
    path = folder / LOG_NAME
    if "remove" not in said:
        return False
    named = re.match(r"lines? ([\d, ]+?)(?: and \d+ more)? of '", said)
    assert named is not None, said
    gone = {int(n) for n in named[1].split(",")}
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for at, line in enumerate(lines, 1) if at not in gone))
    try:
        try:
            opened(folder)
        except UserError as error:  # the line with the design is gone
            assert "nas_attn ablate`" in str(error), f"{said}\nThen: {error}"
            run_ablation_plan(whole_ablation(folder))
            opened(folder)
    except RecordLost as error:
        # the record of the study may have lost another field too, which no other line contains
        assert follow(str(error), folder) or "line 1 of" in str(error), f"{said}\nThen: {error}"
    return True


@pytest.mark.parametrize("name", ["search", "mishaps", "ablation"])
def test_a_damaged_log_raises_nothing_else(logs, name, tmp_path, soak):
    rng = random.Random(f"log {name}")
    path, told = tmp_path / LOG_NAME, {"read": 0, "refused": 0, "mended": 0}
    for number in range(max(500, round(LOGS * soak / len(logs)))):
        log = damaged(logs[name], rng)
        path.write_bytes(log)
        try:
            shown = opened(tmp_path)
            if number % PAGES == 0:
                report_html(shown)
                shown.frame()
                LiveStudy(tmp_path).candidate(BASE)
                LiveAblations(tmp_path).cards()
                for ablation in shown.ablations:
                    markdown(ablation), csv_text(ablation)
            told["read"] += 1
        except (RecordLost, UserError) as error:
            assert str(tmp_path) in str(error), error
            told["refused"] += 1
            try:
                told["mended"] += follow(str(error), tmp_path)
            except Exception as other:
                (tmp_path / f"damaged-{number}").write_bytes(log)
                raise AssertionError(f"log {number} of {name}: {other}") from other
        except Exception as error:
            (tmp_path / f"damaged-{number}").write_bytes(log)
            raise AssertionError(f"log {number} of {name}: {error!r}") from error
    assert min(told.values()) > 100, told  # each outcome occurs
