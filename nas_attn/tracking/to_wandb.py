"""Weights & Biases: a run for each trial, grouped by architecture; online, or offline with `WANDB_MODE=offline`.

The run folder remembers which runs were written, because runs that are offline cannot be asked for. Each run has a
fixed id, so that a run that was written in part is completed, and not written a second time.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nas_attn.atomic_files import write_text_atomic
from nas_attn.study.view import StudyView
from nas_attn.tracking.runs import Run, shortened
from nas_attn.tracking.tracker import NotReady, Tracker

WRITTEN = "wandb.json"  # file in the run folder: project -> keys of the runs there
LONGEST = 128  # characters of a group or a name
BOUNDS: dict[str, Any] = {  # it would try for days; here the next trial tries again
    "init_timeout": 20.0,
    "finish_timeout": 30.0,
    "finish_timeout_raises": True,
    **{f"x_{kind}_retry_max": 1 for kind in ("graphql", "file_stream", "file_transfer")},
    **{f"x_{kind}_timeout_seconds": 10.0 for kind in ("graphql", "file_stream", "file_transfer")},
}
QUIET: dict[str, Any] = {  # the trial ran in another process, maybe on another machine
    "silent": True,
    "console": "off",
    "disable_git": True,
    "save_code": False,
    "x_disable_stats": True,
    "x_disable_machine_info": True,
    "x_save_requirements": False,
}


class ToWandb(Tracker):
    """Writes runs with the W&B client; a run that the user's own code has open stays as it is."""

    title = "W&B"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._study = self._project = self._entity = self._where = self._mode = ""
        self._written: dict[str, list[str]] = {}

    def connect(self, view: StudyView) -> set[str]:
        import wandb

        settings = wandb.setup().settings
        self._mode = os.environ.get("WANDB_MODE") or settings.mode
        if self._mode == "disabled":
            raise NotReady("it is switched off by WANDB_MODE=disabled")
        if not self._offline and not self._key(settings):
            raise NotReady("no API key: run `wandb login`, or set WANDB_API_KEY, or WANDB_MODE=offline")
        self._study = str(view.header.get("id") or view.name)
        self._project = os.environ.get("WANDB_PROJECT") or view.name
        self._entity = os.environ.get("WANDB_ENTITY") or settings.entity or ""
        host = urlsplit(settings.base_url).hostname or ""
        self._where = "/".join(filter(None, (host, self._entity, self._project)))
        try:
            self._written = json.loads((self.folder / WRITTEN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            self._written = {}
        return set(self._written.get(self._where, ()))

    @staticmethod
    def _key(settings: Any) -> bool:
        """True if W&B finds a key; otherwise it would ask for one at the terminal."""
        from requests.utils import get_netrc_auth

        named = os.environ.get("WANDB_API_KEY") or settings.api_key or settings.identity_token_file
        return bool(named or get_netrc_auth(settings.base_url))

    @property
    def _offline(self) -> bool:
        return self._mode in ("offline", "dryrun")

    def place(self) -> str:
        if self._offline:
            return f"project {self._project}, offline; `wandb sync` brings the files in {self.folder / 'wandb'} online"
        return f"project {self._project} at {self._where}"

    def write(self, run: Run) -> None:
        import wandb

        known = type(wandb.setup().settings).model_fields  # of this version of W&B
        made = wandb.init(
            entity=self._entity or None,
            project=self._project,
            id=f"{self._study}-{run.id}",
            name=shortened(run.name, LONGEST),
            group=shortened(run.group, LONGEST) or None,
            job_type="study" if run.trials else "trial",
            config=run.settings,
            dir=str(self.folder),
            mode="offline" if self._offline else "online",
            reinit="create_new",
            resume=None if self._offline else "allow",  # a run of a fixed id goes on in any case offline
            settings=wandb.Settings(**{k: v for k, v in {**BOUNDS, **QUIET}.items() if k in known}),
        )
        try:
            for step, values in run.rows:
                made.log(values, step=step)
            made.summary.update({**run.figures, **run.labels})
            for name, text in run.texts.items():
                file = Path(made.dir) / name
                file.write_text(text, encoding="utf-8")
                made.save(str(file), base_path=made.dir, policy="now")
        finally:
            made.finish(exit_code=int(run.failed))
        self._written.setdefault(self._where, []).append(run.key)
        write_text_atomic(self.folder / WRITTEN, json.dumps(self._written, indent=1))
