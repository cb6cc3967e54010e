"""One search from command to result: configuration, plan, lease, workers, supervisor."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas_attn.detector import environment
from nas_attn.engine import LocalEngine
from nas_attn.errors import ConfigError, UserError
from nas_attn.study.config import load_config, study_name
from nas_attn.study.folder import Lease, RunFolder
from nas_attn.study.mirror import Mirror
from nas_attn.study.prepare import check_unchanged, prepare
from nas_attn.study.search import Observer, Search
from nas_attn.study.view import StudyView, Trial


class Silent:
    """An observer that tells nobody."""

    def opened(self, view: StudyView, trials: int) -> None:
        """Nothing."""

    def started(self, view: StudyView, trial: Trial) -> None:
        """Nothing."""

    def finished(self, view: StudyView, trial: Trial) -> None:
        """Nothing."""

    def slots(self, view: StudyView) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def run(
    study: str | None,
    options: Mapping[str, Any],
    *,
    runs: Path,
    observer: Observer | None = None,
    progress: Callable[[str], None] | None = None,
) -> StudyView:
    """Run a study, or continue it; see `nas_attn.run_search`."""
    environment.prepare()
    name = study_name(study, options.get("data"))
    folder = RunFolder(runs / name)
    stored = next(folder.log.read(), None)
    config = load_config(study, options, stored["config"] if stored else None)
    if config.name != name:
        folder = RunFolder(runs / config.name)
    fresh = not folder.path.exists()
    folder.create()
    try:
        with Lease(folder):
            return _run(config, folder, observer or Silent(), progress or (lambda text: None))
    finally:
        if fresh and not folder.log.exists():
            _remove_empty(folder)  # wrong input leaves nothing behind


def _run(config: Any, folder: RunFolder, observer: Observer, progress: Callable[[str], None]) -> StudyView:
    folder.log.repair()
    stored = next(folder.log.read(), None)
    problems: list[UserError] = []
    import torch

    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)  # the cores are the workers'; threads that wait for one another take them away
        try:
            url = config.storage or f"sqlite:///{folder.database.resolve()}"
            mirror = stack.enter_context(Mirror(url, config.name))
        except UserError as error:
            problems.append(error)
        try:
            plan = prepare(config, folder, progress)
        except ConfigError as error:
            problems += error.problems
        if problems:
            raise ConfigError(problems, where=f"study '{config.name}'")
        if stored is None:
            folder.log.append("study", **plan.header)
        else:
            check_unchanged(stored, plan.header)
        engine = stack.enter_context(LocalEngine(plan.devices, threads=plan.threads, logs=folder.workers))
        return Search(plan, folder, engine, mirror, observer).run()


def _remove_empty(folder: RunFolder) -> None:
    for path in (folder.path / "lease", folder.database):
        path.unlink(missing_ok=True)
    if not any(folder.path.iterdir()):
        folder.path.rmdir()
