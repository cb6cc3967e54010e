"""Studies: configuration, record log, samplers and the search. Reading one needs neither torch nor optuna."""

from __future__ import annotations

from pathlib import Path

from nas_attn.study.view import Candidate, StudyView, Trial

__all__ = ["RUNS", "Candidate", "StudyView", "Trial", "read_study"]

RUNS = Path("runs")  # the folder of the run folders, if no other is named


def read_study(name: str | Path, *, runs: str | Path = RUNS) -> StudyView:
    """The records of the study of that name, file or folder, as of now.

    Raises:
        UserError: there is none.
    """
    folder = Path(name)
    if (folder / "records.jsonl").exists():
        return StudyView.read(folder)
    if folder.suffix in (".yaml", ".yml"):
        from nas_attn.study.config_sources import study_name

        folder = Path(study_name(str(name)))
    return StudyView.read(Path(runs) / folder)
