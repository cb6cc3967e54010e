"""Synthetic necks: four slots, eight kinds of modules with settings, 531,441 architectures, and one space per seed.

The true accuracy has an effect of each module at each slot, a best value of each setting, products of pairs of slots,
a gain by cost that saturates, and a loss by redundancy. The cost is additive; its formulas are rough.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
from tabular_spaces import Floats, Table, variants_of

KERNELS = [7, 11, 23, 35, 41, 53]
MODULES: dict[str, dict[str, list[Any]]] = {
    "none": {},
    "acmix": {"head": [1, 2, 4, 8], "kernel_att": [3, 5, 7]},
    "lska": {"k_size": KERNELS},
    "lka": {},
    "cloformer": {"group_split": [0, 1, 2]},
    "cbam": {"kernel": [3, 7]},
    "se": {},
    "simam": {},
}
USE = {"none": 0.0, "acmix": 0.9, "lska": 0.8, "lka": 0.6, "cloformer": 0.8, "cbam": 0.3, "se": 0.15, "simam": 0.1}
SETTINGS = ("head", "kernel_att", "k_size", "group_split", "kernel")
MAPS = {"p2": (64, 160), "p3": (128, 80), "p4": (256, 40), "p4_out": (128, 80)}  # channels, side of the feature map
VARIANTS = variants_of(MODULES)
BASE, BASE_COST = 36.0, 8.0


def unit(setting: str, value: int) -> float:
    """The value of a setting, scaled to 0..1."""
    if setting == "head":
        return math.log2(value) / 3
    if setting == "k_size":
        return KERNELS.index(value) / 5
    return value / 2 if setting == "group_split" else (value - 3) / 4


def gigaflops(module: str, settings: Mapping[str, int], channels: int, side: int) -> float:
    """A rough cost of one module."""
    c, pixels = channels, side * side
    if module == "none":
        return 0.0
    if module == "acmix":
        head, window = settings["head"], settings["kernel_att"] ** 2
        mixing = 27 * head * (c // head) / max(1.0, head / 2)
        operations = pixels * (3 * c * c + mixing + 9 * c * c / 8 + 2 * window * c)
    elif module == "lska":
        operations = pixels * c * (4 * (settings["k_size"] // 3) + 10 + c)
    elif module == "lka":
        operations = pixels * c * (25 + 49 + c)
    elif module == "cloformer":
        operations = pixels * (5 * c * c + 2 * c * (3 + 2 * settings["group_split"]) ** 2)
    elif module == "cbam":
        operations = 2 * settings["kernel"] ** 2 * pixels + c * c / 8
    elif module == "se":
        operations = c * c / 8 + c * pixels
    else:  # simam
        operations = 4.0 * c * pixels
    return 2 * operations / 1e9


class Necks(Table):
    """A synthetic neck space.

    Args:
        name: the name of the table.
        seed: draws the effects.
        noise: standard deviation of an observation.
        spreads: the noise instead, as a multiple of the standard deviation of the true accuracy over the space.
    """

    def __init__(self, name: str, seed: int, *, noise: float = 0.6, spreads: float | None = None) -> None:
        costs = [np.array([gigaflops(m, dict(s), c, side) for m, s in VARIANTS]) for c, side in MAPS.values()]
        added = _sums(costs)
        means = _truth(np.random.default_rng(1000 + seed), added, sum(float(c.max()) for c in costs))
        super().__init__(name, {slot: MODULES for slot in MAPS}, added + BASE_COST, means)
        self.noise = noise if spreads is None else spreads * float(means.std())

    def accuracy(self, number: int, rng: np.random.Generator) -> float:
        return float(self.means[number] + rng.normal(0, self.noise))


def _sums(parts: list[Floats]) -> Floats:
    """The sum of one value per slot, for every architecture."""
    return np.asarray(reduce(np.add.outer, parts)).ravel()


def _truth(rng: np.random.Generator, added: Floats, highest: float) -> Floats:
    kinds, slots = list(MODULES), range(len(MAPS))
    kind = np.array([kinds.index(module) for module, _ in VARIANTS])
    filled = (kind > 0).astype(float)
    general = [USE[k] * rng.uniform(0.3, 1.5) + (rng.normal(0, 0.15) if k != "none" else 0.0) for k in kinds]
    weights = rng.uniform(0.4, 1.2, len(slots))
    effects = [_slot_effects(rng, weight * np.array(general)) for weight in weights]
    shape = (len(VARIANTS),) * len(slots)
    total = np.full(shape, BASE)
    for slot in slots:
        total += _along(effects[slot], slot)
    for one, other in itertools.combinations(slots, 2):
        pairs = rng.normal(0, 0.35, (len(kinds), len(kinds)))
        pairs[0, :] = pairs[:, 0] = 0
        pairs -= 0.15 * np.diag([k != "none" for k in kinds])
        total += _along(pairs[np.ix_(kind, kind)], one, other)
    saturation, gain, redundancy = rng.uniform(0.15, 0.5), rng.uniform(0.5, 1.2), rng.uniform(0.1, 0.25)
    count = _sums([filled] * len(slots))
    total = total.ravel() - redundancy * count * (count - 1) / 4
    return total + gain * (1 - np.exp(-added / (saturation * highest)))


def _slot_effects(rng: np.random.Generator, general: Floats) -> Floats:
    """The effect of each variant at one slot: its module's, less the squared distance of its settings to the best."""
    best = {s: rng.uniform(0, 1) for s in SETTINGS}
    strength = {s: rng.uniform(0.1, 0.5) for s in SETTINGS}
    own = {m: g + (rng.normal(0, 0.25) if m != "none" else 0.0) for m, g in zip(MODULES, general, strict=True)}
    found = []
    for module, settings in VARIANTS:
        lost = sum(2 * strength[s] * (unit(s, v) - best[s]) ** 2 for s, v in settings)
        found.append(own[module] - lost + 0.05 * rng.normal() * (module != "none"))
    return np.array(found)


def _along(values: Floats, *axes: int) -> Floats:
    """The values along these slots, ready to be added to all architectures."""
    return values.reshape([len(VARIANTS) if slot in axes else 1 for slot in range(len(MAPS))])
