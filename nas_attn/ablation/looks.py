"""At how many seeds results are looked at. Every look is a chance to be fooled, so each has its price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FIRST, RATIO = 5, 1.6  # sequential testing looks at 5 seeds first, and then each time there are 1.6 times as many
MAX_SEEDS = 20


@dataclass(frozen=True)
class Looks:
    """Numbers of seeds at which comparisons are tested, ascending.

    A comparison's p-value is the smallest of its looks times the number of looks (Bonferroni): whenever one stops, the
    chance of a false claim stays below the level.

    Attributes:
        seeds: the numbers.
        count: the number of looks that p-values are multiplied by; never fewer than were once planned.
        added: whether seeds were added after results had been seen, so that looks were not all planned.
        sequential: whether a comparison ends at the look that decides it.
    """

    seeds: tuple[int, ...]
    count: int
    added: bool = False
    sequential: bool = False

    @classmethod
    def fixed(cls, seeds: int) -> Looks:
        """One look, when all seeds are trained."""
        return cls((seeds,), 1)

    @classmethod
    def planned(cls, most: int = MAX_SEEDS) -> Looks:
        """The looks of sequential testing up to a number of seeds."""
        found = [most]
        while (before := round(found[-1] / RATIO)) >= FIRST:
            found.append(before)
        return cls(tuple(reversed(found)), len(found), sequential=True)

    @property
    def most(self) -> int:
        """Seeds of the last look."""
        return self.seeds[-1]

    def made(self, seeds: int) -> int:
        """How many looks there are up to a number of seeds."""
        return sum(n <= seeds for n in self.seeds)

    def changed(self, wanted: Looks, done: int) -> Looks:
        """The looks when others are wanted after the first `done` of these were made: those stay, and count.

        Args:
            wanted: the looks asked for now.
            done: looks at which any comparison was tested already.
        """
        if not done:
            return wanted
        kept = self.seeds[:done]
        more = tuple(n for n in wanted.seeds if n > kept[-1])
        seeds = kept + more
        planned = seeds == self.seeds[: len(seeds)]  # fewer of the planned ones are no new look
        return Looks(seeds, max(self.count, len(seeds)), self.added or not planned, wanted.sequential)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form; `of` reads it back."""
        return {**asdict(self), "seeds": list(self.seeds)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Looks:
        """The looks that `as_dict` wrote."""
        return cls(tuple(values["seeds"]), values["count"], values["added"], values["sequential"])
