"""The wheel, installed outside the checkout: it holds all files of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest

from nas_attn.study import shipped

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a build leaves files behind, and finds those of an older one
    names = ("nas_attn", "search_spaces", "studies", "pyproject.toml", "README.md", "LICENSE")
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source], check=True, env=env, cwd=folder
    )
    wheel = next(folder.glob("*.whl"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder / "site", wheel],
        check=True,
        env=env,
        cwd=folder,
    )
    return folder / "site"


def python(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_clone_that_is_named_like_the_package_does_not_hide_it(tmp_path):
    """The README installs a clone in place; commands may then run in the folder that the clone lies in."""
    clone = tmp_path / "nas_attn"
    shutil.copytree(ROOT / "nas_attn", clone / "nas_attn", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = partial(subprocess.run, cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    run([sys.executable, "-m", "venv", "there"])
    binaries = tmp_path / "there" / ("Scripts" if os.name == "nt" else "bin")
    run([binaries / "python", "-m", "pip", "install", "-q", "--no-deps", "-e", "nas_attn"])
    done = run([binaries / "python", "-c", "import nas_attn; print(nas_attn.__file__)"])
    assert Path(done.stdout.strip()) == clone / "nas_attn" / "__init__.py"


def test_shipped_files_are_found(installed, tmp_path):
    code = (
        "import nas_attn, pathlib; from nas_attn.study import shipped;"
        "print(pathlib.Path(nas_attn.__file__).parent);"
        "print(shipped.names('studies'), shipped.names('search_spaces'));"
        "print(shipped.folder('studies'))"
    )
    done = python(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    where, names, folder = done.stdout.splitlines()
    assert where == str(installed / "nas_attn") and folder.startswith(str(installed))
    assert names == f"{shipped.names('studies')} {shipped.names('search_spaces')}" and "'demo'" in names


def test_a_search_runs_from_the_wheel(installed, tmp_path, write_study):
    write_study(tmp_path / "w.yaml", trials=1, epochs=1, control_seeds=1)
    done = python(installed, tmp_path, "-m", "nas_attn", "search", "w.yaml")
    assert done.returncode == 0, done.stderr
    done = python(installed, tmp_path, "-m", "nas_attn", "report", "w", "-o", "r.html")
    assert done.returncode == 0 and (tmp_path / "r.html").stat().st_size > 1_000_000, done.stderr


def test_links_of_the_page_on_pypi_lead_to_the_repository(installed):
    page = next(installed.glob("nas_attn-*.dist-info/METADATA")).read_text(encoding="utf-8")
    home = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Homepage"]
    targets = re.findall(r"\]\(([^)]+)\)", page)
    assert "Description-Content-Type: text/markdown" in page and len(targets) > 10
    assert all(target.startswith(f"{home}/") for target in targets)
    assert f"({home}/raw/main/studies/bccd.png)" in page and f"({home}/blob/main/LICENSE)" in page


def test_every_package_and_no_test_is_in_it(installed):
    packages = {p.parent.relative_to(ROOT).as_posix() for p in (ROOT / "nas_attn").rglob("__init__.py")}
    assert packages == {
        p.parent.relative_to(installed).as_posix() for p in (installed / "nas_attn").rglob("__init__.py")
    }
    assert (installed / "nas_attn" / "py.typed").is_file(), "type checkers read the annotations"
    assert {p.name for p in installed.iterdir() if p.suffix != ".dist-info"} <= {"nas_attn", "bin"}, "and nothing else"


def test_dependencies_are_explained():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    project = tomllib.loads("\n".join(lines))["project"]
    for requirement in sum(project["optional-dependencies"].values(), project["dependencies"]):
        line = next(x for x in lines if f'"{requirement}"' in x)
        assert "#" in line, f"{requirement} does not say who needs it"
