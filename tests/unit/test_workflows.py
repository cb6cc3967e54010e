"""The files of .github and the hooks of a commit: valid, of few rights, in step with pyproject.toml and .ci/run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas_attn._version import __version__
from nas_attn.cli.app import run

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CLASSIFIED = [c.rpartition(" ")[2] for c in PYPROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", c)]
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
INSTALLED = {re.match(r"[\w-]+", d)[0] for d in EXTRAS["dev"]} | set(PYPROJECT["project"]["scripts"])  # type: ignore[index]
POSIX = pytest.mark.skipif(os.name == "nt", reason="runs bash")
OF_THE_RUNNER = ("pip", "pipx", "python", "gh", "xargs", "twine")  # twine is installed by the step that calls it
SCHEMAS = {
    "workflows/*.yml": "vendor.github-workflows",
    "ISSUE_TEMPLATE/[!c]*.yml": "vendor.github-issue-forms",
    "ISSUE_TEMPLATE/config.yml": "vendor.github-issue-config",
}


def read(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


WORKFLOWS = {path.stem: read(path) for path in sorted((GITHUB / "workflows").glob("*.yml"))}
JOBS = {f"{file}.{name}": job for file, content in WORKFLOWS.items() for name, job in content["jobs"].items()}


def commands(job: dict[str, Any]) -> list[str]:
    """Each line that a job's steps run."""
    return [line for step in job["steps"] for line in step.get("run", "").splitlines()]


def test_there_are_a_check_and_a_release():
    assert set(WORKFLOWS) == {"ci", "release"}
    assert {path for pattern in SCHEMAS for path in GITHUB.glob(pattern)} == set(GITHUB.rglob("*.yml"))


@pytest.mark.needs("check_jsonschema")
@pytest.mark.parametrize("pattern", SCHEMAS)
def test_schema(pattern):
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[pattern], *GITHUB.glob(pattern)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_versions_of_python():
    project, lowest = PYPROJECT["project"], CLASSIFIED[0]
    assert project["requires-python"] == f">={lowest}" and PYPROJECT["tool"]["mypy"]["python_version"] == lowest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py" + lowest.replace(".", "")
    drawn = {name: job["strategy"]["matrix"] for name, job in JOBS.items() if "strategy" in job}
    assert set(drawn) == {"ci.linux", "ci.elsewhere", "release.test"}
    assert all(matrix["python"] == [lowest, CLASSIFIED[-1]] for matrix in drawn.values())
    for name, job in JOBS.items():
        for step in job["steps"]:
            if "setup-python" in step.get("uses", "") and name not in drawn:
                assert step["with"]["python-version"] in CLASSIFIED


@POSIX
def test_the_lowest_versions_are_those_of_pyproject():
    done = subprocess.run([ROOT / ".ci" / "lowest"], capture_output=True, text=True, check=True)
    found = dict(line.split("==") for line in done.stdout.split())
    assert set(found) == {"ultralytics", "optuna"}
    for name, version in found.items():
        assert any(re.match(rf"{name}>={re.escape(version)}(,|$)", d) for d in PYPROJECT["project"]["dependencies"])
    assert "lowest=$(.ci/lowest)" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert ".ci/lowest | xargs pip install" in commands(JOBS["ci.linux"])


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_a_limit_and_known_actions(name):
    job = JOBS[name]
    assert job["timeout-minutes"] <= 120
    for step in job["steps"]:
        uses = step.get("uses", "")
        assert not uses or re.fullmatch(r"actions/[\w-]+@v\d+|pypa/gh-action-pypi-publish@release/v1", uses), uses
        if uses.startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False
        assert "${{" not in step.get("run", ""), "a name that a stranger chose would be run as a command"


def test_only_publishing_may_write():
    assert WORKFLOWS["ci"]["permissions"] == {"contents": "read"} and WORKFLOWS["release"]["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items() if "write" in str(job.get("permissions"))} == {
        "release.pypi": {"id-token": "write"},
        "release.github": {"contents": "write"},
    }
    assert JOBS["release.pypi"]["environment"]["name"] == "pypi"
    assert set(JOBS["release.pypi"]["needs"]) == {"build", "test"} and JOBS["release.github"]["needs"] == "pypi"
    assert "secrets." not in str(WORKFLOWS)


@POSIX
@pytest.mark.parametrize("name", JOBS)
def test_commands_exist(name, capsys):
    for line in commands(JOBS[name]):
        subprocess.run(["bash", "-n", "-c", line], check=True)
        first, *arguments = shlex.split(line)
        assert first in (*INSTALLED, *OF_THE_RUNNER) or (ROOT / first).is_file(), line
        for extras in re.findall(r"\.\[([\w,]+)\]", line):
            assert set(extras.split(",")) <= set(EXTRAS), line
        for path in (a for a in arguments if re.match(r"(tests|\.ci|nas_attn)/", a)):
            assert (ROOT / path).exists(), line
        if first == "nas-attn" and not arguments[0].startswith("-"):
            assert run([arguments[0], "--help"]) == 0
            shown = capsys.readouterr().out
            assert all(a in shown for a in arguments if a.startswith("-")), line


def test_one_list_of_checks():
    """The checks of `.ci/run` are made on GitHub too, and on the files of a commit before it."""
    run_lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    for check in ("ruff check .", "ruff format --check .", "mypy"):
        assert check in run_lines and check in commands(JOBS["ci.style"])
    (repo,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    entries = [hook["entry"] for hook in repo["hooks"]]
    assert entries == ["ruff check --force-exclude", "ruff format --force-exclude", "mypy"]
    assert any("pip install -q -e '.[dev,ci]'" in line for line in run_lines), "no test skips for a missing library"


def notes(tag: str) -> subprocess.CompletedProcess:
    script = ROOT / ".ci" / "release_notes.py"
    return subprocess.run([sys.executable, script, tag], capture_output=True, text=True, check=False)


def test_a_tag_must_be_the_version():
    done = notes("v0.0.7")
    assert done.returncode == 1 and f"version {__version__}" in done.stderr and "v0.0.7" in done.stderr


def test_notes_are_the_section_of_the_version(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    import release_notes

    newest = "## [Unreleased]\n\n- new\n\n## [1.10.0] - 2026-01-31\n\n### Added\n\n- one\n\n"
    text = f"{newest}## [1.1.0] - 2025-01-31\n\n- old\n"
    version = '__version__ = "1.10.0"\n'
    assert release_notes.notes("v1.10.0", version, text) == "### Added\n\n- one"
    assert release_notes.notes("v1.1.0", version.replace("10", "1"), f"{text}\n[1.1.0]: https://x\n") == "- old"
    for tag, log in (("1.10.0", text), ("v1.1.0", text), ("v1.10.0", text.replace(" - 2026-01-31", ""))):
        with pytest.raises(ValueError, match="must"):
            release_notes.notes(tag, version, log)


def test_a_bug_report_asks_for_what_doctor_prints(capsys):
    form = (GITHUB / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8")
    (asked,) = re.findall(r"`python -m nas_attn ([\w -]+)`", form)
    assert run(asked.split()) in (0, 1)
    assert {"checks"} == set(yaml.safe_load(capsys.readouterr().out))
