"""The posterior of a running search: it chooses the next architecture, and knows the front and what is still open.

It sees what the samplers of Optuna do not: the cost of every architecture, and the seed of every trial. The sampler
`known-cost` is its choice; early stops and the end of a search use it with every sampler.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from nas_attn.evaluate.evaluation import SPLIT
from nas_attn.known_cost.groups import group
from nas_attn.known_cost.measured import Cheap, Measured, Point
from nas_attn.known_cost.proposer import Proposer
from nas_attn.known_cost.situation import Situation
from nas_attn.space import Architecture, Gene, SearchSpace
from nas_attn.study.coded import PRIOR, Coded, padded
from nas_attn.study.plan import Plan
from nas_attn.study.settled import MORE, Ending, ending
from nas_attn.study.training_loss import last_loss, scores, told_together, with_end
from nas_attn.study.trial import Trial, barred, next_number

BARRED = 1e-12  # extra variance of a result whose architecture cannot be on the front; see `Situation.runs`


class Chooser:
    """Chooses the architecture of the next trial.

    Args:
        plan: the plan of the study, with costs and limits.
        space: the space, restricted to the slots that are searched.
        controls: architectures of controls; the space need not have their genes.
        group: most architectures in one run; 1 if all trials run alone.
        first: architectures to train before all others, in this order.
    """

    def __init__(
        self,
        plan: Plan,
        space: SearchSpace,
        controls: Iterable[Architecture] = (),
        group: int = 1,
        first: Sequence[Architecture] = (),
    ) -> None:
        self._group, self._first = group, first
        genes: dict[str, tuple[Gene, ...]] = {}
        for s in space.slots:
            further = [c[s.slot.name] for c in (*controls, *first)]
            genes[s.slot.name] = tuple(dict.fromkeys((*s.genes, *further)))
        self._coded = Coded.of_plan(plan, genes)
        self._offered = np.array([len(s.genes) for s in space.slots])
        self._params = padded([[plan.params(slot, g) for g in some] for slot, some in genes.items()])
        self._base_params, self._config = plan.table.base.params, plan.config
        product, seed = self._coded.space, plan.config.seed
        self._proposer = Proposer(product, self._coded.gmacs, seed, allowed=self._allowed, prior=PRIOR)

    def choose(self, trials: Sequence[Trial], left: int | None = None) -> Architecture | None:
        """The architecture to train next: a new one, or one that needs a further seed.

        Args:
            trials: all trials of the study so far.
            left: number of trials that may still begin, this one included; None: only new architectures.

        Returns:
            The architecture; None if all that the limits allow were trained and no further seed tells anything.
        """
        if (asked := self.asked(trials)) is not None:
            return asked
        found = self._proposer.propose(self._measured(trials), next_number(trials), left)
        return None if found is None else self._coded.architecture(found)

    def asked(self, trials: Sequence[Trial]) -> Architecture | None:
        """The next of the architectures that the user wants first; None if each has a trial."""
        there = {t.architecture for t in trials if t.group is None and t.state != "refused"}
        return next((a for a in self._first if a not in there), None)

    def together(self, trials: Sequence[Trial], left: int) -> list[Architecture]:
        """The architectures to train next in one run; none if the next trial runs alone.

        Args:
            trials: all trials of the study so far.
            left: number of trials that may still begin.
        """
        if self._group < 2 or self.asked(trials) is not None:
            return []
        found = group(self._proposer, self._measured(trials), next_number(trials), left)
        return [self._coded.architecture(p) for p in found]

    def situation(self, trials: Sequence[Trial]) -> Situation | None:
        """The front and the knowledge of it; None before two trials have a result."""
        measured = self._measured(trials)
        return self._proposer.situation(measured) if len(measured.values) > 1 else None

    def height(self, now: Situation, architecture: Architecture) -> float | None:
        """The front at the cost of an architecture, in the score; None if nothing that cheap was trained."""
        if (point := self._coded.point(architecture)) is None:
            return None
        cost = self._proposer.scaled(np.array([point]))[0]
        cheaper = now.mean[(now.cost <= cost + 1e-9) & (now.runs > 0)]
        return float(cheaper.max()) if len(cheaper) else None

    def ending(self, trials: Sequence[Trial]) -> Ending | None:
        """The effect that `MORE` further trials are expected to have; None before two trials have a result."""
        if (now := self.situation(trials)) is None:
            return None
        measured = self._measured(trials)
        pool = self._proposer.pool(now, measured, next_number(trials))
        new = now.posterior.kernel.features(pool, self._proposer.scaled(pool))
        return ending(now.foresee(new, MORE), len(self._proposer.single(now, measured)))

    def _measured(self, trials: Sequence[Trial]) -> Measured:
        known = {t.number for t in with_end(trials)}
        points: list[Point] = []
        ended: list[Trial] = []
        running: list[Point] = []
        spent: list[Point] = []
        for t in trials:
            if (point := self._coded.point(t.architecture)) is None or t.group is not None:
                continue
            if t.number in known:
                points.append(point)
                ended.append(t)
            else:
                (running if t.state == "running" else spent).append(point)
        first, second = scores(trials, ended), scores(trials, ended, last_loss)
        cheap = self._cheap(trials) if self._group > 1 or any(t.together for t in trials) else None
        if first is None:
            return Measured((), (), running=running, spent=spent, cheap=cheap)
        limits = self._config.max_gmacs, self._config.max_params
        extra = [e or BARRED * barred(t, *limits) for t, e in zip(ended, first.extra, strict=True)]
        seeds = [t.seed for t in ended]
        return Measured(
            tuple(points),
            tuple(first.values),
            tuple(seeds),
            tuple(running),
            tuple(spent),
            extra if any(extra) else None,
            second.values if second else None,
            second.extra if second and any(second.extra) else None,
            cheap,
        )

    def _cheap(self, trials: Sequence[Trial]) -> Cheap:
        """The evidence of the trials that ran in groups, and the seconds that such a trial takes."""
        points = {t.number: p for t in trials if (p := self._coded.point(t.architecture)) is not None}
        found = [(t, t.evaluation, value) for t, value in told_together(trials) if t.number in points]
        ended = {t.number for t, _, _ in found}
        others = [t for t in trials if t.group is not None and t.number in points and t.number not in ended]
        alone = [t.evaluation.seconds for t in trials if t.evaluation and t.group is None and t.state == "complete"]
        marks = [e.together for _, e, _ in found if e is not None and e.together is not None]
        grouped = [e.seconds for _, e, _ in found if e is not None]
        sizes = [e.together["size"] for _, e, _ in found if e is not None and e.together and SPLIT in e.flags]
        return Cheap(
            tuple(points[t.number] for t, _, _ in found),
            tuple(value for _, _, value in found),
            tuple(mark["group"] for mark in marks),
            tuple(points[t.number] for t in others if t.state == "running"),
            tuple(points[t.number] for t in others if t.state != "running"),
            min([self._group, *sizes]),
            (float(np.median(alone)), float(np.median(grouped))) if sum(alone) and sum(grouped) else (1.0, 0.5),
        )

    def _allowed(self, points: np.ndarray) -> np.ndarray:
        slots = np.arange(len(self._offered))
        found: np.ndarray = np.all(points < self._offered, axis=1)
        if (limit := self._config.max_gmacs) is not None:
            found = np.logical_and(found, self._coded.gmacs(points) <= limit)
        if (limit := self._config.max_params) is not None:
            params = (self._base_params + self._params[slots, points].sum(1)) / 1e6
            found = np.logical_and(found, params <= limit)
        return found
