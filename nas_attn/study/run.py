"""Runs one search from start to end: configuration, plan, lease, workers, supervisor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from nas_attn import environment
from nas_attn.engine import Engine, check_engine, check_outside
from nas_attn.errors import ConfigError, RecordLost, StudyChanged, UserError, room_wanted
from nas_attn.evaluate import Evaluator, check_evaluator
from nas_attn.stopping import stopping
from nas_attn.study import read_study
from nas_attn.study.config import StudyConfig
from nas_attn.study.config_sources import StudyFile, known_study, load_config
from nas_attn.study.evidence import evidence_of, records_of
from nas_attn.study.folder import RunFolder
from nas_attn.study.identity import check_unchanged
from nas_attn.study.inputs import check_present, resolve
from nas_attn.study.mirror import Mirror, forget
from nas_attn.study.observer import Observer, Silent
from nas_attn.study.plan import Plan
from nas_attn.study.prepare import prepare
from nas_attn.study.search import Search
from nas_attn.study.storage_url import sqlite_url, without_secrets
from nas_attn.study.supervisor import supervising
from nas_attn.study.trial import next_number
from nas_attn.study.view import StudyView

Read = TypeVar("Read")


def run(
    study: str | None,
    options: Mapping[str, Any],
    *,
    runs: Path,
    observer: Observer | None = None,
    evaluator: Evaluator | None = None,
    engine: Engine | None = None,
) -> StudyView:
    """Run a study, or continue it; see `nas_attn.run_search`."""
    check_outside()
    check_evaluator(evaluator)
    check_engine(engine)
    with room_wanted(study=True), stopping():
        return _run_here(study, options, runs, observer or Silent(), evaluator, engine)


def planned(
    study: str | None, options: Mapping[str, Any], *, runs: Path, tell: Callable[[str], None]
) -> tuple[Plan, StudyView]:
    """The checked inputs of a search, and the study so far. Nothing is trained or recorded.

    Args:
        study, options, runs: as for `run`.
        tell: takes the present step, and notes.
    """
    environment.prepare()
    folder, file, stored = _named(study, options, runs)
    try:
        config = load_config(file, options, stored)
    except ConfigError as error:
        raise _with_the_rest(error, folder, tell) from None
    check_present(config)
    plan, stored = _prepared(config, folder, tell)
    return plan, StudyView.of(folder.path, folder.log.read() if stored else ())


def _named(
    study: str | None, options: Mapping[str, Any], runs: Path, evaluator: Evaluator | None = None
) -> tuple[RunFolder, StudyFile, dict[str, Any] | None]:
    """The run folder of a study, its file, and its header if it has begun.

    Raises:
        UserError: there is no such study, and nothing says that it is a new one.
    """
    file = StudyFile(study, options.get("data"))
    folder = RunFolder(runs / file.name)
    stored = next(folder.log.read(), None)
    if study is not None and stored is None and evaluator is None and not file.source and options.get("data") is None:
        known_study(study, runs)  # a misspelt name must not train the demo
    return folder, file, stored


def _run_here(
    study: str | None,
    options: Mapping[str, Any],
    runs: Path,
    observer: Observer,
    evaluator: Evaluator | None,
    engine: Engine | None,
) -> StudyView:
    environment.prepare()
    folder, file, stored = _named(study, options, runs, evaluator)
    try:
        config = load_config(file, options, stored)
    except ConfigError as error:
        raise _with_the_rest(error, folder, observer.preparing) from None
    begun = {"file": without_secrets(file.content(new=stored is None)), "source": file.source}
    before = None if stored is None else stored["config"].get("earlier")
    asked = options.get("earlier") is not None or config.earlier != before
    earlier = _asked(partial(_earlier, config.earlier, folder), asked, observer)
    with supervising(folder):
        return _run(config, earlier, asked, begun, folder, observer, evaluator, engine)


def _with_the_rest(error: ConfigError, folder: RunFolder, tell: Callable[[str], None]) -> ConfigError:
    """The error, extended by all mistakes that are found when the valid part of the configuration is checked."""
    if error.readable is None:
        return error
    try:
        resolve(error.readable, tell, folder, error.problems)
    except ConfigError as more:
        return ConfigError(more.problems, where=error.where)
    return error


def _run(
    config: StudyConfig,
    earlier: StudyView | None,
    asked: bool,
    begun: dict[str, Any],
    folder: RunFolder,
    observer: Observer,
    evaluator: Evaluator | None,
    engine: Engine | None,
) -> StudyView:
    plan, stored = _prepared(config, folder, observer.preparing, evaluator)
    if stored is None and folder.log.exists():
        observer.note("No trial had ended, so the study begins anew, with what is asked for now.")
        if config.storage is not None:
            forget(config.storage.secret, config.name, next(folder.log.read()).get("id", ""))
        folder.clear()
    view = StudyView.of(folder.path, folder.log.read())
    found = None if earlier is None else _asked(partial(evidence_of, earlier, plan, view), asked, observer)
    url = config.storage.secret if config.storage else sqlite_url(folder.database)
    if stored is None and config.storage is None:
        folder.database.unlink(missing_ok=True)  # left by a study whose log was deleted
    header = stored or plan.header
    with Mirror(url, config.name, header.get("id", ""), observer.note) as mirror:
        if stored is None:
            folder.keep_modules(plan.sources)
            folder.log.append("study", **plan.header, **begun)
        if found is not None and (asked or found.trials):
            observer.note(found.words())
            for fields in records_of(found, next_number(view.trials)):
                folder.log.append("evidence", **fields)
        with engine or plan.engine(folder.workers) as used:
            return Search(plan, folder, used, mirror, observer).run()


def _prepared(
    config: StudyConfig, folder: RunFolder, tell: Callable[[str], None], evaluator: Evaluator | None = None
) -> tuple[Plan, dict[str, Any] | None]:
    """The plan, and the header of the study that it continues; None for a new study.

    A study is also new if something has changed before one of its trials had a result.

    Raises:
        StudyChanged: something has changed since.
    """
    stored = next(folder.log.read(), None)
    try:
        plan = prepare(config, folder, tell, stored, evaluator)
        if stored is not None:
            check_unchanged(stored, plan.header)
    except StudyChanged:
        begun = StudyView.of(folder.path, folder.log.read()).trials
        if stored is None or any(t.state in ("complete", "stopped") for t in begun):
            raise
        return prepare(config, folder, tell, None, evaluator), None
    return plan, stored


def _asked(read: Callable[[], Read], asked: bool, observer: Observer) -> Read | None:
    """The result of `read`; None if it fails for a study that an earlier command named, which is only said."""
    try:
        return read()
    except (UserError, RecordLost, StudyChanged) as error:
        if asked:
            raise
        observer.note(f"No further evidence of an earlier study: {error}")
        return None


def _earlier(name: str | Path | None, folder: RunFolder) -> StudyView | None:
    """The study whose trials count as evidence.

    Args:
        name: the study, or its run folder; None if there is none.
        folder: run folder of the new study.

    Raises:
        UserError: there is no such study, or it is the study itself.
        RecordLost: its record log is damaged.
    """
    if name is None:
        return None
    try:
        view = read_study(name, runs=folder.path.parent)
    except UserError as error:
        rule = "`--from` must name a study that was searched"
        raise UserError(rule, got=f"'{name}'", remedy=error.remedy) from None
    if view.folder.resolve() == folder.path.resolve():
        raise UserError(
            "a study cannot be its own evidence",
            got=f"--from {name}",
            remedy="Leave --from out: the same command continues the study.",
        )
    return view
