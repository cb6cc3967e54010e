"""TensorBoard: a folder of event files for each trial, below a folder for each architecture.

The files lie in `tensorboard/` of the run folder. A trial has its folder if and only if it was written whole.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from nas_attn.environment import shell_word
from nas_attn.folder_names import folder_name
from nas_attn.study.view import StudyView
from nas_attn.tracking.runs import STUDY, Run, shortened
from nas_attn.tracking.tracker import Tracker

NEW = ".new"  # the folder in which a run is written, before it gets its name
LONGEST = 60  # characters of a folder's name


class ToTensorBoard(Tracker):
    """Writes event files with torch's own writer, which needs the package tensorboard."""

    title = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = folder / "tensorboard"

    def connect(self, view: StudyView) -> set[str]:
        shutil.rmtree(self.root / NEW, ignore_errors=True)
        written = {p.name for p in self.root.glob("*/trial-*")}
        return written | {p.name.rpartition(".")[2] for p in (self.root / STUDY).glob("events.*")}

    def place(self) -> str:
        return f"`tensorboard --logdir {shell_word(self.root)}` shows the trials"

    def write(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        made = self.root / NEW
        shutil.rmtree(made, ignore_errors=True)
        with SummaryWriter(str(made), filename_suffix=f".{run.key}") as writer:
            last = run.rows[-1][0] if run.rows else 0
            for step, values in (*run.rows, (last, run.figures)):
                for name, value in values.items():
                    writer.add_scalar(name, value, step)
            for name, text in {"labels": _listed({**run.settings, **run.labels}), **run.texts}.items():
                if not name.endswith(".html"):  # it shows Markdown only
                    writer.add_text(name, f"```yaml\n{text}```" if name.endswith(".yaml") else text, last)
            if not run.trials:
                scores = dict.fromkeys([*(run.rows[-1][1] if run.rows else ()), *run.figures], 0.0)
                for summary in hparams(run.settings, scores):  # the table of its page HPARAMS
                    writer.file_writer.add_summary(summary)
        place = self.root / (STUDY if run.trials else f"{shortened(folder_name(run.group), LONGEST)}/{run.id}")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not run.trials:
            made.rename(place)
            return
        place.mkdir(exist_ok=True)
        for file in made.iterdir():
            file.rename(place / file.name)
        made.rmdir()


def _listed(values: dict[str, Any]) -> str:
    """The values as a Markdown table."""
    return "\n".join(["| | |", "|---|---|", *(f"| {k} | {str(v).replace('|', '/')} |" for k, v in values.items())])
