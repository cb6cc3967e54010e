"""Sentences in a terminal break between words; in a file they do not break."""

from __future__ import annotations

import io

import pytest

from nas_attn.lines import say

TEXT = "note: 3 seeds show a difference of 0.01 mAP50-95 with probability 2 %\n  p3=acmix(head=4,kernel_att=9) p4=none"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_a_terminal_breaks_no_word(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    say(TEXT, out := Terminal())
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= columns and " ".join(out.getvalue().split()) == " ".join(TEXT.split())
    assert all(line.startswith("  ") for line in lines if not line.startswith("note"))


def test_a_pipe_has_one_line_for_each_sentence():
    say(TEXT, out := io.StringIO())
    assert out.getvalue() == TEXT + "\n"
