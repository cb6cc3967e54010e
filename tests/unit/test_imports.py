"""Imports point one way and never in a circle, heavy libraries have one home each, and readers stay light."""

from __future__ import annotations

import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from package_imports import FILES, RANK, ROOT, imports, inner, room

BACK_UP = {  # the only arrows that run back up: file -> what it imports, and why
    "__init__": {"api", "attention", "cost", "engine", "evaluate", "space", "study"},  # the public names
    "_registration": {"", "detector.model"},  # the finder does this as soon as Ultralytics is loaded
}
UNREAD = {  # files that import by name: the zoo's own files, a user's module, a class of a checkpoint
    "attention.table", "engine.worker", "detector.model.safe_checkpoint",
}  # fmt: skip
HOMES = {
    "fvcore": ("cost/",),
    "ultralytics": (
        *("detector/", "data/", "adoption/", "conformance/hosting.py", "attention/zoo/"),
        *("bundle/winner.py", "api/study.py"),  # for the type of what they return
    ),
    "optuna": ("study/", "known_cost/sampler.py", "analysis/importance/numbers.py"),
}
LOWER = {name: path for name, path in FILES.items() if name not in BACK_UP}


def test_there_are_files_to_check():
    assert len(FILES) > 200
    assert "errors" in inner(ROOT / "space" / "written.py")
    assert "attention.registry" in inner(ROOT / "space" / "written.py")  # stands inside a function
    assert {room(name) for name in LOWER} == {*RANK, "detector"}  # its `__init__` imports nothing
    assert all(inner(FILES[name]) for name in BACK_UP)


@pytest.mark.parametrize("name", LOWER)
def test_imports_point_up_the_list_of_rooms(name):
    here = room(name)
    for other in inner(LOWER[name]) - {"_version"}:
        assert other, f"{name} imports the public names"
        assert room(other) == here or RANK[room(other)] < RANK[here], f"{name} imports {other}"


def test_imports_that_this_cannot_read_are_the_known_ones():
    found = {
        n for n, path in LOWER.items() if re.search(r"import_module\(|__import__\(", path.read_text(encoding="utf-8"))
    }
    assert found == UNREAD


@pytest.mark.parametrize("name", BACK_UP)
def test_the_arrows_that_run_back_up_are_the_known_ones(name):
    ground = {room for room in RANK if RANK[room] < RANK["statistics"]} | {"_registration"}
    assert {room(other) for other in inner(FILES[name])} - ground == BACK_UP[name]


def test_no_files_import_each_other_in_a_circle():
    graph = {name.removesuffix(".__init__"): inner(path) for name, path in LOWER.items()}
    for name, others in graph.items():
        others.discard(name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("name", LOWER)
def test_heavy_libraries_have_one_home(name):
    path = LOWER[name].relative_to(ROOT).as_posix()
    for library in imports(LOWER[name]):
        homes = HOMES.get(library.split(".")[0])
        assert homes is None or path.startswith(homes), f"{path} imports {library}"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import nas_attn", ("torch", "ultralytics", "optuna", "numpy")),
        ("import nas_attn.space, nas_attn.study.view", ("torch", "ultralytics", "optuna")),
        ("import nas_attn.cli.app, nas_attn.cost", ("torch", "ultralytics", "optuna", "numpy")),  # each --help
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
