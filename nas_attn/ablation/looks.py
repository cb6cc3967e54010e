"""Looks: the numbers of seeds at which results are tested. Each further look raises the chance of a false claim."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from nas_attn.statistics.paired import MIN_PAIRS
from nas_attn.study.ablation_config import AblationConfig

FIRST, RATIO = 5, 1.6  # the first look is at 5 seeds or more; each later one has 1.6 times as many
MAX_SEEDS = 20
Seeds = Annotated[int, Field(ge=1, le=100_000)]


@dataclass(frozen=True)
class Looks:
    """Numbers of seeds at which comparisons are tested, ascending.

    At each look the p-values are multiplied by the number of looks (Bonferroni), and a claimed difference stays
    claimed. So if all looks were planned, the chance of a false claim stays below the level, at any stop. Looks and
    comparisons that are added after the first results increase this chance; `spent` holds the increased value.

    Attributes:
        seeds: the numbers.
        count: the factor for p-values: the number of looks, never fewer than were planned before.
        added: True if seeds were added after results had been seen.
        sequential: True if a comparison also ends as soon as a difference that matters is excluded.
        spent: upper limit of the chance of a false claim, in units of the level: 1 if everything was planned.
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
        """A single look, after all seeds are trained."""
        return cls((seeds,), 1)

    @classmethod
    def planned(cls, most: int = MAX_SEEDS) -> Looks:
        """The looks of sequential testing, up to a largest number of seeds."""
        found = [most]
        while (before := round(found[-1] / RATIO)) >= FIRST:
            found.append(before)
        return cls(tuple(reversed(found)), len(found), sequential=True)

    @classmethod
    def asked(cls, settings: AblationConfig) -> Looks:
        """The looks that the settings ask for."""
        return cls.planned(settings.max_seeds or MAX_SEEDS) if settings.sequential else cls.fixed(settings.seeds)

    @property
    def most(self) -> int:
        """The number of seeds at the last look."""
        return self.seeds[-1]

    def made(self, seeds: int) -> int:
        """The number of looks that are done after a number of seeds."""
        return sum(n <= seeds for n in self.seeds)

    def changed(self, wanted: Looks, done: int) -> Looks:
        """The looks after a change of plan. Looks that were already made are kept.

        Args:
            wanted: the looks that are asked for now.
            done: number of looks at which a comparison was already tested.
        """
        kept = tuple(n for n in self.seeds[:done] if n >= MIN_PAIRS)  # with fewer pairs nothing was tested
        if not kept:
            return replace(wanted, spent=self.spent, widened=self.widened)
        more = tuple(n for n in wanted.seeds if n > kept[-1])
        seeds = kept + more
        planned = seeds == self.seeds[: len(seeds)]  # a shorter plan has no new look
        count = max(self.count, len(seeds))
        spent = self.spent + (0.0 if planned else len(more) / count)
        return Looks(seeds, count, self.added or not planned, wanted.sequential, spent, self.widened)

    def compared(self, new: int, all_: int) -> Looks:
        """The looks after a late change: `new` of the `all_` comparisons were added after results had been seen."""
        return replace(self, spent=self.spent + new / all_, widened=True)
