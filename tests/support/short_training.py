"""Shared parts of the tests of `train`: an architecture, a command that takes seconds, and its results."""

from __future__ import annotations

import csv
import json
from pathlib import Path

FOUND = "p3=lska(k_size=7) p5=acmix(head=2,kernel_att=3,residual=scaled)"
QUICK = ("--epochs", 1, "--imgsz", 64, "--batch", 4, "--device", "cpu", "workers=0", "val=False")


def printed(capfd) -> list[dict]:
    """The runs in the printed JSON object; if pytest captures the output, that of Ultralytics comes before it."""
    out = capfd.readouterr().out
    return json.loads(out[out.index('{\n "runs"') :])["runs"]


def table(path: Path) -> list[list[str]]:
    """The table results.csv without the column of seconds."""
    return [[cell for i, cell in enumerate(row) if i != 1] for row in csv.reader(path.read_text().splitlines())]
