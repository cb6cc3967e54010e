"""A read-only view of an ablation, built from its record log. It does not need torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nas_attn.ablation.decide import Decision, Values, decide, wanted
from nas_attn.ablation.design import ELSEWHERE, Arm, Contrast, Design
from nas_attn.ablation.looks import Looks
from nas_attn.ablation.plan_record import read_plan
from nas_attn.errors import UserError
from nas_attn.evaluate.score import Score
from nas_attn.study.records import RecordLog
from nas_attn.study.slot_states import LIVE, learned, slot_state
from nas_attn.study.trial import Trial, numbered, paired
from nas_attn.study.view import TRIAL_KINDS, StudyView, folded

FOLDER = "ablations"  # inside a run folder; it has one folder for each ablation
DEFAULT_NAME = "ablation"
EARLIER = (
    "difference_before"  # key in the recorded settings: former values of `difference`, changed after first results
)
FRESH = "fresh"  # key in the recorded settings: False if some of its seeds had been used before
LIVENESS_SEEDS = 3  # number of base trials; the liveness of a slot is the mean over them


@dataclass(frozen=True)
class AblationView:
    """An ablation with all its results so far.

    Its record log is the log of a study plus a `design` record, so a study reader can read its folder too.

    Attributes:
        folder: the ablation's own folder.
        header: the `study` record, with `ablation`: `name`, `full` (the full architecture), `seed` (the first seed).
        settings: the options of the last command: `difference`, `dead_slots`, `kinds`, `hours`.
        design: the arms and the contrasts.
        looks: the numbers of seeds at which contrasts are tested.
        views: base model (None for the ablation's own) -> its trials and slots.
        trials: all trials, in order of their numbers.
    """

    folder: Path
    header: dict[str, Any]
    settings: dict[str, Any]
    design: Design
    looks: Looks
    views: Mapping[str | None, StudyView]
    trials: tuple[Trial, ...]

    @classmethod
    def read(cls, folder: Path) -> AblationView:
        """The current state of the ablation in a folder; safe during a run.

        Raises:
            UserError: the folder holds no ablation.
        """
        view = cls.of(folder, RecordLog(folder).read())
        if not view.planned:
            rule, remedy = "a folder must hold an ablation", "Run `python -m nas_attn ablate` first."
            raise UserError(rule, got=f"'{folder}'", remedy=remedy)
        return view

    @classmethod
    def of(cls, folder: Path, records: Iterable[dict[str, Any]]) -> AblationView:
        """The ablation in these records."""
        study = StudyView.empty(folder)
        empty = cls(folder, study.header, {}, Design((), ()), Looks.fixed(1), {None: study}, ())
        view, trials = folded(empty, records)
        own: dict[str | None, list[Trial]] = {}
        for trial in trials:
            own.setdefault(trial.model, []).append(trial)
        views = {m: replace(view._on(m), trials=paired(own.get(m, ()))) for m in dict.fromkeys((*view.views, *own))}
        return view._with_views(views)

    def grown(self, record: Mapping[str, Any]) -> AblationView:
        """The view after one more record; equal to a view that reads all records again."""
        kind = record["kind"]
        if kind in TRIAL_KINDS:
            known = numbered(self.trials, record["number"])
            model = record.get("model") if known is None else known.model
            if (grown := self._on(model).grown(record)) is self._on(model):
                return self
            return self._with_views({**self.views, model: grown})
        if kind == "design":
            design, looks = read_plan(record)
            views = {m: self._on(m) for m in dict.fromkeys((None, *design.models, *self.views))}
            return replace(self, design=design, looks=looks, settings=record["settings"])._with_views(views)
        own = {record["model"]} if record.get("model") else set()
        views = {m: self._on(m).grown(record) for m in (*self.views, *(own - self.views.keys()))}
        return replace(self, header=views[None].header)._with_views(views)

    def _on(self, model: str | None) -> StudyView:
        """The trials and slots of a scale."""
        return self.views.get(model) or StudyView(self.folder, self.views[None].header, {}, (), model)

    def _with_views(self, views: Mapping[str | None, StudyView]) -> AblationView:
        # scales that left the design keep their trials, because a trial number is unique over all scales
        trials = sorted((t for v in views.values() for t in v.trials), key=lambda t: t.number)
        return replace(self, views=views, trials=tuple(trials))

    @property
    def score(self) -> Score:
        """The score that the ablation compares."""
        return self.views[None].score

    @property
    def planned(self) -> bool:
        """True if the log holds a design, so that it is the log of an ablation."""
        return bool(self.design.arms)

    @property
    def name(self) -> str:
        """The ablation's own name."""
        return str(self.header["ablation"]["name"])

    @property
    def fresh(self) -> bool:
        """True if no search and no other ablation had used its seeds when they were chosen."""
        return bool(self.settings.get(FRESH, True))

    def seed(self, arm: Arm, index: int) -> int:
        """The seed of an arm's trial: equal for all arms, unless an arm has an offset."""
        return int(self.header["ablation"]["seed"]) + index + arm.offset

    @cached_property
    def _found(self) -> dict[tuple[Any, ...], Trial]:
        return {(t.model, t.architecture, t.seed): t for t in self.trials}

    def trial(self, arm: Arm, index: int) -> Trial | None:
        """The trial of an arm with one of its seeds; None before it has started."""
        return self._found.get((arm.model, arm.architecture, self.seed(arm, index)))

    def place(self, trial: Trial) -> tuple[Arm, int] | None:
        """The arm of a trial and the index of its seed; None if the design no longer has the arm."""
        for arm in self.design.arms:
            index = trial.seed - self.seed(arm, 0)
            if (arm.model, arm.architecture) == (trial.model, trial.architecture) and 0 <= index < ELSEWHERE:
                return arm, index
        return None

    @cached_property
    def values(self) -> Values:
        """The score on val of each ended trial; None if it failed or is not comparable."""
        return self._values("val")

    @cached_property
    def test_values(self) -> Values:
        """The score on the test split of each ended trial; None also if the data has no test split."""
        return self._values("test")

    def _values(self, split: str) -> dict[tuple[str, int], float | None]:
        found: dict[tuple[str, int], float | None] = {}
        for arm in self.design.arms:
            for index in range(self.looks.most):
                trial = self.trial(arm, index)
                if trial is not None and trial.state in ("complete", "failed"):
                    score = trial.test_score if split == "test" else trial.score
                    found[arm.name, index] = score if trial.usable else None
        return found

    def dead_slots(self, model: str | None = None) -> tuple[str, ...]:
        """The slots of a scale that are not live; empty before liveness was measured."""
        states = self.states(self.views[model].slots.get("drop", ()), model)
        return tuple(slot for state, slots in states.items() if state != LIVE for slot in slots)

    def states(self, slots: Iterable[str], model: str | None = None) -> dict[str, list[str]]:
        """State (`live`, `dead`, `undertrained`) -> the given slots in it on a scale, without unmeasured slots.

        Empty if the base scores too little to measure liveness.
        """
        record = self.views[model].slots
        found: dict[str, list[str]] = {}
        for slot in slots if self.trained(model) else ():
            if (lost := record.get("drop", {}).get(slot)) is not None:
                found.setdefault(slot_state(lost, record), []).append(slot)
        return found

    def trained(self, model: str | None) -> bool:
        """True if the liveness of a scale is measured and its base scores enough to rely on it."""
        record = self.views[model].slots
        return learned(record) if record else False

    def measured(self, model: str | None) -> bool:
        """True if the liveness of a scale's slots is measured."""
        return bool(self.views[model].slots)

    def bases(self, model: str | None) -> list[Trial]:
        """The started base trials on which liveness is measured."""
        base = self.design.base_of(model)
        return [t for i in range(LIVENESS_SEEDS) if (t := self.trial(base, i)) is not None]

    def bases_ended(self, model: str | None) -> bool:
        """True if all base trials have ended on which the liveness of a scale is measured."""
        return all((self.design.base_of(model).name, i) in self.values for i in self.liveness_seeds)

    @property
    def liveness_seeds(self) -> range:
        """Indices of the seeds whose base trials measure liveness."""
        return range(min(LIVENESS_SEEDS, self.looks.seeds[0]))

    def base_failed(self, model: str | None) -> bool:
        """True if the base of a larger scale failed with all its first seeds; then no arm of that scale is trained."""
        ended = model is not None and not self.measured(model) and self.bases_ended(model)
        return ended and not any(t.evaluation and t.evaluation.liveness for t in self.bases(model))

    @cached_property
    def in_dead_slots(self) -> tuple[Contrast, ...]:
        """Contrasts between arms that differ only in dead slots."""
        return tuple(c for c in self.design.contrasts if self.dead_on(c))

    def dead_on(self, contrast: Contrast) -> tuple[str | None, ...]:
        """The scales on which a contrast cannot show a difference, because its slots are dead there."""
        models = dict.fromkeys(self.design.arm(name).model for name in contrast.arms)
        return tuple(m for m in models if m in self.views and contrast.differs_only_in_dead_slots(self.dead_slots(m)))

    @property
    def skipped(self) -> tuple[Contrast, ...]:
        """Contrasts that are left out because they differ only in dead slots; none if `dead_slots` is `keep`."""
        return () if self.settings.get("dead_slots") == "keep" else self.in_dead_slots

    @cached_property
    def decisions(self) -> list[Decision]:
        """The current decision on each contrast."""
        difference = float(self.settings["difference"])
        models = {m for m in self.design.models if self.base_failed(m)}
        failed = [c for c in self.design.contrasts if models & {self.design.arm(name).model for name in c.arms}]
        return decide(
            self.design, self.looks, self.values, dead=self.skipped, base_failed=failed, difference=difference
        )

    @cached_property
    def left(self) -> tuple[tuple[str, int], ...]:
        """(arm, index of the seed) of each trial that the next looks still need."""
        return tuple(wanted(self.design, self.looks, self.decisions, self.values))

    @property
    def partial(self) -> bool:
        """True until all planned trials are trained."""
        return bool(self.left)


def load_ablations(folder: Path) -> list[AblationView]:
    """The ablations in a run folder, or the one in its own folder; the oldest first."""
    folder = Path(folder)
    folders = [p.parent for p in (folder / FOLDER).glob("*/records.jsonl")]
    if (folder / "records.jsonl").exists():
        folders.append(folder)
    found = [view for f in folders if (view := AblationView.of(f, RecordLog(f).read())).planned]
    return sorted(found, key=lambda a: (a.header.get("begun", ""), a.name))
