"""The evidence for a proposal: the runs that ended, those that have not, and what cheap runs tell."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

Point = tuple[int, ...]


@dataclass(frozen=True)
class Cheap:
    """Runs that measure something else, which may tell of the values: groups of points in one run.

    Attributes:
        points: the point of each run.
        values: what it measured, the higher the better.
        groups: the group of each; the members of a group share a level.
        running: points in groups that have not ended.
        barred: further points that are put into no group, for example because they failed in one.
        size: most points in a group.
        seconds: time of a run alone, and of a point in a group.
    """

    points: tuple[Point, ...] = ()
    values: tuple[float, ...] = ()
    groups: tuple[Hashable, ...] = ()
    running: tuple[Point, ...] = ()
    barred: tuple[Point, ...] = ()
    size: int = 8
    seconds: tuple[float, float] = (1.0, 0.5)


@dataclass(frozen=True)
class Measured:
    """The results that a proposal is made from.

    Attributes:
        points: the point of each run that ended with a value.
        values: their values, the higher the better.
        groups: what runs share beside their points; None if nothing.
        running: points of runs that have not ended.
        spent: further points that are not proposed again, for example because they failed.
        extra: variance of each value beyond the noise of a run; None if there is none.
        second: a second score of each run, which counts for what it tells of the first, see `MixedPosterior`; None if
            there is none.
        second_extra: the same as `extra`, of the second score.
        cheap: what cheap runs tell, see `groups.py`; None if there are none.
    """

    points: Sequence[Point] = ()
    values: Sequence[float] = ()
    groups: Sequence[Hashable] | None = None
    running: Sequence[Point] = ()
    spent: Sequence[Point] = ()
    extra: Sequence[float] | None = None
    second: Sequence[float] | None = None
    second_extra: Sequence[float] | None = None
    cheap: Cheap | None = None

    def first(self, n: int) -> Measured:
        """The first n runs that ended."""

        def some(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
            return None if values is None else tuple(values[:n])

        return Measured(
            tuple(self.points[:n]),
            tuple(self.values[:n]),
            some(self.groups),
            extra=some(self.extra),
            second=some(self.second),
            second_extra=some(self.second_extra),
            cheap=self.cheap,
        )
