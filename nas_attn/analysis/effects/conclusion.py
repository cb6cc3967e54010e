"""The conclusion from a study's effects, in words: the modules that differ from the base, or that it ranks none."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas_attn.analysis.effects.estimate import LEAST, LEVEL, Cell, EffectNumbers
from nas_attn.statistics.additive_model import EXACT

WORTH = 0.01  # mAP50-95: the difference that a plan for more trials is made for
POWER = 0.8
MOST = 6  # cells named in a sentence
TOO_FEW = "too few architectures"
CANNOT = "This study cannot rank these modules"


def effects_sentence(numbers: EffectNumbers) -> str:
    """The answer that stands above the heat map.

    It names only differences to the base that survive Holm's correction, and ranks no modules whose intervals overlap.
    A result of a single architecture is told of that architecture, not of its module.
    """
    if not any(c.trials for c in numbers.cells):
        return "This study cannot rank modules yet: no usable trial has one."
    if numbers.shown:
        parts = [*_found(numbers), _overlap(numbers.shown), *_singled(numbers), _rest(numbers)]
    else:
        seen = _singled(numbers) or [_largest(numbers)]
        parts = [f"{CANNOT}: {_obstacle(numbers)}", *seen, _plan(numbers)]
    if numbers.between:
        parts.append("Settings or combinations matter beyond the sum of the parts; effects are averages over them.")
    if not numbers.based:
        parts.append("There is no usable trial of the base: differences are to runs without a module at that slot.")
    if numbers.drawn:
        few, all_ = numbers.drawn
        parts.append(f"Fitted to {few:,} of the {all_:,} architectures, drawn without regard to their results.")
    return " ".join(p for p in parts if p)


def trials_needed(numbers: EffectNumbers) -> int | None:
    """About how many trials show a difference of 0.01 mAP50-95 between a module and the base.

    The power is 80 % at the level that Holm's correction leaves to one of these cells. Every trial fills all slots at
    once, and its modules are spread evenly; so the number is the runs per level, times the levels of the slot that has
    most. None without an estimate of noise.
    """
    if numbers.sd is None or not numbers.sd > EXACT:
        return None
    from statsmodels.stats.power import TTestIndPower

    filled = [c for c in numbers.cells if c.trials]
    levels = 1 + max((sum(c.slot == s for c in filled) for s in numbers.slots), default=0)
    tests = sum(c.estimate is not None for c in filled) or len(filled) or 1
    size = min(WORTH / numbers.sd, 5.0)  # beyond that, two runs a level would do, and the solver leaves its range
    runs = TTestIndPower().solve_power(effect_size=size, alpha=LEVEL / tests, power=POWER)
    trials = math.ceil(float(runs)) * levels
    unit: int = 10 ** max(0, len(str(trials)) - 2)  # two digits: the noise is not known better
    return math.ceil(trials / unit) * unit


def verdict_at(cell: Cell) -> str:
    """The verdict on a cell's module after correction: `better`, `worse` or `not distinguishable`.

    Without an interval it is `not measured`; with one from too few architectures it is `TOO_FEW`.
    """
    if cell.p is None or cell.estimate is None:
        return "not measured"
    if not cell.of_module or cell.p_corrected is None:
        return TOO_FEW
    return ("better" if cell.estimate > 0 else "worse") if cell.shown else "not distinguishable"


def span(cell: Cell) -> str:
    """An estimate with its interval, e.g. `+0.019 (95 % interval +0.010 to +0.028)`."""
    return f"{change(cell.estimate)} (95 % interval {change(cell.low)} to {change(cell.high)})"


def change(value: float | None) -> str:
    """A signed difference in mAP50-95, three digits, with a true minus."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _found(numbers: EffectNumbers) -> list[str]:
    words = []
    for sign, word in ((1, "better"), (-1, "worse")):
        some = [c for c in numbers.shown if (c.estimate or 0) * sign > 0]
        if not some:
            continue
        dead = {slot: " (a dead slot)" for slot in numbers.dead}
        named = [f"{c.module} at {c.slot}{dead.get(c.slot, '')} by {span(c)}" for c in some[:MOST]]
        more = f"; and {len(some) - MOST} more, marked below" if len(some) > MOST else ""
        words.append(f"{word.capitalize()} than the base in mAP50-95: {'; '.join(named)}{more}.")
    return words


def _singled(numbers: EffectNumbers) -> list[str]:
    words = []
    for sign, word in ((1, "better"), (-1, "worse")):
        some = [c for c in numbers.singled if (c.estimate or 0) * sign > 0]
        if not some:
            continue
        if len(some) == 1:
            what = f"The architecture {some[0].alone} alone is {word} than the base by {span(some[0])}"
            words.append(f"{what} (1 architecture: not its module in general).")
            continue
        named = "; ".join(f"{c.alone} by {span(c)}" for c in some[:MOST])
        more = f"; and {len(some) - MOST} more" if len(some) > MOST else ""
        words.append(
            f"Single architectures alone are {word} than the base, not their modules in general: {named}{more}."
        )
    return words


def _overlap(cells: Sequence[Cell]) -> str:
    ends = [(c.low, c.high, (c.estimate or 0) > 0) for c in cells if c.low is not None and c.high is not None]
    crossing = any(a[2] == b[2] and a[0] <= b[1] and b[0] <= a[1] for i, a in enumerate(ends) for b in ends[i + 1 :])
    return "Where intervals overlap, these are not ranked among one another." if crossing else ""


def _rest(numbers: EffectNumbers) -> str:
    rest = len(numbers.measured) - len(numbers.shown) - len(numbers.singled)
    if not rest:
        return ""
    verb = "is" if rest == 1 else "are"
    left = f"Of the {len(numbers.measured)} effects measured, the other {rest} {verb} not distinguishable from none."
    return f"{left} {_plan(numbers)}"


def _obstacle(numbers: EffectNumbers) -> str:
    tests = sum(c.of_module for c in numbers.measured)
    if tests:
        if tests == 1:
            return "its one measured effect of a module at a slot cannot be told from zero (5 %)."
        return (
            f"none of its {tests} effects (a module at a slot) can be told from zero (5 %, corrected for their number)."
        )
    if numbers.df and not (numbers.sd or 0.0) > EXACT:
        return "its runs show no noise at all, so there is nothing to judge a difference by."
    if not numbers.df:
        few = (
            f"{numbers.trials} usable trial{'s are' if numbers.trials > 1 else ' is'} too few for its modules and slots"
        )
        return f"{few}; none is left to measure noise with."
    determined = [c for c in numbers.cells if c.estimate is not None]
    if any(c.of_module for c in determined):
        return "its architectures are too few to tell a module from its settings and neighbours."
    if determined:
        return f"that takes at least {LEAST} architectures with the same module at the same slot."
    return "no effect of a module can be told apart from what it was trained together with."


def _largest(numbers: EffectNumbers) -> str:
    if not numbers.measured:
        return ""
    top = max(numbers.measured, key=lambda c: abs(c.estimate or 0))
    freedom = f"{numbers.df} degree{'s' if numbers.df > 1 else ''} of freedom"
    return (
        f"A single run varies by {numbers.sd:.3f} (standard deviation, {freedom}); the largest estimate is "
        f"{top.alone or f'{top.module} at {top.slot}'}, {span(top)}."
    )


def _plan(numbers: EffectNumbers) -> str:
    trials = trials_needed(numbers)
    if trials is None:
        return ""
    return (
        f"To show a difference of {WORTH:g} mAP50-95 to the base with a power of {100 * POWER:.0f} % takes about "
        f"{trials} trials spread evenly over the modules; usable here: {numbers.trials}."
    )
