"""Results can be printed in every encoding: in that of an English Windows, and in ASCII."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from nas_attn.cli.signs import print_any_sign


def printed(monkeypatch, text: str, encoding: str, errors: str = "strict") -> bytes:
    """The bytes that a text becomes on a stdout of this encoding."""
    content = io.BytesIO()
    with monkeypatch.context() as patch:
        for name in ("stdout", "stderr"):
            patch.setattr(sys, name, io.TextIOWrapper(content, encoding, errors, write_through=True))
        print_any_sign()
        sys.stdout.write(text)
        return content.getvalue()


def test_what_an_encoding_lacks_gets_the_nearest_sign(monkeypatch):
    text = "Δ 3×3 0.5 ± 0.1 – … 研究"
    assert printed(monkeypatch, text, "ascii") == rb"d 3x3 0.5 +- 0.1 - ... \u7814\u7a76"
    assert printed(monkeypatch, text, "cp1252") == b"d 3\xd73 0.5 \xb1 0.1 \x96 \x85 \\u7814\\u7a76"
    assert printed(monkeypatch, text, "gbk") == text.encode("gbk")
    assert printed(monkeypatch, f"{text}\udcff", "utf-8") == f"{text}\\udcff".encode()
    assert printed(monkeypatch, "Δ", "ascii", "surrogateescape") == b"d"


def test_what_the_user_chose_stays(monkeypatch):
    assert printed(monkeypatch, "aΔb", "ascii", "ignore") == b"ab"


@pytest.mark.parametrize(
    ("encoding", "command", "words"),
    [
        ("ascii", ["modules", "acmix"], "1x1 convolutions"),
        ("cp1252", ["modules", "acmix"], "1×1 convolutions"),
        ("ascii", ["cost", "p3=acmix(head=4)", "--modules", "研究.py"], "\\u7814\\u7a76.py"),
        ("ascii", ["--help"], "dashboard"),
    ],
)
def test_a_command_in_that_encoding(encoding, command, words, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "nas_attn", *command], cwd=tmp_path, capture_output=True, encoding=encoding, check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "160"},
    )  # fmt: skip
    assert words in done.stdout + done.stderr and "Traceback" not in done.stderr
