"""What the command `adopt` prints: the cost of what, the command that follows, and messages for broken files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas_attn.cli.app import run

ARTICLES = Path(__file__).parent.parent / "integration" / "articles"
V8 = (ARTICLES / "acmix_p5_yolov8.yaml").read_text()
TWO = (("ACmix, []] # 22\n", "ACmix, []] # 22\n  - [-1, 1, SimAM, []]\n"), ("18, 22]", "18, 23]"))


@pytest.fixture
def adopt(tmp_path, capfd):
    """A function that runs `adopt` on an article with some of its text replaced: what it printed, or its error."""

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
    return {k: v for k, v in one.items() if k != "architecture"}


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
