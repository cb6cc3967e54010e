"""The numbers of seeds at which results are looked at. Every look is a chance to be fooled, so each has its price."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from nas_attn.statistics.paired import MIN_PAIRS
from nas_attn.study.ablation_config import AblationConfig

FIRST, RATIO = 5, 1.6  # sequential testing looks at 5 seeds first, and then each time there are 1.6 times as many
MAX_SEEDS = 20
Seeds = Annotated[int, Field(ge=1, le=100_000)]


@dataclass(frozen=True)
class Looks:
    """Numbers of seeds at which comparisons are tested, ascending.

    At each look a comparison's p-value is multiplied by the number of looks (Bonferroni), and one that is claimed stays
    as it was claimed. So with planned looks the chance of a false claim stays below the level, whenever one stops.
    Looks or comparisons that are added after results had been seen come on top of it: `spent` says how much.

    Attributes:
        seeds: the numbers.
        count: the number of looks that p-values are multiplied by; never fewer than were once planned.
        added: True if seeds were added after results had been seen.
        sequential: True if a comparison also ends when it is shown that there is no difference that matters.
        spent: the chance of a false claim in units of the level: 1 if everything was planned.
        widened: True if comparisons were added after results had been seen.
    """

    seeds: Annotated[tuple[Seeds, ...], Field(min_length=1)]
    count: Seeds
    added: bool = False
    sequential: bool = False
    spent: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    widened: bool = False

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

    @classmethod
    def asked(cls, settings: AblationConfig) -> Looks:
        """The looks that settings ask for."""
        return cls.planned(settings.max_seeds or MAX_SEEDS) if settings.sequential else cls.fixed(settings.seeds)

    @property
    def most(self) -> int:
        """Seeds of the last look."""
        return self.seeds[-1]

    def made(self, seeds: int) -> int:
        """The number of looks up to a number of seeds."""
        return sum(n <= seeds for n in self.seeds)

    def changed(self, wanted: Looks, done: int) -> Looks:
        """The new schedule of looks; the first `done` looks of this one were already made and are kept.

        Args:
            wanted: the looks asked for now.
            done: looks at which any comparison was tested already.
        """
        kept = tuple(n for n in self.seeds[:done] if n >= MIN_PAIRS)  # below, nothing was tested
        if not kept:
            return replace(wanted, spent=self.spent, widened=self.widened)
        more = tuple(n for n in wanted.seeds if n > kept[-1])
        seeds = kept + more
        planned = seeds == self.seeds[: len(seeds)]  # fewer of the planned ones are no new look
        count = max(self.count, len(seeds))
        spent = self.spent + (0.0 if planned else len(more) / count)
        return Looks(seeds, count, self.added or not planned, wanted.sequential, spent, self.widened)

    def compared(self, new: int, all_: int) -> Looks:
        """The looks after `new` of now `all_` comparisons were added though results had been seen."""
        return replace(self, spent=self.spent + new / all_, widened=True)
