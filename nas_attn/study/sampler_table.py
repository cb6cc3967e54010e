"""The samplers by name. Optuna is imported only when one is made: commands and readers need nothing but the names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def tpe(seed: int) -> BaseSampler:
    """Tree-structured Parzen estimators; parameters that occur together share one model."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, multivariate=True, group=True)


def gp(seed: int) -> BaseSampler:
    """A Gaussian process."""
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed)


def nsga2(seed: int) -> BaseSampler:
    """The genetic algorithm NSGA-II, in generations of 20."""
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=20)


def random(seed: int) -> BaseSampler:
    """Every choice with the same probability, whatever the trials say."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


KNOWN_COST = "known-cost"  # ours: `study/chooser.py`
MAKERS: dict[str, Callable[[int], BaseSampler]] = {make.__name__: make for make in (tpe, gp, nsga2, random)}
SAMPLERS = (KNOWN_COST, *MAKERS)
