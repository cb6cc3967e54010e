"""Ultralytics' messages in our commands: useless ones are hidden, and all others are shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import ultralytics

SCRIPT = """
import os, sys
from nas_attn.environment import prepare
{before}
prepare()
prepare()
os.environ["YOLO_VERBOSE"] = "true"  # as `train` does
from ultralytics import YOLO
from ultralytics.utils import LOGGER
from nas_attn.detector.model.base_model import load_base
YOLO("mine.yaml")
load_base("mine.yaml").build()
LOGGER.warning("something else")
"""


def said(folder: Path, before: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(before=before)],
        cwd=folder,
        env={**os.environ, "YOLO_VERBOSE": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


def test_a_yaml_without_a_scale_is_built_in_silence(tmp_path):
    shipped = Path(ultralytics.__file__).parent / "cfg" / "models" / "11" / "yolo11.yaml"
    shutil.copy(shipped, tmp_path / "mine.yaml")
    for before in ("", "import ultralytics.utils"):  # a script may have loaded Ultralytics, with all it says
        text = said(tmp_path, before)
        assert "Assuming scale" not in text and "something else" in text
