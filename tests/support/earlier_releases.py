"""Files that earlier releases wrote, unpacked beside data drawn again, and the figures that must not change.

As a program it computes these figures with whatever `nas_attn` is installed; a release runs it once for its own folder:
`python earlier_releases.py FOLDER WORK` unpacks `FOLDER/files.tar.xz` into WORK and writes `FOLDER/figures.json`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections import deque
from pathlib import Path
from typing import Any

from nas_attn.attention.residual import build_module
from nas_attn.data.demo import write_data
from nas_attn.engine import Outcome
from nas_attn.evaluate.synthetic import SyntheticEvaluator

HOME = "/v010"  # where the first release's files were made, and so what their paths begin with
SPLITS, IMGSZ, SIDES = {"train": 8, "val": 4, "test": 4}, 64, ((8, 12), (14, 24), (30, 50))
TASKS = ("detect", "segment", "pose", "obb")
MORE = 5  # trials that a search is continued by
SIZE = 64  # pixels of the image that checkpoints are shown

OUTPUT = """
import sys, torch
from ultralytics import YOLO
torch.set_num_threads(1)
net = YOLO(sys.argv[1]).model.float().eval()
with torch.no_grad():
    out = net(torch.linspace(0, 1, 3 * {0} * {0}).reshape(1, 3, {0}, {0}))
print(*[float(v) for v in (out[0] if isinstance(out, tuple) else out).flatten()[::13]])
"""


class SyntheticEngine:
    """Stands for the engine of a search: trains nothing, so that only what the search itself decides is seen."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._tasks: deque[Any] = deque()

    @property
    def free(self) -> int:
        return 1 - len(self._tasks)

    def submit(self, task: Any) -> None:
        self._tasks.append(task)

    def wait(self, timeout: float | None = None) -> Outcome:
        task = self._tasks.popleft()
        return Outcome(task, SyntheticEvaluator()(*task.arguments, **task.keywords))

    def __enter__(self) -> SyntheticEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class Silent:
    """An observer of an ablation that is told everything and says nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def unpack(release: Path, folder: Path) -> Path:
    """The files of a release, their paths those of `folder`, with their data."""
    with tarfile.open(release / "files.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    for path in folder.rglob("*"):
        if path.suffix in (".jsonl", ".yaml", ".json"):
            path.write_text(path.read_text().replace(HOME, str(folder)))
    for task in TASKS:
        (folder / "data" / task).mkdir(parents=True)
        write_data(folder / "data" / task, SPLITS, IMGSZ, SIDES, task)
    return folder


def names(root: Path) -> list[str]:
    """The studies of a release."""
    return sorted(p.parent.name for p in (root / "runs").glob("*/records.jsonl"))


def study_figures(view: Any) -> dict[str, Any]:
    """The figures of a study, whatever reads it."""
    from nas_attn.analysis.front import front

    frame = view.frame()
    return {
        "header": [view.name, view.header["base"], view.header["task"], view.target, view.header["space_size"]],
        "trials": [trial_figures(t) for t in view.trials],
        "front": [c.key for c in front(view)],
        "candidates": [[c.key, c.role, c.state, c.mean, c.delta, c.score, list(c.seeds)] for c in view.candidates()],
        "frame": [len(frame), sorted(frame["architecture"])],
    }


def trial_figures(t: Any) -> list[Any]:
    """A trial with its cost."""
    costs = [t.cost.get(name) for name in ("gmacs", "gmacs_fvcore_default", "params_m")]
    return [t.number, t.role, t.state, t.seed, str(t.architecture), *costs, t.map50_95]


def continued(root: Path, name: str, more: int = MORE, **options: Any) -> list[list[Any]]:
    """The trials by which a search goes on; they are not trained."""
    from nas_attn.api import run_search
    from nas_attn.study import run

    before = load_study(name, runs=root / "runs")
    (before.folder / "base.pt").touch()  # is not packed; the engine does not read it
    study = str(root / f"{name}.yaml") if (root / f"{name}.yaml").exists() else name
    engine, run.LocalEngine = run.LocalEngine, SyntheticEngine
    try:
        after = run_search(study, runs=root / "runs", trials=before.counted + more, **options)
    finally:
        run.LocalEngine = engine
    return [trial_figures(t) for t in after.trials[len(before.trials) :]]


def ablation_figures(view: Any) -> dict[str, Any]:
    """The figures of an ablation."""
    from nas_attn.ablation.report.files import figures

    keep = ("family", "comparison", "architecture", "seeds", "val_mean", "val_delta", "p_corrected", "verdict", "gmacs")
    rows = [{k: row[k] for k in keep if k in row} | {"params_m": row["params_m"]} for row in figures(view)]
    return {"header": [view.name, view.header["ablation"]["full"]], "rows": rows}


def ablation_continued(root: Path, study: str, name: str) -> list[list[Any]]:
    """The trials of one further seed of an ablation; they are not trained."""
    from nas_attn.ablation import run
    from nas_attn.ablation.plan.settings import load_request
    from nas_attn.ablation.view import AblationView

    before = AblationView.read(root / "runs" / study / "ablations" / name)
    file = root / f"{study}.yaml"
    seeds = sum(t.role == "base" for t in before.trials) + 1
    request = load_request(str(file), {"seeds": seeds}, {}, runs=root / "runs", name=name)
    engine, run.LocalEngine = run.LocalEngine, SyntheticEngine
    try:
        after = run.run_ablation(request, observer=Silent())
    finally:
        run.LocalEngine = engine
    return [trial_figures(t) for t in after.trials[len(before.trials) :]]


def pickled_names() -> list[str]:
    """The package's own names that pickles of this release's layers refer to: `module qualname`."""
    import pickle
    import pickletools

    from nas_attn.attention import registry
    from nas_attn.detector import blocks

    found = {f"{c.__module__} {c.__qualname__}" for c in blocks.classes().values()}
    found.add("nas_attn.attention.user revive")
    for entry in registry.entries():
        fits = [s for s in entry.combinations() if entry.refusal(64, 16, 16, s) is None]
        for settings in (fits[0], fits[-1]):
            words: list[str] = []
            for op, argument, _ in pickletools.genops(pickle.dumps(build_module(entry, 64, settings), protocol=2)):
                if op.name == "GLOBAL":
                    words.append(argument)
            found |= {w for w in words if w.startswith("nas_attn.")}
    return sorted(found)


def output(checkpoint: Path) -> list[float]:
    """Numbers out of a checkpoint's network, by a process that imports Ultralytics only."""
    done = subprocess.run(
        [sys.executable, "-c", OUTPUT.format(SIZE), checkpoint],
        capture_output=True, text=True, check=False, cwd=checkpoint.parent,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [float(v) for v in done.stdout.split()]


def figures(root: Path) -> dict[str, Any]:
    """All figures of a release; continues what is in `root`."""
    from nas_attn.ablation.view import AblationView
    from nas_attn.data.check import check_data
    from nas_attn.study import read_study

    runs = root / "runs"
    ablations = [p.parent for p in sorted(runs.glob("*/ablations/*/records.jsonl"))]
    return {
        "data": {task: check_data(str(root / "data" / task / "data.yaml"), task).fingerprint for task in TASKS},
        "studies": {name: study_figures(read_study(name, runs=runs)) for name in names(root)},
        "ablations": {str(p.relative_to(runs)): ablation_figures(AblationView.read(p)) for p in ablations},
        "ablations continued": {
            str(p.relative_to(runs)): ablation_continued(root, p.parents[1].name, p.name) for p in ablations
        },
        "continued": {name: continued(root, name) for name in names(root)},
        "pickled": pickled_names(),
        "checkpoints": {p.name: output(p) for p in sorted((root / "checkpoints").iterdir())},
    }


if __name__ == "__main__":
    place = Path(sys.argv[1])
    found = figures(unpack(place, Path(sys.argv[2])))
    (place / "figures.json").write_text(json.dumps(found, indent=None, separators=(",", ":")) + "\n")
