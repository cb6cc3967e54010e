"""`run_search` and `load_study`: run a study, or read one."""

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


RULE = "`runs` must be the path of the folder of all run folders"


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
    """Run a study, or continue it.

    This function does the same as `python -m nas_attn search`. Call it again with more `trials` to extend the study.
    Ctrl-C stops the search, and the same call continues it.

    Args:
        study: the name of a shipped study, the path of a study YAML, or a new name; None for the embedded demo.
        runs: the folder of all run folders.
        progress: show a line for each trial, and a bar. It has no effect if an observer is given.
        observer: is told about each event; None means that the lines and the bar are shown.
        evaluator: scores architectures; None means proxy runs. A continued study needs the same evaluator.
        engine: runs the trials; None means worker processes on this machine.
        options: fields of `StudyConfig`, e.g. `data="data.yaml", trials=24`; None counts as not given.

    Returns:
        The study with all its trials.

    Raises:
        UserError: the input breaks a rule, and nothing was trained; or the limits on cost leave nothing to train.
        EvaluationFailed: the base cannot be trained.
        MissingPart: the package of a tracker in `track` is not installed.
        StudyLocked: another process works on the study.
        StorageFull: the disk is full; the same call continues the study.
    """
    from nas_attn.api.progress import Reporter, shown
    from nas_attn.study.observer import Silent
    from nas_attn.study.run import run
    from nas_attn.tracking.observer import tracked

    rule = "`study` must be the name of a study, or the path of a study YAML"
    name = None if study is None else str(_path(study, rule))
    folder = _path(runs, RULE)
    with shown(observer, Reporter if progress else Silent) as heard:
        view = run(name, options, runs=folder, observer=heard, evaluator=evaluator, engine=engine, hearing=tracked)
        return Study(view)


def load_study(name: str | Path, *, score: str | None = None, runs: str | Path = RUNS) -> Study:
    """The present state of a study, read from its records. Its search may be running.

    Args:
        name: the name of a study, the path of a study YAML, or a run folder.
        score: `map50_95`, `map50`, `recall` or `class:NAME`: read the study by another score than that of its search,
            which did not look for it. None for its own.
        runs: the folder of all run folders.

    Raises:
        UserError: there is no such study, or its runs did not record the score.
        RecordLost: its record log is damaged.
    """
    path = _path(name, "`name` must be the name of a study, the path of a study YAML, or a run folder")
    return Study(read_study(path, runs=_path(runs, RULE)).read_by(score))


def _path(given: Any, rule: str) -> Path:
    if not isinstance(given, str | Path):
        raise UserError(rule, got=repr(given))
    return Path(given)
