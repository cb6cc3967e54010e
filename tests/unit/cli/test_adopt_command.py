"""The output of `adopt`: costs, the next command, and messages on broken files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas_attn.cli.app import run

ARTICLES = Path(__file__).parents[2] / "integration" / "articles"
V8 = (ARTICLES / "acmix_p5_yolov8.yaml").read_text()
TWO = (("ACmix, []] # 22\n", "ACmix, []] # 22\n  - [-1, 1, SimAM, []]\n"), ("18, 22]", "18, 23]"))


@pytest.fixture
def adopt(tmp_path, capfd):
    """A function that runs `adopt` on an article with replaced text and returns the output, or the error."""

    def make(*replaced: tuple[str, str], options: tuple[str, ...] = ("--json",), code: int = 0) -> Any:
        text = V8
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "article.yaml").write_text(text, encoding="utf-8")
        capfd.readouterr()
        assert run(["adopt", str(tmp_path / "article.yaml"), *options]) == code
        out, error = capfd.readouterr()
        if code:
            return error
        return json.loads(out) if "--json" in options else out

    return make


def cost_of(capfd, model: str) -> Any:
    assert run(["cost", "--model", model, "--nc", "80", "--json"]) == 0
    (one,) = json.loads(capfd.readouterr().out)["costs"]
    return {k: v for k, v in one.items() if k not in ("architecture", "gflops_ultralytics")}


def test_the_base_is_counted_without_the_attention_that_stays_in_it(adopt, capfd):
    plain = cost_of(capfd, "yolov8n")
    said = adopt(*TWO)
    assert (said["base_cost"], said["plain_base"]) == (plain, "yolov8n")
    assert said["cost"]["params_m"] > plain["params_m"]
    assert f"without attention (yolov8n) {plain['gmacs']:.4f} GMACs" in adopt(*TWO, options=())


def test_an_own_base_is_counted_without_attention_too(adopt):
    own = ("[-1, 3, C2f, [1024]] # 21", "[-1, 3, C2f, [512]] # 21")
    in_slot, in_base = adopt(own), adopt(own, *TWO)
    assert in_base["base_cost"] == in_slot["base_cost"] and not in_base["known_base"]
    assert "without attention" in adopt(own, options=())


def test_yaml_aliases_do_not_break_the_written_file(adopt, tmp_path):
    """Each value is written separately, so an anchor in one would be defined again in the next."""
    import yaml

    shared = ("nc: 80", "m: &r [1, 2]\nx: &q [*r, *r]\nz: [*q, *q]\nkpt_shape: [*r, *r]\nnc: 80")
    said = adopt(shared, options=("-o", str(tmp_path / "out.yaml"), "--json"))
    written = yaml.safe_load((tmp_path / "out.yaml").read_text())
    assert written["kpt_shape"] == [[1, 2], [1, 2]] and not {"m", "x", "z"} & set(written)
    (key,) = [s["text"] for s in said["suspicions"] if s["kind"] == "key"]
    assert "m, x, z" in key and "left out" in key


def test_the_file_to_write_must_be_one_that_train_takes(adopt, tmp_path):
    error = adopt(options=("-o", str(tmp_path / "x.txt")), code=2)
    assert ".yaml or .yml" in error and not (tmp_path / "x.txt").exists()


def test_the_command_to_train_says_which_class_count_it_is_for(adopt, tmp_path):
    out = adopt(options=("-o", str(tmp_path / "x.yaml")))
    assert "train " in out and "D.yaml must have 80 classes" in out and "--nc" in out
    assert "adopt again" not in adopt(options=("-o", str(tmp_path / "y.yaml"), "--nc", "3"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("\t- [-1, 1, ACmix, []] # 22\n", r"line 37, column 1.*Replace tabs by spaces"),
        ("  - [-1, 1, ACmix\uff0c []] # 22\n", r"line 37.*Replace the full-width '\uff0c' by ','"),
        ("  - [-1\uff0c 1\uff0c ACmix\uff0c 3] # 22\n", r"row 22.*Replace the full-width '\uff0c' by ','"),
        ("  - [-1, 1, ACmix] # 22\n", r"row 22.*Write all four, the last may be empty: \[-1, 1, ACmix, \[\]\]"),
        ("  - ACmix # 22\n", r"row 22.*Write all four"),
        ("  - [-99, 1, ACmix, []] # 22\n", r"got -99, with 22 rows above"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(adopt, row, message):
    import re

    error = adopt(("  - [-1, 1, ACmix, []] # 22\n", row), options=(), code=2)
    assert re.search(message, error, re.DOTALL), error


def test_a_head_in_lower_case_is_recognised_as_misspelt(adopt):
    assert "Did you mean 'Detect'?" in adopt(("1, Detect,", "1, detect,"), options=(), code=2)


def test_a_scale_at_the_top_is_said_to_be_ignored(adopt):
    stated = ("nc: 80", "scale: s\nnc: 80")
    said = adopt(stated)
    (text,) = [s["text"] for s in said["suspicions"] if s["kind"] == "scale"]
    assert said["scale"] == "n" and "`scale: s`" in text and "--model-scale s" in text
    assert not [
        s for s in adopt(stated, options=("--model-scale", "s", "--json"))["suspicions"] if s["kind"] == "scale"
    ]


def test_a_name_of_several_meanings_is_answered(adopt):
    cbam = ("[-1, 1, ACmix, []]", "[-1, 1, CBAM, [1024]]")
    assert "--as CBAM=cbam" in adopt(cbam, options=(), code=2)
    said = adopt(cbam, options=("--as", "CBAM=cbam", "--json"))
    assert said["architecture"] == "p5=cbam(kernel_size=7,reduction=16)"
    assert [(r["was"], r["now"]) for r in said["repairs"]] == [("CBAM", "cbam")]
    for wrong in ("CBAM", "=cbam", "CBAM="):
        assert "NAME=MODULE" in adopt(cbam, options=("--as", wrong), code=2)
    assert "one MODULE for a NAME" in adopt(cbam, options=("--as", "CBAM=cbam", "--as", "CBAM=se"), code=2)


def test_all_problems_are_printed_with_their_rows_and_the_file_once(adopt):
    error = adopt(("3, C2f, [1024]]", "3, C2f_Foo, [1024]]"), ("1, ACmix", "1, HATAttention"), options=(), code=2)
    assert "2 problems in" in error and error.count("article.yaml") == 1
    assert "1. " in error and "(in row 21)" in error and "(in row 22)" in error


def test_lines_are_broken_at_the_width_of_a_terminal_but_not_commands(adopt, tmp_path, monkeypatch):
    import sys

    past = ("18, 22]", "18, 21]")
    whole = adopt(past, options=())
    assert max(map(len, whole.splitlines())) > 80  # a pipe gets each finding as one line
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    broken = adopt(past, options=("-o", str(tmp_path / "fixed.yaml")))
    longer = [line for line in broken.splitlines() if len(line) > 80]
    assert all(line.startswith(("architecture: ", "written: ", "train: ", str(tmp_path))) for line in longer)
    assert "\n    " in broken
