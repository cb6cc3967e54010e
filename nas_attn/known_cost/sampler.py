"""The sampler for Optuna."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from .measured import Measured, Point
from .proposer import INITIAL, Proposer
from .space import Choices, ProductSpace

CHOSEN = "known_cost:parameters"  # system attribute of a trial: what was proposed for it


class KnownCostSampler(BaseSampler):
    """Proposes points by their expected gain in hypervolume, if the second objective is a known function.

    The study has two objectives: a score that must be measured, and a cost, minimised, that `cost` computes. Only the
    score is modelled, by a Gaussian process on the structure of the space. Constraints of the study are ignored.

    Args:
        choices: slot -> its values, or slot -> option -> setting -> values. The objective suggests the parameter
            `slot`, whose value is the option, and `slot.option.setting` for the settings of that option. The order of
            numbers is used; other values are just different.
        cost: parameters of a point -> its cost. It is called often, so it must be quick.
        seed: equal seeds and equal results give equal proposals.
        max_cost: the highest allowed cost.
        initial: number of points before the model is used. Points that were enqueued count.

    Raises:
        ValueError: a slot has no choice or the same choice twice, `cost` gives no finite number, no point keeps to
            `max_cost`, or `initial` is below 1.
    """

    def __init__(
        self,
        choices: Choices,
        cost: Callable[[dict[str, Any]], float],
        *,
        seed: int | None = None,
        max_cost: float | None = None,
        initial: int = INITIAL,
    ) -> None:
        if max_cost is not None and math.isnan(max_cost):
            raise ValueError("`max_cost` must be a number, but got nan.")
        if initial < 1:
            raise ValueError(f"`initial` must be at least 1, but got {initial}.")
        self.space = ProductSpace.of(choices)
        self._cost = cost
        self._lock = threading.RLock()
        self._warned: set[str] = set()
        self._costs: dict[Point, float] = {}
        self.max_cost, self._initial = max_cost, initial
        self._random = RandomSampler(seed)
        self._make(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        self._chosen: dict[int, dict[str, Any]] = {}

    def _make(self, seed: int) -> None:
        allowed = None if self.max_cost is None else self._keeps
        self._proposer = Proposer(self.space, self.costs, seed, allowed=allowed, initial=self._initial)
        if self.max_cost is not None and self._proposer.pools.low > self.max_cost:
            raise ValueError(
                f"`max_cost` must allow a point; the cheapest one found costs {self._proposer.pools.low:g}."
            )

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_lock"}  # a lock cannot be copied

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def _keeps(self, points: np.ndarray) -> np.ndarray:
        return self.costs(points) <= (np.inf if self.max_cost is None else self.max_cost)

    def costs(self, points: np.ndarray) -> np.ndarray:
        """The costs of points, (n,); each is computed once.

        Raises:
            ValueError: a cost is not a finite number.
        """
        found = np.empty(len(points))
        for i, row in enumerate(map(tuple, np.asarray(points).tolist())):
            if row not in self._costs:
                self._costs[row] = _finite(self._cost(self.space.parameters(row)), self.space.parameters(row))
            found[i] = self._costs[row]
        return found

    def reseed_rng(self) -> None:
        """Optuna calls this in each of several threads or processes; trials differ by their numbers anyway."""
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: the parameters of a trial depend on each other, so they are given one by one."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, see `infer_relative_search_space`."""
        return {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Propose the point of a trial.

        Raises:
            ValueError: the study does not have two objectives of which the second is minimised.
        """
        if len(study.directions) != 2 or study.directions[1] != StudyDirection.MINIMIZE:
            raise ValueError("KnownCostSampler needs two objectives: a score, and a cost that is minimised.")
        if "fixed_params" in trial.system_attrs:
            return  # enqueued by the user
        with self._lock:  # the threads of `n_jobs` see each other's proposals
            self._propose(study, trial)

    def _propose(self, study: Study, trial: FrozenTrial) -> None:
        measured = self._measured(study, trial)
        point = self._proposer.propose(measured, trial.number)
        if point is None:  # everything was proposed: end the loop, whose last trial repeats a point
            with suppress(RuntimeError):  # there is no loop after `study.ask()`
                study.stop()
            tried = [*measured.points, *measured.running, *measured.spent]
            point = min(tried, key=tried.count)
        chosen = self.space.parameters(point)
        self._chosen[trial._trial_id] = chosen
        study._storage.set_trial_system_attr(trial._trial_id, CHOSEN, chosen)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The proposed value of a parameter; random for a parameter that the space does not have.

        Raises:
            ValueError: `choices` has another value than those that the objective offers.
        """
        chosen = self._chosen.get(trial._trial_id) or trial.system_attrs.get(CHOSEN) or {}
        if param_name in chosen:
            value = chosen[param_name]
            if isinstance(param_distribution, CategoricalDistribution) and value not in param_distribution.choices:
                raise ValueError(
                    f"The objective must offer all values that `choices` has for `{param_name}`, but {value!r} is not "
                    f"among {list(param_distribution.choices)}."
                )
            return value
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Forget the proposal of a trial that has ended, and warn if it does not fit the arguments of the sampler."""
        self._chosen.pop(trial._trial_id, None)
        if state != TrialState.COMPLETE or not values:
            return
        if (point := self.space.point(trial.params)) is None:
            self._warn(
                f"Trial {trial.number} has the parameters {trial.params}, which are no point of `choices`; nothing is "
                "learned from its parameters. The objective must suggest `slot`, and `slot.option.setting`."
            )
        elif not math.isclose(known := float(self.costs(np.array([point]))[0]), values[1], rel_tol=1e-6, abs_tol=1e-9):
            self._warn(f"The second objective of trial {trial.number} is {values[1]:g}, but `cost` gives {known:g}.")

    def _warn(self, words: str) -> None:
        kind = words.split()[0]
        if kind not in self._warned:  # once of each kind
            self._warned.add(kind)
            warnings.warn(words, UserWarning, stacklevel=3)

    def _measured(self, study: Study, own: FrozenTrial) -> Measured:
        sign = 1.0 if study.directions[0] == StudyDirection.MAXIMIZE else -1.0
        points: list[Point] = []
        values: list[float] = []
        running: list[Point] = []
        spent: list[Point] = []
        for trial in study.get_trials(deepcopy=False):
            if trial.number == own.number:
                continue
            chosen = trial.system_attrs.get(CHOSEN) or trial.system_attrs.get("fixed_params") or trial.params
            point = self.space.point(trial.params) or self.space.point(chosen)
            if point is None:
                continue
            if trial.state == TrialState.COMPLETE and trial.values and np.isfinite(trial.values[0]):
                points.append(point)
                values.append(sign * trial.values[0])
            elif trial.state in (TrialState.RUNNING, TrialState.WAITING):
                running.append(point)
            else:
                spent.append(point)
        return Measured(points, values, running=running, spent=spent)


def _finite(cost: Any, parameters: dict[str, Any]) -> float:
    try:
        value = math.nan if isinstance(cost, str) else float(cost)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"`cost` must give a finite number, but gave {cost!r} for {parameters}. To forbid points, give them a high "
            "cost and set `max_cost`."
        )
    return value
