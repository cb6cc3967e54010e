"""The search: a supervisor that chooses the next trial, hands it to an engine and records its result."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from nas_attn.engine import Engine
from nas_attn.errors import SlotRefused, UserError, storage_full
from nas_attn.evaluate import Evaluation
from nas_attn.space import Architecture
from nas_attn.study.chooser import Chooser
from nas_attn.study.folder import RunFolder
from nas_attn.study.limits import affordable_conv, least_over, over_limit
from nas_attn.study.mirror import STORAGE_ERRORS, Mirror, StorageLocked
from nas_attn.study.observer import Observer
from nas_attn.study.plan import Plan
from nas_attn.study.sampler import Known, Suggester
from nas_attn.study.sampler_table import KNOWN_COST
from nas_attn.study.slot_states import averaged, learned, too_little
from nas_attn.study.supervisor import ANEW, Supervisor
from nas_attn.study.trial import Trial, next_number
from nas_attn.study.view import StudyView

MAX_REFUSALS = 200  # after so many refused proposals in a row, the limits are taken to exclude everything


class Search(Supervisor[StudyView]):
    """Runs one study until it has its number of trials.

    Args:
        plan: the plan of the study.
        folder: the run folder; the caller holds its lease.
        engine: runs the trials.
        mirror: the Optuna storage that receives finished trials.
        observer: is told about each event.
    """

    observer: Observer

    def __init__(self, plan: Plan, folder: RunFolder, engine: Engine, mirror: Mirror, observer: Observer) -> None:
        super().__init__(plan, folder, engine, observer)
        self.mirror = mirror
        self._suggester: Suggester | None = None
        self._chooser: Chooser | None = None  # only for the sampler `known-cost`
        self._kept: dict[int, tuple[Trial, float | None, Known]] = {}  # trial number -> cached result of `_known`
        self._begun = time.monotonic()
        self._refusals = 0

    def _read(self, records: list[dict[str, Any]]) -> StudyView:
        return StudyView.of(self.folder.path, records)

    def run(self) -> StudyView:
        """Train until the number of trials, or of hours, is reached.

        Returns:
            The study at the end.

        Raises:
            EvaluationFailed: the base cannot be trained.
            UserError: the limits leave nothing to train.
        """
        if self._view.target != self.config.trials:
            self._append("target", trials=self.config.trials)
        self.observer.opened(self._view, self.config.trials)
        if self.config.start == "base":
            self._train_base(self.config.seed, self.study.space.names, measured=bool(self._view.slots))
        if self._view.slots:
            self._open_space()
        self._work()
        self._mirror_all()
        if self._late() and self._view.counted < self.config.trials:
            self.observer.note(
                f"The limit of {self.config.hours:g} hours was reached after {self._view.counted} of "
                f"{self.config.trials} trials. The same command continues the search."
            )
        return self._view

    # choosing the next trial

    def _next(self) -> Trial | None:
        if (trial := self._orphan()) is not None:
            return trial
        if (control := self._base_control()) is not None:
            return control
        if not self._view.slots:
            if self._running:
                return None
            self._measure_slots()
        conv = Architecture.parse(self._view.slots["control"])
        if not conv.is_base and (control := self._conv_control(conv)) is not None:
            return control
        assert self._suggester is not None
        if self._suggester.space.size == 1:
            if not self._running:
                self.observer.note(
                    "No slot is searched, so there is nothing to choose. Only the controls were trained."
                )
            return None
        if self._chooser is not None:
            return None if self._full() else self._choose(self._chooser)
        proposal = None
        while proposal is None and not self._full():
            proposal = self._propose()
        return proposal

    def _base_control(self) -> Trial | None:
        """The next control trial of the base; None if it needs no more.

        A trial that failed or was flagged is replaced by one with a new seed, at most `control_seeds` times. Until the
        slots are measured, failures of an earlier start do not count, because the user may have fixed the cause.
        """
        own = [t for t in self._view.trials if t.role == "base"]
        good = sum(t.usable or t.state == "running" for t in own)
        tried = len(own) if self._view.slots else sum(t.number not in self._failed_before for t in own)
        if good >= self.config.control_seeds or tried >= 2 * self.config.control_seeds or self._full():
            return None
        seed = max((t.seed for t in own), default=self.config.seed - 1) + 1
        return self._start("base", self.study.space.base_architecture(), seed)

    def _conv_control(self, conv: Architecture) -> Trial | None:
        """The next trial of the `conv` control, with a seed that the base has, too; None if it needs no more."""
        done = {t.seed for t in self._view.trials if t.architecture == conv}
        base = [t.seed for t in self._view.trials if t.architecture.is_base and t.usable]
        for seed in sorted(base)[: self.config.control_seeds]:
            if seed not in done and not self._full():
                return self._start("conv", conv, seed)
        return None

    def _full(self) -> bool:
        return self._view.counted >= self.config.trials or self._late()

    def _late(self) -> bool:
        spent = (time.monotonic() - self._begun) / 3600
        return self.config.hours is not None and spent >= self.config.hours

    def _choose(self, chooser: Chooser) -> Trial | None:
        """The trial of an architecture that was never tried; None if there is no more."""
        architecture = chooser.choose(self._view.trials)
        if architecture is None:
            if not self._running:
                self.observer.note(f"{self._used_up()}, so the search ends.")
            return None
        role, chosen, seed = self._seed(architecture)
        return self._start(role, chosen, seed)

    def _used_up(self) -> str:
        """The reason why there is no further architecture, as the begin of a sentence."""
        assert self._suggester is not None
        least = least_over(self.config, self._suggester.space, self.study.table)
        if least is None:
            return "Every architecture of the search space that keeps to the limits was tried"
        return f"No module at the searched slots keeps to the limits: {least[1]} for the cheapest, {least[0]}"

    def _propose(self) -> Trial | None:
        """The trial of the sampler's next proposal; None if the proposal is refused, which is recorded."""
        assert self._suggester is not None
        proposal = self._suggester.suggest([self._known(t) for t in self._view.trials])
        sampled = {"params": proposal.params, "attributes": proposal.attributes}
        try:
            architecture = self._suggester.space.canonical(proposal.architecture)
        except SlotRefused as error:
            self._refuse(proposal.architecture, str(error), 1.0, {}, sampled)
            return None
        cost = self.study.cost(architecture)
        if (broken := over_limit(self.config, cost)) is not None:
            self._refuse(architecture, *broken, cost, sampled)
            return None
        self._refusals = 0
        role, chosen, seed = self._seed(architecture)
        return self._start(role, chosen, seed, sampled if chosen == architecture else None)

    def _seed(self, architecture: Architecture) -> tuple[str, Architecture, int]:
        """The role, architecture and seed of the trial for a proposal.

        The architecture gets the first seed that the base has and it has not. If it has all seeds of the base, the
        base is trained with one more seed instead.
        """
        base = self.study.space.base_architecture()
        own = [t for t in self._view.trials if t.architecture == base]
        base_seeds = sorted(t.seed for t in own if t.usable or t.state == "running")
        used = {t.seed for t in self._view.trials if t.architecture == architecture and t.state != "refused"}
        for seed in base_seeds:
            if seed not in used:
                return "search", architecture, seed
        return "base", base, max(t.seed for t in own) + 1

    def _refuse(
        self, architecture: Architecture, reason: str, violation: float, cost: dict[str, float], sampled: dict[str, Any]
    ) -> None:
        self._refusals += 1
        if self._refusals > MAX_REFUSALS:
            raise UserError(
                "the limits must leave something to train",
                got=f"{MAX_REFUSALS} refused proposals in a row",
                remedy="Raise --max-gmacs or --max-params. All results so far are kept.",
            )
        self._append(
            "refused",
            number=next_number(self._view.trials),
            role="search",
            architecture=str(architecture),
            seed=self.config.seed,
            cost=cost,
            reason=reason,
            violation=violation,
            sampled=sampled,
        )

    # starting and ending trials

    def _start(self, role: str, architecture: Architecture, seed: int, sampled: dict[str, Any] | None = None) -> Trial:
        return self._begin(role, architecture, seed, self.study.cost(architecture), sampled=sampled or {})

    def _training(self, trial: Trial) -> tuple[Any, Architecture, bool]:
        measure = trial.role == "base" and self.config.start != "base" and not self._view.slots
        return self.study.evaluator, trial.architecture, measure

    def _started(self, trial: Trial) -> None:
        self.observer.started(self._view, trial)

    def _ended(self, trial: Trial) -> None:
        if self._suggester is not None:
            self._mirror([trial])
        self.observer.finished(self._view, trial)

    # measuring the slots

    def _measure_slots(self) -> None:
        found = [t.evaluation for t in self._view.trials if t.role == "base" and t.evaluation and t.evaluation.liveness]
        if not found:
            more = "Also raise --trials: the failed trials count."
            full = self._view.counted >= self.config.trials
            raise self._no_base([t for t in self._view.trials if t.role == "base"], f"{ANEW} {more}" if full else ANEW)
        self._write_slots([e for e in found if e is not None])

    def _write_slots(self, evaluations: Sequence[Evaluation]) -> None:
        names = self.study.space.names
        found = averaged(evaluations, self.config.live_threshold, names)
        live = found["live"]
        if not learned(found):
            rest = "" if self.config.dead_slots == "keep" else ", or search all slots in a new study: --dead-slots keep"
            self.observer.note(f"It is not known which slots are live: {too_little(found)}{rest}.")
        searched = list(names) if self.config.dead_slots == "keep" else live
        control = affordable_conv(self.study, tuple(live or searched))
        if control is None:
            self.observer.note("There is no convolution control: even its cheapest form exceeds the limits.")
            control = self.study.space.base_architecture()
        self._append(
            "slots",
            **found,
            searched=searched,
            control=str(control),
        )
        self._open_space()
        self.observer.slots(self._view)

    def _open_space(self) -> None:
        space = self.study.space.restrict(self._view.slots["searched"])
        self._suggester = Suggester(space, self.config.sampler, self.config.seed)
        if self.config.sampler == KNOWN_COST:
            self._chooser = Chooser(self.study, space, [Architecture.parse(self._view.slots["control"])])
        self._mirror_all()

    # records

    def _known(self, trial: Trial) -> Known:
        assert self._suggester is not None
        reference = self._view.reference
        known = self._kept.get(trial.number)
        if known is not None and known[0] is trial and known[1] == reference:
            return known[2]
        params = trial.sampled.get("params") or {}
        if not params or not self._suggester.offers(params):
            params = self._suggester.params(trial.architecture)
        # compared at equal seeds, like everywhere else: a difference between seeds says nothing about architectures
        gain = 0.0 if trial.architecture.is_base and trial.usable else trial.delta
        values = (reference + gain, trial.gmacs) if gain is not None and reference is not None else None
        found = Known(
            params=params,
            values=values,
            violation=trial.violation,
            running=trial.state == "running",
            attributes=trial.sampled.get("attributes") or {},
        )
        self._kept[trial.number] = trial, reference, found
        return found

    def _mirror(self, trials: Iterable[Trial]) -> None:
        """Write ended trials to the storage. If that fails, they are written next time: the log has them anyway."""
        assert self._suggester is not None
        try:
            self.mirror.write_header(self._view.header)
            self.mirror.write_header(self._view.slots)
            for trial in trials:
                if trial.state != "running" and trial.number not in self.mirror:
                    records = self._records[trial.number]
                    self.mirror.write_trial(self._suggester, trial.number, self._known(trial), records)
        except (*STORAGE_ERRORS, StorageLocked) as error:
            if (full := storage_full(error)) is not None:
                raise full from None
            self.observer.note(
                f"The storage did not accept a trial; the record log has it. {self.mirror.hide(_first_line(error))}"
            )

    def _mirror_all(self) -> None:
        if self._suggester is not None:
            self._mirror(self._view.trials)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
