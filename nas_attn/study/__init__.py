"""Studies: configuration, record log, samplers and the search. Reading one needs neither torch nor optuna."""

from __future__ import annotations

from pathlib import Path

from nas_attn.folder_names import usual
from nas_attn.study.view import Candidate, StudyView, Trial

__all__ = ["RUNS", "Candidate", "StudyView", "Trial", "read_study"]

RUNS = Path("runs")  # the default folder of all run folders


def read_study(name: str | Path, *, runs: str | Path = RUNS) -> StudyView:
    """The present state of a study, read from its records.

    Args:
        name: the name of a study, a study YAML, or a run folder.
        runs: the folder of all run folders.

    Raises:
        UserError: there is no such study.
        RecordLost: its record log is damaged.
    """
    folder = Path(name)
    if (folder / "records.jsonl").exists():
        return StudyView.read(folder)
    if folder.suffix in (".yaml", ".yml"):
        from nas_attn.study.config_sources import study_name

        folder = Path(study_name(str(name)))
    return StudyView.read(Path(runs) / usual(str(folder)))
