"""`plan_search`: the trials, the hours, the disk and the noise of a search, before it is run."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas_attn.api.keywords import with_keywords
from nas_attn.api.options import SearchOptions
from nas_attn.lines import many
from nas_attn.study import RUNS
from nas_attn.study.config import StudyConfig
from nas_attn.study.trial import Displayed
from nas_attn.study.trial_settings import trained_with

if TYPE_CHECKING:
    from typing import Unpack

    from nas_attn.analysis.foresight import Foresight
    from nas_attn.study.plan import Plan
    from nas_attn.study.view import StudyView


@dataclass(frozen=True, repr=False)
class SearchPlan(Displayed):
    """A search before it is run.

    Attributes:
        title: study, base model, data, epochs and image size, in words.
        foresight: trials, and what they can show.
        seconds: of a trial.
        source: the origin of `seconds`, in words.
        left: number of trials that are still to be trained.
        workers: number of trials that run at the same time.
        hours: wall-clock hours of the trials that are left; less if `--hours` ends the search before.
        disk: gigabytes of decoded images, at most.
        memory: gigabytes of a worker; None if the system does not tell.
    """

    title: str
    foresight: Foresight
    seconds: float
    source: str
    left: int
    workers: int
    hours: float
    disk: float
    memory: float | None

    def __repr__(self) -> str:
        ends = datetime.now() + timedelta(hours=self.hours)
        when = f"{ends:%H:%M}" if self.hours < 12 else f"{ends:%Y-%m-%d %H:%M}"
        each = "" if self.memory is None else f"; about {self.memory:.1f} GB of memory for each worker"
        workers = many(self.workers, "worker")
        return (
            f"{self.title}\n{self.foresight.words()}\nAbout {self.seconds:.0f} s for a trial ({self.source}): "
            f"{_duration(self.hours)} for {many(self.left, 'trial')} on {workers}, until about {when}. "
            f"At most {self.disk:.2f} GB of decoded images{each}."
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields as they are written to JSON."""
        return {**asdict(self), "foresight": self.foresight.as_dict()}


@with_keywords(SearchOptions, StudyConfig)
def plan_search(
    study: str | Path | None = None, *, runs: str | Path = RUNS, progress: bool = True, **options: Unpack[SearchOptions]
) -> SearchPlan:
    """Check a search and foretell it. Nothing is trained, and nothing is written into the run folder.

    This function does the same as `python -m nas_attn search --plan`. The seconds of a trial come from the trials so
    far, or else from a few training steps of the base on random images.

    Args:
        study: as for `run_search`.
        runs: the folder of all run folders.
        progress: show the present step.
        options: fields of `StudyConfig`, as for `run_search`.

    Raises:
        UserError: the input breaks a rule.
    """
    from nas_attn.api.progress import Reporter, shown
    from nas_attn.study.observer import Observer, Silent
    from nas_attn.study.run import planned

    make: Callable[[], Observer] = Reporter if progress else Silent
    with shown(None, make) as heard:
        plan, view = planned(None if study is None else str(study), options, runs=Path(runs), tell=heard.preparing)
        heard.preparing("measuring a few steps")
        return search_plan(plan, view)


def search_plan(plan: Plan, view: StudyView) -> SearchPlan:
    """The plan of a search.

    Args:
        plan: its inputs, checked.
        view: the study so far; one without trials if it is new.
    """
    from nas_attn.analysis.foresight import foresight

    config, data = plan.config, plan.header["data"]
    took = [t.evaluation.seconds for t in view.trials if t.evaluation and t.group is None and t.state == "complete"]
    seconds, memory = (statistics.median(took), None) if took else _measured(plan)
    left, workers = max(0, config.trials - view.counted), len(plan.devices)
    bases = 1 if config.start == "base" and not view.trials else 0
    hours = (-(-left // workers) + bases) * seconds / 3600
    images = data["train"] * config.fraction + data["val"] + (data["test"] if config.test else 0)
    trained = trained_with(
        f"{many(config.epochs, 'epoch')} at {config.imgsz} px from {config.start}", plan.header["config"]
    )
    return SearchPlan(
        f"study {config.name}: {plan.header['base']}, {plan.space.size:,} architectures, {trained}, on "
        f"{data['train']} + {data['val']} images",
        foresight(config.model_dump(), config.trials, view if view.trials else None),
        seconds,
        "the median so far" if took else "from a few steps of the base",
        left,
        workers,
        hours if config.hours is None else min(hours, config.hours),
        images * 3 * config.imgsz**2 / 1e9,
        memory,
    )


def _measured(plan: Plan) -> tuple[float, float | None]:
    """The seconds of the trial of a candidate, and the gigabytes of its process."""
    from nas_attn.detector.proxy.step_time import step_time

    config, data, evaluator = plan.config, plan.header["data"], plan.evaluator
    _, model, _ = evaluator.loaded(plan.fidelity, [])
    found = step_time(model.build(), config.batch, config.imgsz, evaluator.device, plan.threads)
    scored = data["val"] + (data["test"] if evaluator.test else 0)
    seconds = found.of_trial(config.epochs, data["train"] * config.fraction, scored)
    base = plan.table.base.gmacs
    # a candidate has, on average, the mean gene of each slot
    means = [statistics.fmean(plan.table.cell(s.slot.name, g).gmacs for g in s.genes) for s in plan.space.slots]
    return seconds * (base + sum(means)) / base, found.gigabytes


def _duration(hours: float) -> str:
    minutes = round(hours * 60)
    return f"{minutes} minutes" if minutes < 120 else f"{hours:.1f} hours"
