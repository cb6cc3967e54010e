"""The two ways to a study: run it, or read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.api.keywords import with_keywords
from nas_attn.api.options import SearchOptions
from nas_attn.api.study import Study
from nas_attn.errors import UserError
from nas_attn.study import RUNS, read_study
from nas_attn.study.config import StudyConfig

if TYPE_CHECKING:
    from typing import Unpack

    from nas_attn.engine import Engine
    from nas_attn.evaluate import Evaluator
    from nas_attn.study.observer import Observer


@with_keywords(SearchOptions, StudyConfig)
def run_search(
    study: str | Path | None = None,
    *,
    runs: str | Path = RUNS,
    progress: bool = True,
    observer: Observer | None = None,
    evaluator: Evaluator | None = None,
    engine: Engine | None = None,
    **options: Unpack[SearchOptions],
) -> Study:
    """Run a study, or continue it. It is `python -m nas_attn search` as a function.

    Call it again with more `trials` to extend the study. Ctrl-C stops it; the same call continues.

    Args:
        study: a shipped study, a path to a study YAML, or a new name; the embedded demo if None.
        runs: folder of the run folders.
        progress: show a line for each trial, and a bar.
        observer: hears what happens, in place of the lines and the bar.
        evaluator: scores architectures in place of proxy runs. A study is continued with the same one.
        engine: runs the trials, in place of worker processes on this machine.
        options: fields of `StudyConfig`, e.g. `data="data.yaml", trials=24`; None counts as not given.

    Raises:
        UserError: something in the input breaks a rule; nothing was trained.
        EvaluationFailed: the base itself cannot be trained.
        StudyLocked: another process works on the study.
    """
    from nas_attn.api.progress import Reporter, shown
    from nas_attn.study.observer import Silent
    from nas_attn.study.run import run

    rule = "a search must be given a study's name or file, or nothing"
    name = None if study is None else str(_path(study, rule))
    folder = _path(runs, "`runs` must be the folder of the run folders")
    with shown(observer, Reporter if progress else Silent) as heard:
        return Study(run(name, options, runs=folder, observer=heard, evaluator=evaluator, engine=engine))


def load_study(name: str | Path, *, runs: str | Path = RUNS) -> Study:
    """The study of that name, file or run folder as of now; safe while its search is running.

    Args:
        name: its name, the path of its YAML, or its run folder.
        runs: folder of the run folders.

    Raises:
        UserError: there is none.
    """
    path = _path(name, "a study must be given by the name of a study, or its folder")
    return Study(read_study(path, runs=_path(runs, "`runs` must be the folder of the run folders")))


def _path(given: Any, rule: str) -> Path:
    if not isinstance(given, str | Path):
        raise UserError(rule, got=repr(given))
    return Path(given)
