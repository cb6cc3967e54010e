"""A read-only view of a study, built from its record log. It needs neither torch nor optuna."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from nas_attn.errors import UserError
from nas_attn.evaluate.score import MAP50_95, Score
from nas_attn.lines import many
from nas_attn.space import Architecture
from nas_attn.study.records import Record, RecordLog
from nas_attn.study.storage_url import without_secrets
from nas_attn.study.trial import Candidate, Trial, candidate_of, numbered, paired, place, told, with_delta

if TYPE_CHECKING:
    import pandas

__all__ = ["Candidate", "StudyView", "Trial"]
TRIAL_KINDS = ("started", "refused", "finished", "evidence")


class Growing(Protocol):
    """A view that grows by one record at a time."""

    @property
    def score(self) -> Score:
        """The score by which the study is read."""
        ...

    def grown(self, record: Mapping[str, Any]) -> Self:
        """A new view that includes one more record."""
        ...


V = TypeVar("V", bound=Growing)


@dataclass(frozen=True)
class StudyView:
    """Everything that readers know about a study, as an immutable value.

    Attributes:
        folder: the run folder.
        header: the `study` record, with `name`, `config`, `base`, `base_cost`, `fingerprints`, `version` and more.
        slots: the `slots` record: `intact` (score of the base, see `Score.of_a_slot`), `zeroed` (slot -> score),
            `drop` (slot -> score lost), `live`, `searched`, `trials` (number of base trials); empty before the base is
            trained.
        trials: all trials in the order of their numbers; the numbers may have gaps.
        model: another base model of an ablation; then `trials` holds only its trials. None for the study's own base.
        other: another score by which the study is read, although its search did not look for it; None for its own.
    """

    folder: Path
    header: Record
    slots: dict[str, Any]
    trials: tuple[Trial, ...]
    model: str | None = None
    other: Score | None = None

    @classmethod
    def read(cls, folder: Path) -> StudyView:
        """The present state of the study in a run folder. A search may be writing at the same time.

        Raises:
            UserError: the folder holds no study.
            RecordLost: the record log is damaged.
        """
        return cls.whole(folder, RecordLog(folder).read())

    @classmethod
    def whole(cls, folder: Path, records: Iterable[dict[str, Any]]) -> StudyView:
        """The study that the records of a log describe.

        Args:
            folder: the run folder.
            records: all records of the log.

        Raises:
            UserError: the records describe no study.
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
        """The view of a log without records; `model` as for the attribute."""
        return cls(folder, Record({}, f"the record log in '{folder}'"), {}, (), model)

    @classmethod
    def of(cls, folder: Path, records: Iterable[dict[str, Any]], model: str | None = None) -> StudyView:
        """The view of some records. Unlike `whole`, it does not need a `study` record.

        Args:
            folder: the run folder.
            records: records of the log, in order.
            model: another base model of an ablation; None for the study's own base.
        """
        view, trials = folded(cls.empty(folder, model), records)
        return replace(view, trials=paired(t for t in trials if t.model == model))

    def grown(self, record: Mapping[str, Any]) -> StudyView:
        """A new view that includes one more record of the log.

        The result is the same as from reading all records again, but the time hardly grows with their number.
        """
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
        trial = told(known, record, self.score)
        if trial is None or trial is known or trial.model != self.model:
            return self
        after = at if known is None else at + 1
        if trial.architecture.is_base and trial.usable:
            return replace(self, trials=paired((*self.trials[:at], trial, *self.trials[after:])))
        trial = with_delta(trial, self._base.get(trial.seed))
        return self._changed(trials=(*self.trials[:at], trial, *self.trials[after:]))

    def _changed(self, **fields: Any) -> StudyView:
        """A copy with other fields that keeps the scores of the base; use it only if no base trial has ended."""
        view = replace(self, **fields)
        view.__dict__["_base"] = self._base
        return view

    @cached_property
    def _base(self) -> dict[int, float | None]:
        """The scores of the base: seed -> score."""
        return {t.seed: t.score for t in self.trials if t.architecture.is_base and t.usable}

    @property
    def name(self) -> str:
        """The name of the study."""
        return str(self.header["name"])

    @property
    def searched_by(self) -> Score:
        """The score that the search improves; studies of earlier releases have `map50_95`."""
        return Score(self.header.get("config", {}).get("score") or MAP50_95)

    @property
    def score(self) -> Score:
        """The score by which the study is read."""
        return self.other or self.searched_by

    @property
    def caution(self) -> str:
        """A sentence if the study is read by a score that its search did not look for; else empty."""
        if self.score == self.searched_by:
            return ""
        without = sum(t.state == "complete" and t.without_score in t.flags for t in self.trials)
        left = f" It was not recorded by {many(without, 'trial')}, left out here." if without else ""
        return (
            f"Read by {self.score.words}, which was not searched for: the search was by {self.searched_by.words}.{left}"
        )

    def read_by(self, score: Score | str | None) -> StudyView:
        """The study, read by another score: the same trials, compared by another of their figures.

        Args:
            score: the score; None for that of the search.

        Raises:
            UserError: there is no such score or class, the class has too few boxes, or no run recorded the score.
        """
        wanted = self.searched_by if score is None else Score.parse(score) if isinstance(score, str) else score
        if wanted == self.score:
            return self
        where = f"study '{self.name}'"
        wanted.check_class(self.header.get("classes", ()), self.header.get("data", {}).get("val_boxes"), where)
        trials = paired(replace(t, scored_by=wanted) for t in self.trials)
        ended = [t for t in trials if t.state == "complete"]
        if ended and all(t.without_score in t.flags for t in ended):
            raise UserError(
                "a study can be read only by a score that its runs recorded",
                got=f"{wanted.words}, which no run recorded",
                where=where,
                remedy="Runs of earlier releases recorded mAP50-95 and mAP50 only. Search again with this --score.",
            )
        return replace(self, trials=trials, other=None if wanted == self.searched_by else wanted)

    @property
    def target(self) -> int:
        """The number of trials after which the study ends, as last asked for."""
        return int(self.header.get("target", self.header["config"]["trials"]))

    @property
    def counted(self) -> int:
        """The number of trials that count toward `--trials`: all but refused ones and those of earlier studies."""
        return sum(t.state != "refused" and not t.origin for t in self.trials)

    def trial(self, number: int) -> Trial:
        """The trial with this number.

        Raises:
            UserError: there is no such trial.
        """
        if (found := numbered(self.trials, number)) is None:
            raise UserError("a trial must exist", got=f"trial:{number}", where=str(self.folder))
        return found

    def frame(self) -> pandas.DataFrame:
        """The trials as a table: one row per trial; the columns are listed at `nas_attn.study.frame.frame`."""
        from nas_attn.study.frame import frame

        return frame(self.trials)

    def candidates(self) -> list[Candidate]:
        """The candidates: all architectures with a trial that was not refused, in the order of their first trial."""
        groups: dict[Architecture, list[Trial]] = {}
        for t in self.trials:
            if t.state != "refused":
                groups.setdefault(t.architecture, []).append(t)
        reference = self.reference  # not in the loop below: it reads all trials
        return [candidate_of(a, ts, reference) for a, ts in groups.items()]

    @cached_property
    def reference(self) -> float | None:
        """The mean score of the base over all its usable trials; None if there is none yet."""
        values = [t.score for t in self.trials if t.architecture.is_base and t.usable and t.score is not None]
        return math.fsum(values) / len(values) if values else None


def folded(view: V, records: Iterable[Mapping[str, Any]]) -> tuple[V, list[Trial]]:
    """A view grown by all records that are not about trials, and the trials that the other records describe.

    Args:
        view: an empty view.
        records: all records of a log, in order.

    Returns:
        The view without trials, and the trials in the order of their numbers.
    """
    found: dict[int, Trial] = {}
    for record in records:
        if record["kind"] not in TRIAL_KINDS:
            view = view.grown(record)
        elif (trial := told(found.get(record["number"]), record, view.score)) is not None:
            found[trial.number] = trial
    return view, [found[n] for n in sorted(found)]
