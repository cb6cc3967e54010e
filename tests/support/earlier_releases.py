"""Files that earlier releases wrote, and figures of them that must not change. The data sets are drawn anew.

As a program, it computes these figures with the installed `nas_attn`. Each release runs it once for its own folder:
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
from unittest.mock import patch

from nas_attn.attention.residual import build_module
from nas_attn.data.demo import write_data
from nas_attn.engine import Outcome
from nas_attn.evaluate.synthetic import SyntheticEvaluator

HOME = "/v010"  # the folder in which the first release's files were made; their paths begin with it
SPLITS, IMGSZ, SIDES = {"train": 8, "val": 4, "test": 4}, 64, ((8, 12), (14, 24), (30, 50))
TASKS = ("detect", "segment", "pose", "obb")
MORE = 5  # additional trials of a continued search
SIZE = 64  # side of the input image for checkpoints, in pixels

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
    """An engine that trains nothing, so that the results depend only on the decisions of the search."""

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
    """An observer of an ablation that prints nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def unpack(release: Path, folder: Path) -> Path:
    """The files of a release and their data, unpacked into `folder`, with their paths changed to it."""
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
    """The names of the studies of a release."""
    return sorted(p.parent.name for p in (root / "runs").glob("*/records.jsonl"))


def study_figures(view: Any) -> dict[str, Any]:
    """The figures of a study."""
    frame = view.frame()
    return {
        "header": [view.name, view.header["base"], view.header["task"], view.target, view.header["space_size"]],
        "trials": [trial_figures(t) for t in view.trials],
        "candidates": [[c.key, c.role, c.state, c.mean, c.delta, c.score, list(c.seeds)] for c in view.candidates()],
        "frame": [len(frame), sorted(frame["architecture"])],
    }


def recorded(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of a study that a later release must not change: all but the front, which it judges anew."""
    return {name: value for name, value in figures.items() if name != "front"}


def trial_figures(t: Any) -> list[Any]:
    """The figures of a trial, with its cost."""
    costs = [t.cost.get(name) for name in ("gmacs", "gmacs_fvcore_default", "params_m")]
    return [t.number, t.role, t.state, t.seed, str(t.architecture), *costs, t.map50_95]


def continued(root: Path, name: str, more: int = MORE, **options: Any) -> list[list[Any]]:
    """The next trials of a continued search; they are not trained."""
    from nas_attn.api import run_search
    from nas_attn.study import read_study

    before = read_study(name, runs=root / "runs")
    (before.folder / "base.pt").touch()  # the archive does not contain this file; the engine does not read it
    study = str(root / f"{name}.yaml") if (root / f"{name}.yaml").exists() else name
    with patch("nas_attn.study.plan.LocalEngine", SyntheticEngine):
        after = run_search(study, runs=root / "runs", trials=before.counted + more, **options).view
    return [trial_figures(t) for t in after.trials[len(before.trials) :]]


def ablation_figures(view: Any) -> dict[str, Any]:
    """The figures of an ablation."""
    from nas_attn.ablation.report.files import figures

    keep = ("family", "comparison", "architecture", "seeds", "val_mean", "val_delta", "p_corrected", "verdict", "gmacs")
    rows = [{k: row[k] for k in keep if k in row} | {"params_m": row["params_m"]} for row in figures(view)]
    return {"header": [view.name, view.header["ablation"]["full"]], "rows": rows}


def ablation_continued(root: Path, study: str, name: str) -> list[list[Any]]:
    """The trials that one more seed adds to an ablation; they are not trained."""
    from nas_attn.ablation.plan.settings import load_request
    from nas_attn.ablation.run import run_ablation
    from nas_attn.ablation.view import AblationView

    before = AblationView.read(root / "runs" / study / "ablations" / name)
    file = root / f"{study}.yaml"
    seeds = sum(t.role == "base" for t in before.trials) + 1
    request = load_request(str(file), {"seeds": seeds}, {}, runs=root / "runs", name=name)
    with patch("nas_attn.study.plan.LocalEngine", SyntheticEngine):
        after = run_ablation(request, observer=Silent())
    return [trial_figures(t) for t in after.trials[len(before.trials) :]]


def pickled_names() -> list[str]:
    """Names of this package in the pickles of this release's layers: `module qualname`."""
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
                    words.append(str(argument))
            found |= {w for w in words if w.startswith("nas_attn.")}
    return sorted(found)


def output(checkpoint: Path) -> list[float]:
    """The output of a checkpoint's network, from a process that imports only Ultralytics."""
    done = subprocess.run(
        [sys.executable, "-c", OUTPUT.format(SIZE), checkpoint],
        capture_output=True, text=True, check=False, cwd=checkpoint.parent,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    return [float(v) for v in done.stdout.split()]


def figures(root: Path) -> dict[str, Any]:
    """All figures of a release; the studies in `root` are continued."""
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
