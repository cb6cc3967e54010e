"""A study as its readers see it: built from the record log, never written back. Needs neither torch nor optuna."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from nas_attn.errors import UserError
from nas_attn.space import Architecture
from nas_attn.study.records import Record, RecordLog
from nas_attn.study.storage_url import without_secrets
from nas_attn.study.trial import Candidate, Trial, candidate_of, numbered, paired, place, told, with_delta

if TYPE_CHECKING:
    import pandas

__all__ = ["Candidate", "StudyView", "Trial"]
TRIAL_KINDS = ("started", "refused", "finished")


class Growing(Protocol):
    """A view that a record makes into the next."""

    def grown(self, record: Mapping[str, Any]) -> Self:
        """The view after one more record."""
        ...


V = TypeVar("V", bound=Growing)


@dataclass(frozen=True)
class StudyView:
    """Everything a reader may know of a study; a value that never changes. A supervisor's grows by `grown`.

    Attributes:
        folder: the run folder.
        header: the `study` record: `name`, `config`, `base`, `slots`, `base_cost`, `fingerprints`, `version`.
        slots: the `slots` record: `intact`, `zeroed` (slot -> mAP50-95), `drop` (slot -> mAP50-95 lost), `live`,
            `searched`, `trials` (base trials measured); empty before the base is trained.
        trials: in order of their numbers, which may have gaps.
        model: another base model of an ablation, whose trials are meant in place of those of the study's own.
    """

    folder: Path
    header: Record
    slots: dict[str, Any]
    trials: tuple[Trial, ...]
    model: str | None = None

    @classmethod
    def read(cls, folder: Path) -> StudyView:
        """The study in a run folder as of now; safe while a search is writing.

        Raises:
            UserError: the folder holds no study.
            RecordLost: its record log is damaged.
        """
        return cls.whole(folder, RecordLog(folder).read())

    @classmethod
    def whole(cls, folder: Path, records: Iterable[dict[str, Any]]) -> StudyView:
        """The study that all records of a folder's log tell.

        Raises:
            UserError: they tell of none.
        """
        view = cls.of(folder, records)
        if not view.header:
            raise UserError(
                "a run folder must hold a study",
                got=f"'{folder}'",
                remedy="Run `python -m nas_attn search` first, or name another study.",
            )
        return view

    @classmethod
    def empty(cls, folder: Path, model: str | None = None) -> StudyView:
        """The study before its first record."""
        return cls(folder, Record({}, f"the record log in '{folder}'"), {}, (), model)

    @classmethod
    def of(cls, folder: Path, records: Iterable[dict[str, Any]], model: str | None = None) -> StudyView:
        """The study that these records tell.

        Args:
            folder: the run folder.
            records: the record log.
            model: another base model of an ablation, whose trials are meant in place of those of the study's own.
        """
        view, trials = folded(cls.empty(folder, model), records)
        return replace(view, trials=paired(t for t in trials if t.model == model))

    def grown(self, record: Mapping[str, Any]) -> StudyView:
        """The view after one more record of its log: the same as all records read anew, in a time that hardly grows."""
        kind = record["kind"]
        if kind in TRIAL_KINDS:
            return self._with_trial(record)
        if kind == "study" and not self.header:
            header = record if isinstance(record, Record) else self.header.changed(record)
            return self._changed(header=header.changed(without_secrets(header)))
        if kind == "target":
            return self._changed(header=self.header.changed({"target": record["trials"]}))
        if kind == "model" and record["model"] == self.model:
            return self._changed(header=self.header.changed(record["header"]))
        if kind == "slots" and record.get("model") == self.model:
            return self._changed(slots=record)
        return self

    def _with_trial(self, record: Mapping[str, Any]) -> StudyView:
        at = place(self.trials, record["number"])
        known = numbered(self.trials, record["number"])
        trial = told(known, record)
        if trial is None or trial is known or trial.model != self.model:
            return self
        after = at if known is None else at + 1
        if trial.architecture.is_base and trial.usable:
            return replace(self, trials=paired((*self.trials[:at], trial, *self.trials[after:])))
        trial = with_delta(trial, self._base.get(trial.seed))
        return self._changed(trials=(*self.trials[:at], trial, *self.trials[after:]))

    def _changed(self, **fields: Any) -> StudyView:
        """A copy that knows the base's scores already, as no base trial has ended."""
        view = replace(self, **fields)
        view.__dict__["_base"] = self._base
        return view

    @cached_property
    def _base(self) -> dict[int, float | None]:
        """Seed -> mAP50-95 of the base."""
        return {t.seed: t.map50_95 for t in self.trials if t.architecture.is_base and t.usable}

    @property
    def name(self) -> str:
        """Name of the study."""
        return str(self.header["name"])

    @property
    def target(self) -> int:
        """Number of trials that ends the study, as last asked for."""
        return int(self.header.get("target", self.header["config"]["trials"]))

    @property
    def counted(self) -> int:
        """Trials that count toward `--trials`: all but refusals."""
        return sum(t.state != "refused" for t in self.trials)

    def trial(self, number: int) -> Trial:
        """The trial of that number.

        Raises:
            UserError: there is none.
        """
        if (found := numbered(self.trials, number)) is None:
            raise UserError("a trial must exist", got=f"trial:{number}", where=str(self.folder))
        return found

    def frame(self) -> pandas.DataFrame:
        """One row a trial, units in column names."""
        from nas_attn.study.frame import frame

        return frame(self.trials)

    def candidates(self) -> list[Candidate]:
        """Architectures with at least one trained trial, in order of their first."""
        groups: dict[Architecture, list[Trial]] = {}
        for t in self.trials:
            if t.state != "refused":
                groups.setdefault(t.architecture, []).append(t)
        reference = self.reference  # it goes through all trials
        return [candidate_of(a, ts, reference) for a, ts in groups.items()]

    @cached_property
    def reference(self) -> float | None:
        """Mean mAP50-95 of the base over all its usable seeds; None before the first."""
        values = [t.map50_95 for t in self.trials if t.architecture.is_base and t.usable and t.map50_95 is not None]
        return math.fsum(values) / len(values) if values else None


def folded(view: V, records: Iterable[Mapping[str, Any]]) -> tuple[V, list[Trial]]:
    """An empty view grown by all records that are not of trials, and the trials of the others by number."""
    found: dict[int, Trial] = {}
    for record in records:
        if record["kind"] not in TRIAL_KINDS:
            view = view.grown(record)
        elif (trial := told(found.get(record["number"]), record)) is not None:
            found[trial.number] = trial
    return view, [found[n] for n in sorted(found)]
