"""The posterior of a study: what its trials say about every architecture at once.

    score[trial] = f(architecture) + level[seed] + noise

The training loss of the same trials counts for as much as the study itself shows that it tells of f
(`nas_attn.known_cost.mixed`): it never makes a claim by itself.

f is a Gaussian process on the genes and the cost (`nas_attn.known_cost`). All that is said about a search comes from
here: differences to the base, the front, picks, effects of modules, the noise of a run. Its means and intervals hold if
architectures differ at all; `nothing` is the probability that they do not, and claims count it as an error.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache

import numpy as np

from nas_attn.analysis.difference import Difference
from nas_attn.errors import UserError
from nas_attn.known_cost.contrasts import Contrasts
from nas_attn.known_cost.fit import Prior
from nas_attn.known_cost.kernel import Features, Kernel
from nas_attn.known_cost.knowledge import on_front
from nas_attn.known_cost.mixed import ENOUGH, MixedPosterior, with_second
from nas_attn.known_cost.observations import Runs
from nas_attn.known_cost.posterior import LEVEL, NOISE, Posterior
from nas_attn.known_cost.told import ToldKernel
from nas_attn.lines import many
from nas_attn.space import NONE, Architecture
from nas_attn.statistics.claims import claimed
from nas_attn.study.coded import PRIOR, Coded
from nas_attn.study.training_loss import last_loss, scores, told_together, with_end
from nas_attn.study.view import Candidate, StudyView, Trial

DRAWS = 4000
NAMED = 8  # most trials named in a sentence
TOO_FEW = "fewer than two architectures have a usable trial"
ALL_EQUAL = "all usable trials score the same"
BETTER, WORSE, TIE = "better than base", "worse than base", "not distinguishable"


class StudyPosterior:
    """The joint distribution of f over all architectures of a study.

    Args:
        view: the study.
        runs: its comparable trials: of one fidelity, with a finite score; usable, or stopped with a predicted end.

    Attributes:
        candidates: the candidates with a whole comparable trial that did not collapse, in the order of their first
            trials.
        points: (candidates, slots) their points, as of `coded`.
        seen: (n, slots) the points of all runs, also of those that were stopped early.
        gmacs: (candidates,) their costs.
        means: (candidates,) expected score with a seed of average luck.
        draws: (draws, candidates) joint draws of the differences to the base.
        nothing: probability that no two architectures differ.
        collapsed: comparable trials that lie far below everything else; they are left out.
        runs: the other comparable trials.
        others: number of usable trials of another fidelity; they are left out too.
        score: the score by which the study is read.
    """

    def __init__(self, view: StudyView, runs: Sequence[Trial]) -> None:
        self.coded, self.score = Coded.of_view(view), view.score
        base = Architecture.of(dict.fromkeys(self.coded.genes, NONE))
        at: dict[Architecture, int] = {}
        positions = [at.setdefault(t.architecture, len(at)) for t in runs]
        points = np.array([self._point(a) for a in at])
        costs = self.coded.gmacs(points)
        self._low, self._range = float(costs.min()), float(np.ptp(costs))
        if self._range < 1e-9 * self._low:  # rounding
            self._range = 1.0
        g = self._together(view)
        self._kernel = Kernel(self.coded.space) if g is None else ToldKernel(g)
        first, second = scores(view.trials, runs), scores(view.trials, runs, last_loss)
        if first is None:
            raise ValueError("Each run must have a finite score.")
        extra = first.extra if any(first.extra) else None
        data = Runs(points, self._scaled(points), positions, first.values, [t.seed for t in runs], extra)
        alone = Posterior(self._kernel, data, prior=(prior := _prior(len(runs))))
        further = second.extra if second and any(second.extra) else None
        self._posterior = with_second(alone, second.values, further, prior=prior) if second else alone
        gone = self._posterior.collapsed
        self.collapsed = tuple(t for t, out in zip(runs, gone, strict=True) if out)
        self.runs = tuple(t for t, out in zip(runs, gone, strict=True) if not out)
        self.others = sum(t.usable for t in view.trials) - sum(t.usable for t in runs)
        left = {t.architecture for t in self.runs if t.usable}
        self.candidates = tuple(c for c in view.candidates() if c.architecture in left)
        self.gmacs = np.array([c.gmacs for c in self.candidates])
        self.points = points[[at[c.architecture] for c in self.candidates]]
        self.seen = points[[at[a] for a in dict.fromkeys(t.architecture for t in self.runs)]]
        self._base = np.array([self._point(base)])
        self.nothing = float(self._posterior.nothing or 0.0)
        own = np.eye(len(self.candidates) + 1)[:-1]
        own[:, -1] -= 1
        self._gains = self.contrasts(np.vstack([self.points, self._base]), own)
        self.draws = self._gains.draws
        self.draws[:, [c.architecture.is_base for c in self.candidates]] = 0.0  # but for rounding
        self.means = self._posterior.predict(self._features(self._base))[0] + self.draws.mean(0)

    def _together(self, view: StudyView) -> Posterior | None:
        """The posterior of the training loss of trials that ran in groups; None if there are too few."""
        found = [(t, value) for t, value in told_together(view.trials) if self.coded.point(t.architecture) is not None]
        at: dict[Architecture, int] = {}
        positions = [at.setdefault(t.architecture, len(at)) for t, _ in found]
        if len(at) < ENOUGH:
            return None
        points = np.array([self._point(a) for a in at])
        groups = [t.group for t, _ in found]
        runs = Runs(points, self._scaled(points), positions, [value for _, value in found], groups)
        return Posterior(Kernel(self.coded.space), runs, best=True, prior=_prior(len(found)))

    def _point(self, architecture: Architecture) -> tuple[int, ...]:
        point = self.coded.point(architecture)
        if point is None:
            filled = ((slot, gene) for slot, gene in architecture if gene != NONE)
            slot, gene = next((s, g) for s, g in filled if g not in self.coded.genes.get(s, ()))
            there = self.coded.genes.get(slot, ())
            same = [str(g) for g in there if g.module == gene.module]
            names = ", ".join(same[:NAMED] or sorted({g.module for g in there}) or self.coded.genes)
            raise UserError(
                "an architecture must be in the search space of the study",
                got=f"'{slot}={gene}'",
                remedy=f"{f'At {slot} it has' if there else 'Its slots are'} {names}; only what the study could choose "
                "can be judged from it.",
            )
        return point

    def _scaled(self, points: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (self.coded.gmacs(points) - self._low) / self._range
        return scaled

    def _features(self, points: np.ndarray) -> Features:
        return self._kernel.features(points, self._scaled(points))

    def contrasts(self, points: np.ndarray, matrix: np.ndarray) -> Contrasts:
        """Joint draws of sums of f, and their distances from zero.

        Args:
            points: (n, slots) points as of `coded`.
            matrix: (sums, n) the factor of each point in each sum.
        """
        return self._posterior.contrasts(self._features(points), matrix, DRAWS)

    def difference(self, architecture: Architecture) -> Difference:
        """The difference of an architecture to the base, whether it was trained or not.

        Raises:
            UserError: the study's space does not have the architecture.
        """
        if (at := self._at.get(architecture)) is not None:
            return self.differences[at]
        points = np.vstack([[self._point(architecture)], self._base])
        return Difference.of(self.contrasts(points, np.array([[1.0, -1.0]])).draws[:, 0], self.score)

    def expected(self, architectures: Sequence[Architecture]) -> list[float]:
        """The expected score of architectures with a seed of average luck, whether they were trained or not.

        Raises:
            UserError: the study's space does not have one of them.
        """
        if not architectures:
            return []
        points = np.array([self._point(a) for a in architectures])
        return [float(v) for v in self._posterior.predict(self._features(points))[0]]

    def index(self, candidate: Candidate) -> int | None:
        """The position of a candidate; None if it has no comparable trial."""
        return self._at.get(candidate.architecture)

    @cached_property
    def _at(self) -> dict[Architecture, int]:
        return {c.architecture: i for i, c in enumerate(self.candidates)}

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """The difference of each candidate to the base."""
        return tuple(Difference.of(column, self.score) for column in self.draws.T)

    @cached_property
    def signs(self) -> np.ndarray:
        """(candidates,) 1 if a candidate is better than the base, -1 if it is worse, 0 if the study cannot tell.

        All claims together are wrong with a probability of at most 5 %.
        """
        own = np.array([not c.architecture.is_base for c in self.candidates])
        found = np.zeros(len(own), int)
        if own.any():
            found[own] = self.claimed(self._gains.take(own))
        return found

    def claimed(self, sums: Contrasts) -> np.ndarray:
        """(sums,) 1 if a sum is above zero, -1 if it is below, 0 if the study cannot tell; together, as for `signs`."""
        return claimed(sums.draws, sums.away, sums.errors, self.nothing)

    @cached_property
    def on_front(self) -> np.ndarray:
        """(candidates,) the probability that no other trained architecture is as cheap and as good."""
        return on_front(self.draws, self.gmacs)

    @property
    def loss_tells(self) -> float | None:
        """The probability that the training loss tells something of f; None if it does not count."""
        p = self._posterior
        return 1 - p.learned.unrelated if isinstance(p, MixedPosterior) else None

    @property
    def noise(self) -> Difference:
        """The standard deviation of a run, with its 95 % interval, in the score."""
        return self._spread(NOISE)

    @property
    def luck(self) -> Difference | None:
        """The standard deviation of the level of a seed, which all trials of the seed share; None with one seed."""
        return self._spread(LEVEL) if len({t.seed for t in self.runs}) > 1 else None

    def _spread(self, part: int) -> Difference:
        middle, low, high = (self._posterior.spread(part, away) for away in (0.0, -1.96, 1.96))
        return Difference(middle, low, high, 1.0, self.score)

    @cached_property
    def spread(self) -> Difference:
        """The standard deviation of f over the trained architectures, in the score."""
        return Difference.of(np.std(self.draws, axis=1), self.score)

    def seeds(self, candidate: Candidate) -> tuple[int, ...]:
        """The seeds of a candidate's whole trials that did not collapse."""
        return tuple(t.seed for t in self.runs if t.usable and t.architecture == candidate.architecture)

    def left_out(self) -> str:
        """A sentence on usable trials that the posterior leaves out; empty if there are none."""
        parts = []
        if self.collapsed:
            n, named = len(self.collapsed), ", ".join(str(t.number) for t in self.collapsed[:NAMED])
            more = f" and {n - NAMED} more" if n > NAMED else ""
            one = "the run of trial" if n == 1 else "the runs of trials"
            parts.append(f"{one} {named}{more}, far below all that the others predict: train again to be sure")
        if self.others:
            parts.append(f"{many(self.others, 'trial')} with another number of epochs or image size")
        return f"Left out: {'; '.join(parts)}." if parts else ""

    def pairs_to_show(self, candidate: Candidate, difference: float) -> int:
        """The further seeds of a candidate and of the base that would show a difference of this size.

        The number gives a power of 80 % for a two-sided 95 % interval; both train with the same seeds.
        """
        sd = float(self.draws[:, self._at[candidate.architecture]].std())
        if sd <= 0:
            return 0  # it is known already
        needed = (1.96 + 0.84) / difference  # the square root of the precision
        return max(0, math.ceil(2 * self._posterior.noise * (needed**2 - 1 / sd**2)))


def comparable(view: StudyView) -> list[Trial]:
    """The trials that a posterior may use: of one fidelity, with a finite score; usable, or with a predicted end.

    Trials of another fidelity measure something else; those of the more frequent fidelity are kept.
    """
    usable = with_end(view.trials)
    kinds = [(e.task, e.epochs, e.imgsz, e.recipe.get("fraction", 1.0)) for t in usable if (e := t.evaluation)]
    most = Counter(kinds).most_common(1)
    return [t for t, kind in zip(usable, kinds, strict=True) if kind == most[0][0]]


def obstacle(view: StudyView) -> str | None:
    """The reason why a study has no posterior yet; None if it has one."""
    runs = [t for t in comparable(view) if t.usable]
    if len({t.architecture for t in runs}) < 2:
        return TOO_FEW
    return ALL_EQUAL if len({t.score for t in runs}) < 2 else None


def posterior(view: StudyView) -> StudyPosterior | None:
    """The posterior of a study; None as long as there is an `obstacle`. The newest ones are kept in memory."""
    if obstacle(view) is not None:
        return None
    states = tuple((t.number, t.state, t.usable, t.score, t.seed, t.architecture) for t in view.trials)
    return _made(_Keyed((str(view.folder), view.model, view.score, states, bool(view.slots)), view))


def _prior(runs: int) -> Prior:
    """The variances expected before any trial, in units of a scale that few runs do not tell well.

    The logarithm of the squared scale, from the median distance of n values, has about the variance 5.4 / n.
    """
    unsure = 5.4 / runs
    spread, of_noise = (math.sqrt(s**2 + unsure) for s in (PRIOR.spread, PRIOR.spread_of_noise))
    return replace(PRIOR, spread=spread, spread_of_noise=of_noise)


class _Keyed:
    """A view that is equal to another one with the same key."""

    def __init__(self, key: tuple[object, ...], view: StudyView) -> None:
        self.key, self.view = key, view

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and self.key == other.key


@lru_cache(maxsize=4)
def _made(keyed: _Keyed) -> StudyPosterior:
    return StudyPosterior(keyed.view, comparable(keyed.view))


def verdict(candidate: Candidate, found: StudyPosterior | None) -> str:
    """`better than base`, `worse than base` or `not distinguishable`, at a rate that holds for all candidates."""
    at = found.index(candidate) if found is not None else None
    if found is None or at is None:
        return TIE
    return {1: BETTER, -1: WORSE, 0: TIE}[int(found.signs[at])]
