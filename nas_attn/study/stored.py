"""A search's trials in its Optuna storage, and as its sampler sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nas_attn.errors import storage_full
from nas_attn.study.mirror import STORAGE_ERRORS, Mirror, StorageLocked
from nas_attn.study.sampler import Known, Suggester
from nas_attn.study.training_loss import Predicted, predicted
from nas_attn.study.trial import Trial
from nas_attn.study.view import StudyView


class Stored:
    """The trials of a search as Optuna's.

    Args:
        suggester: knows the parameters of architectures.
        mirror: the storage that receives finished trials.
        note: called with a text that the user should read.
    """

    def __init__(self, suggester: Suggester, mirror: Mirror, note: Callable[[str], None]) -> None:
        self._suggester, self._mirror, self._note = suggester, mirror, note
        self._kept: dict[int, tuple[Trial, float | None, float | None, Known]] = {}  # trial number -> cached result

    def known(self, view: StudyView) -> list[Known]:
        """All trials of a search, in the order of their numbers."""
        ends = predicted(view.trials)
        return [self._known(view, t, ends) for t in view.trials]

    def write(self, view: StudyView, trials: Iterable[Trial], records: Mapping[int, Sequence[dict[str, Any]]]) -> None:
        """Write ended trials. If that fails, they are written next time: the log has them anyway.

        Args:
            view: the study.
            trials: the trials.
            records: trial number -> its records.

        Raises:
            StorageFull: the disk is full.
        """
        try:
            self._mirror.write_header(view.header)
            self._mirror.write_header(view.slots)
            ends = predicted(view.trials)
            for trial in trials:
                if trial.state != "running" and trial.number not in self._mirror:
                    known = self._known(view, trial, ends)
                    self._mirror.write_trial(self._suggester, trial.number, known, list(records[trial.number]))
        except (*STORAGE_ERRORS, StorageLocked) as error:
            if (full := storage_full(error)) is not None:
                raise full from None
            said = str(error).strip().partition("\n")[0]
            self._note(f"The storage did not accept a trial; the record log has it. {self._mirror.hide(said)}")

    def _known(self, view: StudyView, trial: Trial, ends: Mapping[int, Predicted]) -> Known:
        reference, end = view.reference, ends.get(trial.number)
        expected = None if end is None else end.value
        kept = self._kept.get(trial.number)
        if kept is not None and kept[0] is trial and kept[1:3] == (reference, expected):
            return kept[3]
        params = trial.sampled.get("params") or {}
        if not params or not self._suggester.offers(params):
            params = self._suggester.params(trial.architecture)
        # compared at equal seeds, like everywhere else: a difference between seeds says nothing about architectures
        gain = 0.0 if trial.architecture.is_base and trial.usable else trial.delta
        value = expected if gain is None else None if reference is None else reference + gain
        found = Known(
            params=params,
            values=None if value is None else (value, trial.gmacs),
            violation=trial.violation,
            running=trial.state == "running",
            attributes=trial.sampled.get("attributes") or {},
        )
        self._kept[trial.number] = trial, reference, expected, found
        return found
