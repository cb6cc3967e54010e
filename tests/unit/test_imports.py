"""Imports point one way, heavy libraries have one home each, and readers need neither torch nor optuna."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nas_attn

ROOT = Path(nas_attn.__file__).parent
ORDER = (  # a package imports only from those before it; `files` writes whole-or-absent files for all of them
    "errors", ("files", "stopping"), "attention", "space", ("cost", "detector"), "conformance", "evaluate", "engine",
    "study", "analysis", "ablation", "bundle", "dashboard", "cli", "__main__",
)  # fmt: skip
RANK = {name: rank for rank, names in enumerate(ORDER) for name in ([names] if isinstance(names, str) else names)}
HOMES = {
    "fvcore": ("cost/",),
    "ultralytics": ("detector/", "attention/zoo/"),
    "optuna": ("study/", "analysis/importance/numbers.py"),
}
EXEMPT = {"__init__.py", "_registration.py"}  # the public names, and the finder that waits for Ultralytics
FILES = sorted(p for p in ROOT.rglob("*.py") if str(p.relative_to(ROOT)) not in EXEMPT)


def imports(path: Path) -> set[str]:
    """Absolute names of everything a file imports, inside functions too."""
    found = set()
    package = ("nas_attn", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found |= {module} if module != "nas_attn" else {f"nas_attn.{alias.name}" for alias in node.names}
    return found


def test_there_are_files_to_check():
    assert len(FILES) > 20
    assert "nas_attn.errors" in imports(ROOT / "space" / "written.py")
    assert "nas_attn.attention" in imports(ROOT / "space" / "written.py")  # stands inside a function
    assert set(p.relative_to(ROOT).parts[0].removesuffix(".py") for p in FILES) <= set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_left(path):
    here = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "nas_attn" or len(parts) < 2 or parts[1] in (here, "__version__"):
            continue
        assert parts[1] in RANK, f"{path.name} imports {name}, which has no place in the order"
        assert RANK[parts[1]] < RANK[here], f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_have_one_home(path):
    relative = path.relative_to(ROOT).as_posix()
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or relative.startswith(homes), f"{relative} imports {name}"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import nas_attn", ("torch", "ultralytics", "optuna", "numpy")),
        ("import nas_attn.space, nas_attn.study.view", ("torch", "ultralytics", "optuna")),
        ("from nas_attn.attention import registry, Choice", ("torch",)),
        ("from nas_attn.space import Architecture as A; A.parse('p3=acmix(head=4) p4=none')", ("torch", "optuna")),
        (
            "from nas_attn.space import SearchSpace, Slot, SlotSpace; "
            "s = SearchSpace('b', SlotSpace(Slot('p3', 1, 8, 8), ['none', 'se(r=4)'], {'se(r=8)': 'se(r=4)'}), 64); "
            "assert 'p3=se(r=4)' in s and 'p4=se' not in s and 'x' not in s and s.canonical('p3=se(r=8)') in s",
            ("torch",),
        ),
    ],
)
def test_readers_stay_light(statement, absent):
    check = f"import sys; {statement}; print([m for m in {absent!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT.parent)
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
