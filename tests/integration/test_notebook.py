"""The example of `studies/`, as a script and as a notebook: a module of a cell is searched by worker processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nas_attn.study import read_study

EXAMPLE = Path(__file__).parents[2] / "studies" / "notebook.py"
SMALL = {  # what makes it fast: one epoch on tiny images says nothing, but everything runs
    "trials=16, modules=MODULES)": 'trials=8, modules=MODULES, epochs=1, imgsz=64, control_seeds=1, dead_slots="keep")',
    'kinds="leave-one-out", seeds=3)': 'kinds="leave-one-out", seeds=2, dead_slots="keep", controls=False)',
}


def example() -> str:
    """The example's text, with a search that takes seconds."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for given, small in SMALL.items():
        assert text.count(given) == 1, f"the example no longer has `{given}`"
        text = text.replace(given, small)
    return text


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Its folder after a run as a script, and what it printed."""
    folder = tmp_path_factory.mktemp("script")
    (folder / "example.py").write_text(example(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=folder, capture_output=True, text=True, timeout=540, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_example_runs_as_a_script(ran: tuple[Path, str]) -> None:
    folder, out = ran
    for file in ("notebook.csv", "notebook.html", "best.yaml"):
        assert (folder / file).stat().st_size > 500, file
    view = read_study(folder / "runs" / "demo")
    assert view.counted == 8 and not [t.reason for t in view.trials if t.state == "failed"]
    assert "contrast_gate" in str(view.header["space_size"]) + out and "front and controls" in out
    assert "parameters" in out.splitlines()[-1] and "comparisons with the base" in out


def test_another_process_goes_on_with_the_module_of_the_cell(ran: tuple[Path, str]) -> None:
    folder, _ = ran
    program = "import nas_attn as na; print(len(na.run_search('demo', trials=9).trials))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.strip() == "9", done.stderr


@pytest.mark.needs("nbclient", "ipykernel")
def test_the_example_runs_as_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    cells = example().replace("trials=8", "trials=3").split("\n# %%")[1:4]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(f"# %%{c}") for c in cells])
    book.cells.append(nbformat.v4.new_code_cell("study"))
    kernel: Any = NotebookClient(book, timeout=500, kernel_name="python3", resources={"metadata": {"path": "."}})
    kernel.execute(env=dict(os.environ))
    shown = [output for cell in book.cells for output in cell.outputs]
    search = [o for o in book.cells[2].outputs if "data" in o]
    bar = [o["data"]["text/html"] for o in search if "text/html" in o["data"] and "best" in o["data"]["text/html"]]
    assert bar, "the bar stays in the cell, with the best candidate"
    assert "mAP50-95" in str(search), "a line for each trial"
    last: Any = shown[-1]
    assert "<table>" in last["data"]["text/html"] and "3 of 3 trials" in last["data"]["text/html"]
    assert not [o for o in shown if o["output_type"] == "error"]
