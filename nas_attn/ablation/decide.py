"""Verdicts on all contrasts, and the trials that are still needed, from the trained seeds.

A running ablation, its tables and the simulations of its error rates all use this file.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from nas_attn.ablation.design import Contrast, Design
from nas_attn.ablation.looks import Looks
from nas_attn.statistics.holm import holm
from nas_attn.statistics.paired import ALPHA, Paired, paired, pairs_needed, pairs_to_exclude, power

BETTER, WORSE = "better", "worse"
NO_DIFFERENCE, UNDECIDED = "no difference shown", "undecided"
DEAD, WAITING, UNTESTED = "dead", "waiting", "not tested"

# (arm, index of a seed) -> score of an ended trial; None if it failed or is not comparable
Values = Mapping[tuple[str, int], float | None]


@dataclass(frozen=True)
class Decision:
    """The state of one contrast: its verdict, and the figures behind it.

    Attributes:
        contrast: the contrast.
        verdict: `better`, `worse`, `no difference shown`, `undecided`; `dead` if only dead slots differ, `waiting`
            before the first look, `not tested` if no test is possible.
        looks: number of looks so far.
        indices: indices of the seeds that have a pair; before the first look, of the pairs that have ended.
        result: the paired comparison of these seeds; None without a pair. Its interval holds for all looks together.
        p: p-value, corrected for the looks and the family; None if nothing was tested.
        final: True if no further look is planned.
        difference: smallest difference in the score that matters.
        beyond: significance level of a test with further seeds.
        outside: 1 minus the confidence of the interval.
        low: True if every arm scores less than `difference`. No arm can then lose that much, so nothing is tested.
        base_failed: True if the base of the contrast's scale could not be trained.
    """

    contrast: Contrast
    verdict: str
    looks: int = 0
    indices: tuple[int, ...] = ()
    result: Paired | None = None
    p: float | None = None
    final: bool = False
    difference: float = 0.0
    beyond: float = ALPHA
    outside: float = ALPHA
    low: bool = False
    base_failed: bool = False

    @property
    def more(self) -> int | None:
        """The number of further seeds that would probably decide; None unless the verdict is `undecided`.

        With this number, a true difference of `difference` is detected with a power of 80 %; if there is no difference,
        the interval excludes it with the same power. The standard deviation is assumed to stay as it is.
        """
        if self.verdict != UNDECIDED or self.result is None or not self.result.sd:
            return None
        needed = _needed(self.difference, self.result.sd, self.beyond, self.outside)
        return max(needed - self.result.n, math.ceil(self.result.n / 4))

    @property
    def power_then(self) -> float | None:
        """The power to detect `difference` after `more` seeds; None unless the verdict is `undecided`."""
        if self.more is None or self.result is None or not self.result.sd:
            return None
        return _power(self.difference, self.result.sd, self.result.n + self.more, self.beyond)


def decide(
    design: Design,
    looks: Looks,
    values: Values,
    *,
    dead: Collection[Contrast] = (),
    base_failed: Collection[Contrast] = (),
    difference: float,
    alpha: float = ALPHA,
) -> list[Decision]:
    """The decision on each contrast, in the order of the design.

    Args:
        design: arms and contrasts.
        looks: the numbers of seeds at which contrasts are tested.
        values: scores of the trials that have ended.
        dead: contrasts whose arms differ only in dead slots.
        base_failed: contrasts whose base failed, so that no test is possible. They still count in the correction of
            their family, because they were planned.
        difference: smallest difference in the score that matters.
        alpha: family-wise error of each family.
    """
    found: list[Decision] = []
    for family in dict.fromkeys(c.family for c in design.contrasts):
        found += _family(design.family(family), looks, values, dead, base_failed, difference, alpha)
    return sorted(found, key=lambda d: design.contrasts.index(d.contrast))


def wanted(design: Design, looks: Looks, decisions: Sequence[Decision], values: Values) -> Iterator[tuple[str, int]]:
    """(arm, index of the seed) of each trial that is still to be trained: seed by seed, the base first.

    An arm is trained up to the next look of its open contrasts.
    """
    upto: dict[str, int] = {}
    for d in decisions:
        if d.verdict == DEAD or d.final:
            continue
        for name in d.contrast.arms:
            upto[name] = max(upto.get(name, 0), looks.seeds[d.looks])
    for index in range(max(upto.values(), default=0)):
        for arm in design.arms:
            if index < upto.get(arm.name, 0) and (arm.name, index) not in values:
                yield arm.name, index


def _family(
    contrasts: Sequence[Contrast],
    looks: Looks,
    values: Values,
    dead: Collection[Contrast],
    base_failed: Collection[Contrast],
    difference: float,
    alpha: float,
) -> list[Decision]:
    """The decisions of one family, look by look. A claimed difference keeps the figures of its look."""
    live = [c for c in contrasts if c not in dead]
    raw: dict[int, float] = {}  # position in `live` -> p of its last look
    found: dict[int, Decision] = {}
    for number, seeds in enumerate(looks.seeds, 1):
        last = number == len(looks.seeds)
        tested = []
        for i, contrast in enumerate(live):
            if contrast in base_failed or (i in found and found[i].final) or not _ended(contrast, seeds, values):
                continue
            if i in found and found[i].looks != number - 1:
                continue
            indices, result = _compare(contrast, seeds, values, looks.count, alpha)
            raw.pop(i, None)
            low = result is not None and _score(contrast, indices, values) < difference
            if result is not None and result.p is not None and not low:
                raw[i] = result.p
            found[i] = Decision(contrast, UNTESTED, number, indices, result, final=last, low=low)
            tested.append(i)
        corrected = holm([min(1.0, raw.get(i, 1.0) * looks.count) for i in range(len(live))])
        still = sum(p > alpha for p in corrected)
        for i in found:
            d = found[i]
            if i in tested or d.verdict not in (BETTER, WORSE):
                # if another contrast was rejected, Holm corrects this one for fewer comparisons
                found[i] = _judged(d, corrected[i], i in raw, still, looks, difference, alpha)
    found |= {i: Decision(c, UNTESTED, final=True, base_failed=True) for i, c in enumerate(live) if c in base_failed}
    decisions = [found.get(i) or _waiting(c, looks, values, alpha) for i, c in enumerate(live)]
    return decisions + [Decision(c, DEAD, final=True) for c in contrasts if c in dead]


def _judged(
    d: Decision, p: float, testable: bool, still: int, looks: Looks, difference: float, alpha: float
) -> Decision:
    """The decision with its verdict.

    Args:
        d: the decision.
        p: its corrected p-value.
        testable: True if the contrast was tested.
        still: number of contrasts in the family that are not rejected.
        looks: the looks.
        difference: smallest difference that matters.
        alpha: family-wise error.
    """
    last = d.looks == len(looks.seeds)
    result = d.result
    if not testable or result is None or result.low is None or result.high is None:
        return replace(d, verdict=UNTESTED, final=last, difference=difference)
    if p <= alpha:
        return replace(d, verdict=BETTER if result.mean > 0 else WORSE, p=p, final=True)
    excluded = -difference < result.low and result.high < difference
    return replace(
        d,
        verdict=NO_DIFFERENCE if excluded else UNDECIDED,
        p=p,
        final=last or (excluded and looks.sequential),
        difference=difference,
        # seeds beyond the plan are one more look, and each look takes a share of the level
        beyond=alpha / (looks.count + last) / max(1, still),
        outside=alpha / (looks.count + last),
    )


def _waiting(contrast: Contrast, looks: Looks, values: Values, alpha: float) -> Decision:
    """The decision on a contrast before its first look: its pairs so far, without a test."""
    indices, result = _compare(contrast, looks.seeds[0], values, looks.count, alpha)
    return Decision(contrast, WAITING, 0, indices, result)


def _compare(
    contrast: Contrast, seeds: int, values: Values, looks: int, alpha: float
) -> tuple[tuple[int, ...], Paired | None]:
    """The indices of the first seeds that have a pair, and their comparison."""
    indices = tuple(i for i in range(seeds) if all(values.get((arm, i)) is not None for arm in contrast.arms))
    if not indices:
        return indices, None
    differences = [sum(weight * (values[arm, i] or 0.0) for arm, weight in contrast.weights) for i in indices]
    return indices, paired(differences, 1 - alpha / looks)


def _score(contrast: Contrast, indices: Sequence[int], values: Values) -> float:
    """The highest mean score of a contrast's arms."""
    return max(sum(values[arm, i] or 0.0 for i in indices) / len(indices) for arm in contrast.arms)


def _ended(contrast: Contrast, seeds: int, values: Values) -> bool:
    return all((arm, i) in values for arm in contrast.arms for i in range(seeds))


@lru_cache(maxsize=4096)
def _power(difference: float, sd: float, pairs: int, level: float) -> float:
    return power(difference, sd, pairs, level)


@lru_cache(maxsize=4096)
def _needed(difference: float, sd: float, level: float, outside: float) -> int:
    return max(pairs_needed(difference, sd, level), pairs_to_exclude(difference, sd, outside))
