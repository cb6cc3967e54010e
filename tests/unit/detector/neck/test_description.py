"""The description that `slots` prints: its numbers, its table at 80 columns, and the models that it refuses."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from nas_attn.api.network import network_table
from nas_attn.cli.app import run
from nas_attn.detector.model.base_model import load_base
from nas_attn.detector.neck.description import describe
from nas_attn.errors import UnknownName

KEYS = ("name", "also", "channels", "sites", "readers", "inside")


@pytest.fixture(scope="module")
def yolo11n():
    return describe(load_base("yolo11n"))


def shown(drawn, width: int = 80) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(network_table(drawn))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_the_numbers_of_a_row(yolo11n):
    assert {k: v for k, v in yolo11n.items() if k != "rows"} == {
        "model": "yolo11n", "scale": "n", "head": "Detect", "task": "detect", "classes": 80, "params": 2_624_080,
    }  # fmt: skip
    assert len(yolo11n["rows"]) == 24
    row = yolo11n["rows"][16]
    assert {k: v for k, v in row.items() if k not in ("slots", "params")} == {
        "index": 16, "part": "neck", "from": [15], "module": "C3k2", "repeats": 1, "channels": 64, "stride": 8,
        "read_by": [17, 23],
    }  # fmt: skip
    assert row["slots"] == [
        dict(zip(KEYS, ("p3", ["td.p3"], 64, 1, [], None), strict=True)),
        dict(zip(KEYS, ("p3.head", [], 64, 1, [23], None), strict=True)),
        dict(zip(KEYS, ("down.p3", [], 64, 1, [17], None), strict=True)),
        dict(zip(KEYS, ("inner.p3.insert", [], 32, 1, [], "insert"), strict=True)),
        dict(zip(KEYS, ("inner.p3.replace", [], 16, 1, [], "replace"), strict=True)),
    ]
    assert yolo11n["rows"][0]["from"] == [-1] and yolo11n["rows"][15]["from"] == [14, 4]
    assert yolo11n["rows"][23]["channels"] is None and yolo11n["rows"][23]["part"] == "head"
    assert sum(row["params"] for row in yolo11n["rows"]) == yolo11n["params"]
    assert json.loads(json.dumps(yolo11n)) == yolo11n


def test_repeats_are_those_of_the_scale():
    def repeats(name):
        return [row["repeats"] for row in describe(load_base(name))["rows"]]

    assert repeats("yolov8n")[4] == 2 and repeats("yolov8m")[4] == 4  # 6 × 0.33 and 6 × 0.67
    assert repeats("yolov6n")[6] == 6  # a sequence of convolutions: 18 × 0.33


@pytest.mark.parametrize("name", ["yolo11n", "yolov8n-p2", "yolov8n-p6", "yolov6n", "yolov8n-world", "yolo26n-sem"])
def test_the_table_fits_a_terminal_and_names_everything(name):
    drawn = describe(load_base(name))
    lines = shown(drawn)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for row in drawn["rows"]:
        assert f"{row['index']:>4}  " in text and row["module"][:10] in text  # the longest are broken
        for slot in row["slots"]:
            assert all(part in text for part in (slot["name"], *slot["also"]))
    assert lines[0].startswith(f"{name}: {drawn['task']}, ")


def test_a_line_says_what_sets_a_slot_apart(yolo11n):
    lines = shown(yolo11n)
    at = next(i for i, line in enumerate(lines) if line.startswith("  22 "))
    assert lines[at].split() == ["22", "21", "C3k2", "256", "32", "23", "p5", "=", "p5.head"]
    assert [line.strip() for line in lines[at + 1 : at + 3]] == ["inner.p5.insert 64×2", "inner.p5.replace 64×2"]
    assert any(line.endswith("5, 15    lateral.p3 >15") for line in lines)


def test_some_slots_only():
    drawn = describe(load_base("yolo11n"), ["p?", "inner.p5.*"])
    names = [slot["name"] for row in drawn["rows"] for slot in row["slots"]]
    assert names == ["p3", "p4", "p5", "inner.p5.insert", "inner.p5.replace"]
    with pytest.raises(UnknownName, match=r"yolo11n.*Did you mean 'lateral\.p5'"):
        describe(load_base("yolo11n"), ["lateral.p6"])


def test_the_command(capsys):
    assert run(["slots", "--model", "yolov5n", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == describe(load_base("yolov5n"))
    assert run(["slots", "--slots", "td.*"]) == 0
    said = capsys.readouterr()
    assert "td.p4" in said.out and "lateral" not in said.out and said.err.startswith("To measure which")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "yolo11q"], "Did you mean 'yolo11"),
        (["--model", "yolo11n-cls"], "must end in one of"),
        (["--slots", "p9"], "Known: backbone.p2"),
        (["--slots", "nothing.*"], "got 'nothing.*'"),
        (["--slots", ","], "must name at least one slot"),
        (["--epochs", "3", "--seeds", "2"], "--epochs, --seeds. Give one"),
    ],
)
def test_what_cannot_be_drawn(arguments, says, capsys):
    assert run(["slots", *arguments]) == 2
    said = capsys.readouterr()
    assert says in said.err and not said.out and "Traceback" not in said.err
