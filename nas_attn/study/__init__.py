"""Studies: configuration, record log, samplers and the search. Reading one needs neither torch nor optuna."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.errors import UserError
from nas_attn.study.view import Candidate, StudyView, Trial

if TYPE_CHECKING:
    from nas_attn.study.observer import Observer

__all__ = ["Candidate", "StudyView", "Trial", "load_study", "run_search"]

RUNS = Path("runs")
RUNS_RULE = "`runs` must be the folder of the run folders"


def _path(given: Any, rule: str) -> Path:
    if not isinstance(given, str | Path):
        raise UserError(rule, got=repr(given))
    return Path(given)


def load_study(name: str | Path, *, runs: str | Path = RUNS) -> StudyView:
    """The study of that name, file or folder, as of now.

    Raises:
        UserError: there is none.
    """
    folder = _path(name, "a study must be given by the name of a study, or its folder")
    if (folder / "records.jsonl").exists():
        return StudyView.read(folder)
    if folder.suffix in (".yaml", ".yml"):
        from nas_attn.study.config_sources import study_name

        folder = Path(study_name(str(name)))
    return StudyView.read(_path(runs, RUNS_RULE) / folder)


def run_search(
    study: str | Path | None = None,
    *,
    runs: str | Path = RUNS,
    observer: Observer | None = None,
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> StudyView:
    """Run a study, or continue it: `python -m nas_attn search` as a function.

    Args:
        study: a shipped study, a path to a study YAML, or a new name; the embedded default if None.
        runs: folder of the run folders.
        observer: hears of trials.
        progress: told what is being prepared.
        options: fields of `StudyConfig`, e.g. `data="data.yaml", trials=24`.

    Raises:
        UserError: something in the input breaks a rule; nothing was trained.
    """
    from nas_attn.study.run import run

    name = None if study is None else str(_path(study, "a search must be given a study's name or file, or nothing"))
    return run(name, options, runs=_path(runs, RUNS_RULE), observer=observer, progress=progress)
