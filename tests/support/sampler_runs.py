"""Samplers on tables with known truth: one run per method and seed, as plain Optuna studies with ask and tell."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import optuna
from optuna.samplers import BaseSampler, TPESampler
from tabular_spaces import Table

from nas_attn.study.sampler_table import MAKERS

DIRECTIONS: tuple[Literal["maximize"], Literal["minimize"]] = ("maximize", "minimize")  # accuracy, known cost
RETRIES = 20  # a sampler may repeat itself so often before a random new architecture is taken
NO_REPEATS, FLAT = ", no repeats", ", flat"


@dataclass(frozen=True)
class Method:
    """A sampler, and the way in which it is asked.

    Attributes:
        name: the name in the results.
        make: the sampler for a table and a seed.
        once: no architecture is evaluated twice. A repeat is told its known result, and the sampler asked again.
        flat: one parameter per slot that holds a module with its settings, in place of conditional parameters.
        slow: above 0 for a sampler that takes a second or more per ask; slow ones run last.
        needs: "module" or "module:name" without which it cannot run.
    """

    name: str
    make: Callable[[Table, int], BaseSampler]
    once: bool = False
    flat: bool = False
    slow: int = 0
    needs: str = "optuna"

    @property
    def present(self) -> bool:
        module, _, name = self.needs.partition(":")
        if find_spec(module) is None:
            return False
        return not name or hasattr(import_module(module), name)

    def fits(self, table: Table) -> bool:
        """False if the method would be the same as another one on this table."""
        return not self.flat or any(settings for slot in table.choices.values() for settings in slot.values())


@dataclass(frozen=True)
class Run:
    """One finished run: the regret after each trial, and the median CPU seconds of an ask."""

    curve: list[float]
    seconds: float
    repeats: int


def _known_cost(table: Table, seed: int) -> BaseSampler:
    from nas_attn.known_cost import KnownCostSampler

    return KnownCostSampler(table.choices, table.cost, seed=seed)


def _botorch(table: Table, seed: int) -> BaseSampler:
    from botorch_sampler import BotorchSampler

    return BotorchSampler(table, seed)


def _ours(name: str) -> Callable[[Table, int], BaseSampler]:
    return lambda table, seed: MAKERS[name](seed)


_STOCK = (
    Method("default TPE", lambda table, seed: TPESampler(seed=seed)),
    *(Method(name, _ours(name)) for name in ("tpe", "nsga2", "random")),
    Method("gp", _ours("gp"), slow=1),
)
METHODS = (
    Method("known-cost", _known_cost, needs="nas_attn.known_cost:KnownCostSampler"),
    *_STOCK,
    *(Method(m.name + NO_REPEATS, m.make, once=True, slow=2 * m.slow) for m in _STOCK),
    Method("botorch", _botorch, slow=3, needs="botorch"),
    Method("gp" + FLAT, _ours("gp"), flat=True, slow=4),
)


def run(table: Table, method: Method, seed: int, trials: int) -> Run:
    """One method on one table, for a number of observations."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # gp warns of each conditional parameter
    rng = np.random.default_rng(seed)
    fallback = np.random.default_rng([seed, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(directions=DIRECTIONS, sampler=method.make(table, seed))
        seen: dict[int, tuple[float, float]] = {}
        numbers: list[int] = []
        seconds: list[float] = []
        for _ in range(trials):
            began = time.process_time()
            trial, number = _asked(study, table, method, seen, fallback)
            seconds.append(time.process_time() - began)
            result = table.accuracy(number, rng), float(table.costs[number])
            study.tell(trial, result)
            seen.setdefault(number, result)
            numbers.append(number)
    return Run(table.curve(numbers), float(np.median(seconds)), trials - len(seen))


def suggested(trial: optuna.Trial, table: Table) -> dict[str, Any]:
    """The parameters of an architecture, suggested slot by slot with the settings of the chosen option."""
    for slot, options in table.choices.items():
        option = trial.suggest_categorical(slot, list(options))
        for setting, values in options[option].items():
            trial.suggest_categorical(f"{slot}.{option}.{setting}", values)
    return dict(trial.params)


def _asked(
    study: optuna.Study,
    table: Table,
    method: Method,
    seen: Mapping[int, tuple[float, float]],
    fallback: np.random.Generator,
) -> tuple[optuna.Trial, int]:
    suggest = _flat if method.flat else _conditional
    trial = study.ask()
    number = suggest(trial, table)
    for _ in range(RETRIES if method.once else 0):
        if number not in seen:
            break
        study.tell(trial, seen[number])
        trial = study.ask()
        number = suggest(trial, table)
    if method.once and number in seen:
        study.tell(trial, seen[number])
        while number in seen:
            number = int(fallback.integers(len(table.means)))
        study.enqueue_trial(table.params(number))
        trial = study.ask()
        suggest(trial, table)
    return trial, number


def _conditional(trial: optuna.Trial, table: Table) -> int:
    return table.number(suggested(trial, table))


def _flat(trial: optuna.Trial, table: Table) -> int:
    codes = [
        trial.suggest_categorical(slot, [str(code) for code in range(len(variants))])
        for slot, variants in table.variants.items()
    ]
    return int(np.ravel_multi_index([int(code) for code in codes], table.sizes))
