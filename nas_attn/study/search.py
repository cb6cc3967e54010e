"""The search: a supervisor that chooses the next trial, hands it to an engine and records its result."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from nas_attn.engine import Engine
from nas_attn.errors import SlotRefused, UserError
from nas_attn.evaluate import Evaluation, can_group
from nas_attn.known_cost.posterior import NOISE
from nas_attn.space import Architecture
from nas_attn.study.chooser import Chooser
from nas_attn.study.early_stop import epochs_of, obstacle, thresholds
from nas_attn.study.first_trials import first_trials
from nas_attn.study.folder import RunFolder
from nas_attn.study.limits import affordable_conv, least_over, over_limit
from nas_attn.study.mirror import Mirror
from nas_attn.study.observer import Observer
from nas_attn.study.plan import Plan
from nas_attn.study.sampler import Suggester
from nas_attn.study.sampler_table import KNOWN_COST
from nas_attn.study.seeds import control_seed, group_seed, lacks_base, next_seed
from nas_attn.study.settled import EVERY, LEAST, SETTLED, Ending
from nas_attn.study.slot_states import averaged, covers, learned, too_little
from nas_attn.study.stored import Stored
from nas_attn.study.supervisor import ANEW, Supervisor
from nas_attn.study.training_loss import LEAST as ENOUGH
from nas_attn.study.training_loss import loss_after
from nas_attn.study.trial import Trial, next_number
from nas_attn.study.view import StudyView

MAX_REFUSALS = 200  # after so many refused proposals in a row, the limits are taken to exclude everything


class Search(Supervisor[StudyView]):
    """Runs one study until it has its number of trials, or has settled.

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
        self._stored: Stored | None = None
        self._chooser: Chooser | None = None
        self._ending: tuple[int, Ending] | None = None  # number of the last trial of the last look, and its result
        self._stops = self.config.early_stop != "off"
        self._begun, self._counted_before = time.monotonic(), self._view.counted
        self._refusals = 0

    def _read(self, records: list[dict[str, Any]]) -> StudyView:
        return StudyView.of(self.folder.path, records)

    def run(self) -> StudyView:
        """Train until the number of trials, or of hours, is reached, or until the search has settled.

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
        if self._stops and (reason := obstacle(self.study.evaluator, self.study.fidelity.epochs)) is not None:
            self._stops = False
            self.observer.note(f"Early stops are off: {reason}.")
        if self._view.slots:
            self._open_space()
        self._work()
        self._mirror_all()
        if self.config.until == SETTLED and self._chooser is not None:
            end = self._ending[1] if self._settled() and self._ending else self._chooser.ending(self._view.trials)
            begin = f"The search has {'' if end and end.settled else 'not '}settled after {self._view.counted} trials"
            self.observer.note(f"{begin}." if end is None else f"{begin}: {end.words()}")
        if self._late() and self._view.counted < self.config.trials and not self._settled():
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
            if not self._running and learned(self._view.slots):  # else the reason is told already
                self.observer.note(
                    "No slot is searched, so there is nothing to choose. Only the controls were trained."
                )
            return None
        assert self._chooser is not None
        if self.config.sampler == KNOWN_COST or self._chooser.asked(self._view.trials) is not None:
            return None if self._full() else self._choose()
        proposal = None
        while proposal is None and not self._full():
            proposal = self._propose()
        return proposal

    def _base_control(self) -> Trial | None:
        """The next control trial of the base; None if it needs no more.

        Until the slots are measured, failures of an earlier start do not count, because the user may have fixed the
        cause, and of the evidence of an earlier study only trials that measured all slots.
        """
        every = [t for t in self._view.trials if t.role == "base"]
        names, known = self.study.space.names, bool(self._view.slots)
        own = [t for t in every if not t.origin or known or covers(t.evaluation, names, self._view.score)]
        ignored = () if known else self._failed_before
        if not lacks_base(own, self.config.control_seeds, ignored) or self._full():
            return None
        seed = max((t.seed for t in every), default=self.config.seed - 1) + 1
        return self._start("base", self.study.space.base_architecture(), seed)

    def _conv_control(self, conv: Architecture) -> Trial | None:
        """The next trial of the `conv` control; None if it needs no more."""
        seed = control_seed(self._view.trials, conv, self.config.control_seeds)
        return None if seed is None or self._full() else self._start("conv", conv, seed)

    def _full(self) -> bool:
        return self._view.counted >= self.config.trials or self._late() or self._settled()

    def _settled(self) -> bool:
        """True if the search runs until it has settled, and has.

        It looks after every few trials. A look sees only the trials until then, so that a search that was interrupted
        ends at the same trial.
        """
        if self.config.until != SETTLED or self._chooser is None:
            return False
        ended = [t.number for t in self._view.trials if t.state not in ("running", "refused") and not t.origin]
        if len(ended) < LEAST:
            return False
        last = ended[LEAST - 1 + (len(ended) - LEAST) // EVERY * EVERY]
        settled = self._ending is not None and self._ending[1].settled
        if not settled and (self._ending is None or self._ending[0] != last):
            found = self._chooser.ending([t for t in self._view.trials if t.number <= last])
            self._ending = None if found is None else (last, found)
        return self._ending is not None and self._ending[1].settled

    def _late(self) -> bool:
        return self.config.hours is not None and self._spent() >= self.config.hours

    def _spent(self) -> float:
        return (time.monotonic() - self._begun) / 3600

    def _left(self) -> int:
        """The number of trials that may still begin: by the count, and by the hours at the pace so far."""
        left = self.config.trials - self._view.counted
        ended = self._view.counted - len(self._running) - self._counted_before
        if self.config.hours is not None and ended > 0:
            spent = max(self._spent(), 1e-9)
            left = min(left, int((self.config.hours - spent) / spent * ended))
        return max(left, 1)

    def _choose(self) -> Trial | None:
        """The trial of a new architecture, or a further seed of one; None if there is no more to choose."""
        assert self._chooser is not None
        # a stable search goes on only for the single runs on its front
        stable = self._ending is not None and self._ending[1].stable
        if not stable and (group := self._chooser.together(self._view.trials, self._left())):
            return self._start_group(group)
        architecture = self._chooser.choose(self._view.trials, 1 if stable else self._left())
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
            return (
                "Every architecture of the search space that keeps to the limits was tried, and no further seed is "
                "expected to enlarge the front"
            )
        return f"No module at the searched slots keeps to the limits: {least[1]} for the cheapest, {least[0]}"

    def _propose(self) -> Trial | None:
        """The trial of the sampler's next proposal; None if the proposal is refused, which is recorded."""
        assert self._suggester is not None and self._stored is not None
        proposal = self._suggester.suggest(self._stored.known(self._view))
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
        """The role, architecture and seed of the trial for a proposal, see `next_seed`."""
        chosen, seed = next_seed(self._view.trials, architecture, self.study.space.base_architecture())
        if chosen.is_base:
            self.observer.note(f"The base gets seed {seed}, to compare with: {architecture} has all its seeds so far.")
            return "base", chosen, seed
        return "conv" if str(architecture) == self._view.slots["control"] else "search", chosen, seed

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

    def _start(self, role: str, architecture: Architecture, seed: int, sampled: Any = None, **more: Any) -> Trial:
        return self._begin(role, architecture, seed, self.study.cost(architecture), sampled=sampled or {}, **more)

    def _start_group(self, architectures: Sequence[Architecture]) -> Trial:
        """Record the start of trials that run together, and return the first."""
        seed, number = group_seed(self._view.trials, self.config.seed), next_number(self._view.trials)
        for architecture in architectures:
            self._start("search", architecture, seed, group=number)
        return self._trial(number)

    def _training(self, trial: Trial) -> tuple[Any, Architecture, bool]:
        measure = trial.role == "base" and self.config.start != "base" and not self._view.slots
        return self.study.evaluator, trial.architecture, measure

    def _asked(self, trial: Trial) -> dict[str, Any]:
        alone = (t for t in self._view.trials if t.group is None and t.number != trial.number)
        others = (t for t in alone if t.architecture == trial.architecture)
        if not self._stops or trial.role != "search" or any(t.state not in ("failed", "refused") for t in others):
            return {}  # controls are the measure, and a further seed tells little if it is cut
        if self._chooser is None or self._tell_nothing():
            return {}
        now = self._chooser.situation(self._view.trials)
        height = None if now is None else self._chooser.height(now, trial.architecture)
        if now is None or height is None:
            return {}
        epochs, mode = self.study.fidelity.epochs, self.config.early_stop
        limits = thresholds(self._view.trials, epochs, height, now.posterior.spread(NOISE), mode)
        return {"stop_above": limits} if limits else {}

    def _tell_nothing(self) -> bool:
        """True if enough trials have finished and none has a training loss; then stops are switched off."""
        finished = [t for t in self._view.trials if t.usable]
        epochs = epochs_of(self.study.fidelity.epochs)
        if len(finished) < ENOUGH or any(loss_after(t, e) is not None for t in finished for e in epochs):
            return False
        self._stops = False
        self.observer.note("Early stops are off: the evaluator gives no `loss` in the curve of its evaluations.")
        return True

    def _started(self, trial: Trial) -> None:
        self.observer.started(self._view, trial)

    def _ended(self, trial: Trial) -> None:
        self._mirror([trial])
        self.observer.finished(self._view, trial)

    # measuring the slots

    def _measure_slots(self) -> None:
        names, score = self.study.space.names, self._view.score
        found = [t.evaluation for t in self._view.trials if t.role == "base" and covers(t.evaluation, names, score)]
        if not found:
            more = "Also raise --trials: the failed trials count."
            full = self._view.counted >= self.config.trials
            raise self._no_base([t for t in self._view.trials if t.role == "base"], f"{ANEW} {more}" if full else ANEW)
        self._write_slots([e for e in found if e is not None])

    def _write_slots(self, evaluations: Sequence[Evaluation]) -> None:
        names = self.study.space.names
        found = averaged(evaluations, self.config.live_threshold, names, self._view.score)
        live = found["live"]
        if not learned(found):
            rest = "" if self.config.dead_slots == "keep" else ", or search all slots in a new study: --dead-slots keep"
            self.observer.note(f"It is not known which slots are live: {too_little(found, self._view.score)}{rest}.")
        searched = list(names) if self.config.dead_slots == "keep" else live
        control = affordable_conv(self.study, tuple(live or searched))
        if control is None:
            self.observer.note("There is no convolution control: even its cheapest form exceeds the limits.")
            control = self.study.space.base_architecture()
        self._append("slots", **found, searched=searched, control=str(control))
        self._open_space()
        self.observer.slots(self._view)

    def _open_space(self) -> None:
        space = self.study.space.restrict(self._view.slots["searched"])
        self._suggester = Suggester(space, self.config.sampler, self.config.seed)
        self._stored = Stored(self._suggester, self.mirror, self.observer.note)
        size = self.config.together if can_group(self.study.evaluator) else 1
        first = first_trials(self.study, self._view, self.observer.note)
        self._chooser = Chooser(self.study, space, [Architecture.parse(self._view.slots["control"])], size, first)
        self._mirror_all()

    def _mirror(self, trials: Iterable[Trial]) -> None:
        if self._stored is not None:
            self._stored.write(self._view, trials, self._records)

    def _mirror_all(self) -> None:
        self._mirror(self._view.trials)
