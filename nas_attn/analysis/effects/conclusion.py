"""The conclusion from the effects of a study: sentences on the modules that differ from the base."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas_attn.analysis.effects.estimate import LEAST, LEVEL, Cell, EffectNumbers
from nas_attn.statistics.additive_model import EXACT

WORTH = 0.01  # mAP50-95: the difference that the suggested number of trials would show
POWER = 0.8
MOST = 6  # most cells named in a sentence
TOO_FEW = "too few architectures"
CANNOT = "This study cannot rank these modules"


def effects_sentence(numbers: EffectNumbers) -> str:
    """The sentences above the heat map.

    They name a difference to the base only if it is significant after Holm's correction, and rank no modules with
    overlapping intervals. A result that rests on one architecture is stated for it, not for its module.
    """
    if not any(c.trials for c in numbers.cells):
        return "This study cannot rank modules yet: no usable trial has a module."
    if numbers.shown:
        parts = [*_found(numbers), _overlap(numbers.shown), *_singled(numbers), _rest(numbers)]
    else:
        seen = _singled(numbers) or [_largest(numbers)]
        parts = [f"{CANNOT}: {_obstacle(numbers)}", *seen, _plan(numbers)]
    if numbers.between:
        parts.append("Settings or combinations of modules also matter; each effect is an average over them.")
    if not numbers.based:
        compared = "each difference is to the runs without a module at that slot"
        parts.append(f"There is no usable trial of the base, so {compared}.")
    if numbers.drawn:
        few, all_ = numbers.drawn
        parts.append(f"These figures use {few:,} of the {all_:,} architectures, drawn at random.")
    return " ".join(p for p in parts if p)


def trials_needed(numbers: EffectNumbers) -> int | None:
    """The approximate number of trials that shows a difference of 0.01 mAP50-95 between a module and the base.

    The power is 80 %, at the level that Holm's correction gives a single cell. A trial fills all slots at once, and
    modules are assumed to be spread evenly. So the number is the runs per module, times the modules (and `none`) of
    the slot with the most. None without a noise estimate.
    """
    if numbers.sd is None or not numbers.sd > EXACT:
        return None
    from statsmodels.stats.power import TTestIndPower

    filled = [c for c in numbers.cells if c.trials]
    levels = 1 + max((sum(c.slot == s for c in filled) for s in numbers.slots), default=0)
    tests = sum(c.estimate is not None for c in filled) or len(filled) or 1
    size = min(WORTH / numbers.sd, 5.0)  # for larger effects two runs are enough, and the solver fails
    runs = TTestIndPower().solve_power(effect_size=size, alpha=LEVEL / tests, power=POWER)
    trials = math.ceil(float(runs)) * levels
    # rounded to two digits, because the noise is only an estimate
    unit: int = 10 ** max(0, len(str(trials)) - 2)
    return math.ceil(trials / unit) * unit


def verdict_at(cell: Cell) -> str:
    """The verdict on a cell's module after correction: `better`, `worse` or `not distinguishable`.

    It is `not measured` without an interval, and `TOO_FEW` if too few architectures have the module.
    """
    if cell.p is None or cell.estimate is None:
        return "not measured"
    if not cell.of_module or cell.p_corrected is None:
        return TOO_FEW
    return ("better" if cell.estimate > 0 else "worse") if cell.shown else "not distinguishable"


def span(cell: Cell) -> str:
    """The estimate with its interval, e.g. `+0.019 (95 % interval +0.010 to +0.028)`."""
    return f"{change(cell.estimate)} (95 % interval {change(cell.low)} to {change(cell.high)})"


def change(value: float | None) -> str:
    """The difference in mAP50-95 with its sign and three digits."""
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _found(numbers: EffectNumbers) -> list[str]:
    words = []
    for sign, word in ((1, "better"), (-1, "worse")):
        some = [c for c in numbers.shown if (c.estimate or 0) * sign > 0]
        if not some:
            continue
        dead = {slot: " (a dead slot)" for slot in numbers.dead}
        named = [f"{c.module} at {c.slot}{dead.get(c.slot, '')}: {span(c)}" for c in some[:MOST]]
        more = f"; and {len(some) - MOST} more, framed below" if len(some) > MOST else ""
        words.append(f"{word.capitalize()} than the base, in mAP50-95: {'; '.join(named)}{more}.")
    return words


def _singled(numbers: EffectNumbers) -> list[str]:
    words = []
    for sign, word in ((1, "better"), (-1, "worse")):
        some = [c for c in numbers.singled if (c.estimate or 0) * sign > 0]
        if not some:
            continue
        if len(some) == 1:
            what = f"The single architecture {some[0].alone} is {word} than the base: {span(some[0])}"
            words.append(f"{what}. This holds for this architecture, not for its module in general.")
            continue
        named = "; ".join(f"{c.alone}: {span(c)}" for c in some[:MOST])
        more = f"; and {len(some) - MOST} more" if len(some) > MOST else ""
        words.append(
            f"Some single architectures are {word} than the base: {named}{more}. This holds for these architectures, "
            "not for their modules in general."
        )
    return words


def _overlap(cells: Sequence[Cell]) -> str:
    ends = [(c.low, c.high, (c.estimate or 0) > 0) for c in cells if c.low is not None and c.high is not None]
    crossing = any(a[2] == b[2] and a[0] <= b[1] and b[0] <= a[1] for i, a in enumerate(ends) for b in ends[i + 1 :])
    return "Modules with overlapping intervals are not ranked against each other." if crossing else ""


def _rest(numbers: EffectNumbers) -> str:
    rest = len(numbers.measured) - len(numbers.shown) - len(numbers.singled)
    if not rest:
        return ""
    verb = "is" if rest == 1 else "are"
    left = f"The other {rest} of the {len(numbers.measured)} measured effects {verb} not distinguishable from zero."
    return f"{left} {_plan(numbers)}"


def _obstacle(numbers: EffectNumbers) -> str:
    tests = sum(c.of_module for c in numbers.measured)
    if tests:
        if tests == 1:
            return "its only measured effect is not distinguishable from zero (level 5 %)."
        return f"none of its {tests} effects (a module at a slot) is distinguishable from zero (level 5 %, corrected)."
    if numbers.df and not (numbers.sd or 0.0) > EXACT:
        return "its runs show no noise, so a difference cannot be judged."
    if not numbers.df:
        usable = f"{numbers.trials} usable trial{'s are' if numbers.trials > 1 else ' is'}"
        return f"{usable} too few for its modules and slots: no trial is left to estimate the noise."
    determined = [c for c in numbers.cells if c.estimate is not None]
    if any(c.of_module for c in determined):
        return "its architectures are too few to separate a module from its settings and neighbours."
    if determined:
        return f"a ranking needs at least {LEAST} architectures with the same module at the same slot."
    return "no effect of a module can be separated from the modules that it was trained with."


def _largest(numbers: EffectNumbers) -> str:
    if not numbers.measured:
        return ""
    top = max(numbers.measured, key=lambda c: abs(c.estimate or 0))
    freedom = f"{numbers.df} degree{'s' if numbers.df > 1 else ''} of freedom"
    return (
        f"The standard deviation of a single run is {numbers.sd:.3f} mAP50-95 ({freedom}). The largest estimate is "
        f"{top.alone or f'{top.module} at {top.slot}'}, {span(top)}."
    )


def _plan(numbers: EffectNumbers) -> str:
    trials = trials_needed(numbers)
    if trials is None:
        return ""
    return (
        f"About {trials} trials, spread evenly over the modules, show a difference of {WORTH:g} mAP50-95 to the base "
        f"with a power of {100 * POWER:.0f} %; this study has {numbers.trials} usable trials."
    )
