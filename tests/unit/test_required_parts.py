"""A test that needs a library which is not installed skips and says so; with NAS_ATTN_REQUIRE_PARTS it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEST = """
import pytest

@pytest.mark.needs("json", "no_such_library")
def test_by_mark():
    raise AssertionError("was run")

@pytest.fixture
def part():
    pytest.skip("missing part: no such server")

def test_by_fixture(part):
    raise AssertionError("was run")

@pytest.mark.needs("json")
def test_that_has_all():
    pass
"""


@pytest.mark.parametrize(
    ("required", "code", "counts"), [("", 0, "1 passed, 2 skipped"), ("1", 1, "1 passed, 2 errors")]
)
def test_missing_parts(tmp_path, required, code, counts):
    (tmp_path / "test_it.py").write_text(TEST)
    rules = ("-c", ROOT / "pyproject.toml", "-p", "conftest", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *rules, "--rootdir", tmp_path, tmp_path],
        env={**os.environ, "NAS_ATTN_REQUIRE_PARTS": required, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}"},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code and counts in done.stdout, done.stdout
    assert "missing part: no_such_library, pip install -e '.[ci]'" in done.stdout
    assert "was run" not in done.stdout
