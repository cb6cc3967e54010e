"""Finite product spaces: a choice for each slot, where the settings of an option exist only if the option is chosen.

Points are rows of integers, one per slot: the position of the slot's variant. A variant is an option with one value
for each of its settings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Settings = Mapping[str, Any]
Choices = Mapping[str, Sequence[Any] | Mapping[str, Mapping[str, Sequence[Any]]]]
DECAY = 0.5  # distance between two variants of an option at which their similarity falls to 1/e


@dataclass(frozen=True)
class Variant:
    """An option of a slot, with values for its settings.

    Attributes:
        option: name of the option; options of the same name in several slots are taken to be alike.
        settings: setting -> value.
        parameters: the Optuna parameters that stand for it, name -> value.
    """

    option: str
    settings: Mapping[str, Any]
    parameters: Mapping[str, Any]

    @property
    def key(self) -> tuple[Any, ...]:
        """Its identity among the variants of its slot."""
        return self.option, tuple(sorted((k, _hashable(v)) for k, v in self.settings.items()))


class ProductSpace:
    """The variants of every slot.

    Args:
        slots: slot -> its variants; at least one slot, each with at least one variant.

    Raises:
        ValueError: a slot is missing or empty, or a variant occurs twice.
    """

    def __init__(self, slots: Mapping[str, Sequence[Variant]]) -> None:
        if not slots or not all(slots.values()):
            empty = ", ".join(k for k, v in slots.items() if not v)
            raise ValueError(f"Every slot must have a choice; there is none{f' at {empty}' if empty else ''}.")
        self.slots = {name: tuple(variants) for name, variants in slots.items()}
        for name, variants in self.slots.items():
            if len({v.key for v in variants}) < len(variants):
                raise ValueError(f"The choices at `{name}` must be distinct.")
        self.sizes = np.array([len(v) for v in self.slots.values()])
        self.size = math.prod(len(v) for v in self.slots.values())
        self.options = sorted({v.option for variants in self.slots.values() for v in variants})
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])  # of each slot among all variants

    @classmethod
    def of(cls, choices: Choices) -> ProductSpace:
        """The space of these choices.

        Args:
            choices: slot -> its values, or slot -> option -> setting -> values. The Optuna parameters are the slot,
                whose value is the option, and `slot.option.setting`. Numbers in a list count as one ordered setting.

        Raises:
            ValueError: as for the class, or the form is another one.
        """
        return cls({slot: list(_variants(slot, given)) for slot, given in choices.items()})

    @cached_property
    def position(self) -> list[dict[tuple[Any, ...], int]]:
        """For each slot: key of a variant -> its position."""
        return [{v.key: i for i, v in enumerate(variants)} for variants in self.slots.values()]

    @cached_property
    def option_of(self) -> np.ndarray:
        """The option of every variant, slot after slot: its position in `options`, (variants,)."""
        at = {name: i for i, name in enumerate(self.options)}
        return np.array([at[v.option] for variants in self.slots.values() for v in variants])

    @cached_property
    def similarity(self) -> np.ndarray:
        """Similarity of all variants, (variants, variants): 1 if equal, 0 between different slots or options."""
        scales = _scales(v for variants in self.slots.values() for v in variants)
        found = np.zeros((int(self.sizes.sum()),) * 2)
        for start, variants in zip(self.starts, self.slots.values(), strict=True):
            for (i, a), (j, b) in itertools.product(enumerate(variants), repeat=2):
                if a.option == b.option:
                    distance = sum(
                        scales[a.option, k](a.settings.get(k), b.settings.get(k)) for k in {*a.settings, *b.settings}
                    )
                    found[start + i, start + j] = math.exp(-distance / DECAY)
        return found

    def variants(self, points: np.ndarray) -> np.ndarray:
        """The variants of points, counted over all slots, (n, slots)."""
        found: np.ndarray = np.asarray(points) + self.starts
        return found

    def parameters(self, point: Sequence[int]) -> dict[str, Any]:
        """The Optuna parameters of a point."""
        chosen = (variants[i] for variants, i in zip(self.slots.values(), point, strict=True))
        return {k: v for variant in chosen for k, v in variant.parameters.items()}

    def point(self, parameters: Mapping[str, Any]) -> tuple[int, ...] | None:
        """The point of Optuna parameters; None if the space does not have it."""
        found = []
        for table in self._by_parameters:
            names, positions = table
            key = tuple(_hashable(parameters[n]) if n in parameters else _ABSENT for n in names)
            if (at := positions.get(key)) is None:
                return None
            found.append(at)
        return tuple(found)

    def all(self) -> np.ndarray:
        """All points, (size, slots); only for spaces that fit into memory."""
        return np.stack(np.unravel_index(np.arange(self.size), self.sizes), 1)

    def random(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Points drawn evenly, (n, slots); a point may occur twice."""
        found: np.ndarray = (rng.random((n, len(self.sizes))) * self.sizes).astype(int)
        return found

    def keys(self, points: np.ndarray) -> np.ndarray:
        """One number for each point; different points have different numbers if the space has fewer than 2**63."""
        found: np.ndarray = np.asarray(points) @ self._strides
        return found

    @cached_property
    def _strides(self) -> np.ndarray:
        strides, product = [], 1
        for size in reversed(self.sizes.tolist()):
            strides.append(product & (2**63 - 1))  # beyond 2**63 points, two may share a number; that is harmless
            product *= size
        return np.array(strides[::-1], dtype=np.int64)

    @cached_property
    def _by_parameters(self) -> list[tuple[tuple[str, ...], dict[tuple[Any, ...], int]]]:
        found = []
        for variants in self.slots.values():
            names = tuple(dict.fromkeys(k for v in variants for k in v.parameters))
            keys = [
                tuple(_hashable(v.parameters[n]) if n in v.parameters else _ABSENT for n in names) for v in variants
            ]
            found.append((names, {k: i for i, k in enumerate(keys)}))
        return found


_ABSENT = object()


def _variants(slot: str, given: Sequence[Any] | Mapping[str, Mapping[str, Sequence[Any]]]) -> Iterable[Variant]:
    if isinstance(given, Mapping):
        for option, settings in given.items():
            if not isinstance(settings, Mapping):
                raise ValueError(
                    f"`choices` must be slot -> values, or slot -> option -> setting -> values, but `{slot}` -> "
                    f"`{option}` is {settings!r}."
                )
            for values in itertools.product(*settings.values()):
                chosen = dict(zip(settings, values, strict=True))
                yield Variant(option, chosen, {slot: option, **{f"{slot}.{option}.{k}": v for k, v in chosen.items()}})
        return
    ordered = all(isinstance(v, int | float) and not isinstance(v, bool) for v in given)
    for value in given:
        yield Variant(*(("", {"value": value}) if ordered else (str(value), {})), {slot: value})


def _scales(variants: Iterable[Variant]) -> dict[tuple[str, str], Any]:
    """For each setting of an option: the distance between two of its values, from 0 to 1."""
    values: dict[tuple[str, str], list[Any]] = {}
    for variant in variants:
        for name, value in variant.settings.items():
            values.setdefault((variant.option, name), []).append(value)
    return {key: _distance(found) for key, found in values.items()}


def _distance(values: list[Any]) -> Any:
    """Values that have an order are spaced evenly from 0 to 1; others are all at distance 1."""
    try:
        order = sorted(set(map(_hashable, values)))
    except TypeError:
        return lambda a, b: float(_hashable(a) != _hashable(b))
    if any(isinstance(v, str | bool) for v in order):
        return lambda a, b: float(_hashable(a) != _hashable(b))
    at = {v: i / max(1, len(order) - 1) for i, v in enumerate(order)}

    def between(a: Any, b: Any) -> float:
        first, second = at.get(_hashable(a)), at.get(_hashable(b))
        return 1.0 if first is None or second is None else abs(first - second)

    return between


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value
