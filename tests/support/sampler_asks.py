"""The CPU time of an ask in a study that already has many trials."""

from __future__ import annotations

import time

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from sampler_runs import DIRECTIONS, Method, suggested
from tabular_spaces import Table

ASK_LIMITS = {100: 0.2, 1000: 1.0, 10_000: 2.0}  # trials -> CPU seconds
DISTINCT = 500  # architectures of the largest study, each trained again and again
REPEATED = 10_000


def asks(table: Table, method: Method, trials: int, *, count: int = 20, seed: int = 0) -> dict[str, float]:
    """Median, first and longest of so many asks, each followed by its result."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng = np.random.default_rng(seed)
    numbers = rng.choice(len(table.means), size=min(trials, DISTINCT) if trials >= REPEATED else trials, replace=False)
    study = optuna.create_study(directions=DIRECTIONS, sampler=method.make(table, seed))
    study.add_trials([_finished(table, int(numbers[n % len(numbers)]), rng) for n in range(trials)])
    seconds = []
    for _ in range(count):
        began = time.process_time()
        trial = study.ask()
        number = table.number(suggested(trial, table))
        seconds.append(time.process_time() - began)
        study.tell(trial, (table.accuracy(number, rng), float(table.costs[number])))
    return {"median": float(np.median(seconds)), "first": seconds[0], "longest": max(seconds), "asks": count}


def _finished(table: Table, number: int, rng: np.random.Generator) -> optuna.trial.FrozenTrial:
    params = table.params(number)
    distributions: dict[str, BaseDistribution] = {}
    for slot, options in table.choices.items():
        distributions[slot] = CategoricalDistribution(list(options))
        for name, values in options[params[slot]].items():
            distributions[f"{slot}.{params[slot]}.{name}"] = CategoricalDistribution(list(values))
    values = [table.accuracy(number, rng), float(table.costs[number])]
    return optuna.trial.create_trial(params=params, distributions=distributions, values=values)
