"""Studies: configuration, record log, samplers and the search. Reading one needs neither torch nor optuna."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.study.view import Candidate, StudyView, Trial

if TYPE_CHECKING:
    from nas_attn.study.observer import Observer

__all__ = ["Candidate", "StudyView", "Trial", "load_study", "run_search"]

RUNS = Path("runs")


def load_study(name: str | Path, *, runs: Path = RUNS) -> StudyView:
    """The study of that name (or in that folder), as of now.

    Raises:
        UserError: there is none.
    """
    folder = Path(name)
    return StudyView.read(folder if (folder / "records.jsonl").exists() else runs / str(name))


def run_search(
    study: str | None = None,
    *,
    runs: Path = RUNS,
    observer: Observer | None = None,
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> StudyView:
    """Run a study, or continue it: `python -m nas_attn search` as a function.

    Args:
        study: a shipped study, a path to a study YAML, or a new name; the embedded default where None.
        runs: folder of the run folders.
        observer: whom to tell about trials.
        progress: told what is being prepared.
        options: fields of `StudyConfig`, e.g. `data="data.yaml", trials=24`.

    Raises:
        UserError: something in the input breaks a rule; nothing was trained.
    """
    from nas_attn.study.run import run

    return run(study, options, runs=runs, observer=observer, progress=progress)
