"""The conclusion from the effects of a study: sentences on the modules that differ, and on further trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from nas_attn.analysis.difference import Difference, percent
from nas_attn.analysis.effects.estimate import Cell, EffectNumbers
from nas_attn.analysis.posterior import StudyPosterior
from nas_attn.space import NONE, Architecture

WORTH = 0.01  # of any score, one point: the difference that the suggested number of trials would show
MOST = 6  # most cells named in a sentence
FEW = 3  # most architectures named in a sentence
THAN = "than nothing, or than the other choices there"
CANNOT = "This study cannot rank these modules"
RATE = "claims are made so that at most 5 % of studies have a wrong one, however many architectures were tried"


def effects_sentence(numbers: EffectNumbers) -> str:
    """The sentences above the heat map.

    They name a module only if it is claimed to be better or worse at a slot, and rank no modules with overlapping
    intervals.
    """
    if not any(c.trials for c in numbers.cells):
        return "This study cannot rank modules yet: no usable trial has a module."
    if numbers.found is None:
        return f"This study cannot rank modules yet: {numbers.obstacle}."
    architectures = _architectures(numbers.found)
    if numbers.shown:
        parts = [*_found(numbers, NOTHING, _effect), *_found(numbers, OTHERS, _lead), _overlap(numbers.shown)]
        rest = len(numbers.measured) - len(numbers.shown)
        if rest:
            other = "The other one" if rest == 1 else f"The other {rest}"
            verb = "is" if rest == 1 else "are"
            parts.append(f"{other} of {len(numbers.measured)} modules at slots {verb} not distinguishable.")
        parts += [architectures, _plan(numbers)]
    else:
        n = len(numbers.measured)
        compared = f"none of its {n} modules at slots" if n > 1 else "its only module at a slot"
        parts = [f"{CANNOT}: {compared} is surely better or worse {THAN} ({RATE})."]
        parts += [_noise(numbers.found), architectures, _largest(numbers), _plan(numbers)]
    return " ".join(p for p in parts if p)


def trials_needed(found: StudyPosterior) -> int | None:
    """The further trials that would show a difference of `WORTH` between the best candidate and the base.

    Half of them train the candidate, half of them the base, with equal seeds; the power is 80 %.
    """
    others = [i for i, c in enumerate(found.candidates) if not c.architecture.is_base]
    if not others:
        return None
    best = max(others, key=lambda i: (found.means[i], -found.gmacs[i]))
    return 2 * found.pairs_to_show(found.candidates[best], WORTH)


def verdict_at(cell: Cell) -> str:
    """The verdict on a cell's module, against nothing at the slot or against the other choices there."""
    if cell.effect is None:
        return "not measured"
    if cell.sign:
        return "better" if cell.sign > 0 else "worse"
    if cell.lead_sign:
        return f"{'better' if cell.lead_sign > 0 else 'worse'} than others"
    return "not distinguishable"


def span(difference: Difference) -> str:
    """The estimate with its interval, e.g. `+0.019 (95 % interval +0.010 to +0.028)`."""
    return f"{change(difference.mean)} (95 % interval {change(difference.low)} to {change(difference.high)})"


def change(value: float | None) -> str:
    """The difference in the score with its sign and three digits."""
    return "–" if value is None else f"{value:+.3f}"


Asked = Callable[[Cell], tuple[int, Difference | None]]
NOTHING, OTHERS = "than nothing at its slot", "than the other choices at its slot"


def _effect(cell: Cell) -> tuple[int, Difference | None]:
    return cell.sign, cell.effect


def _lead(cell: Cell) -> tuple[int, Difference | None]:
    return cell.lead_sign, cell.lead


def _found(numbers: EffectNumbers, than: str, asked: Asked) -> list[str]:
    words = []
    for sign, word in ((1, "Better"), (-1, "Worse")):
        some = [(c, d) for c in numbers.cells for s, d in [asked(c)] if s == sign and d is not None]
        if not some:
            continue
        dead = {slot: " (a dead slot)" for slot in numbers.dead}
        some.sort(key=lambda pair: -abs(pair[1].mean))
        named = [f"{c.module} at {c.slot}{dead.get(c.slot, '')}: {span(d)}" for c, d in some[:MOST]]
        more = f"; and {len(some) - MOST} more, framed below" if len(some) > MOST else ""
        words.append(f"{word} {than}, in {numbers.score.words}: {'; '.join(named)}{more}.")
    return words


def _overlap(cells: Sequence[Cell]) -> str:
    ends = [(d.low, d.high, s) for c in cells for s, d in (_effect(c), _lead(c)) if s and d is not None]
    crossing = any(a[2] == b[2] and a[0] <= b[1] and b[0] <= a[1] for i, a in enumerate(ends) for b in ends[i + 1 :])
    return "Modules with overlapping intervals are not ranked against each other." if crossing else ""


def _architectures(found: StudyPosterior) -> str:
    """A sentence on the architectures that differ from the base; empty if there is none."""
    others = sum(not c.architecture.is_base for c in found.candidates)
    said = []
    for word, sign in (("better", 1), ("worse", -1)):
        at = sorted(np.flatnonzero(found.signs == sign), key=lambda i: -abs(found.differences[i].mean))
        if at:
            named = [f"{_short(found.candidates[i].architecture)} ({change(found.differences[i].mean)})" for i in at]
            more = f" and {len(at) - FEW} more" if len(at) > FEW else ""
            verb = "is" if len(at) == 1 else "are"
            said.append(f"{len(at)} {verb} {word} than the base: {', '.join(named[:FEW])}{more}")
    if not said:
        return ""
    if others == 1:
        return f"The only trained architecture {said[0].removeprefix('1 ')}."
    return f"Of {others} trained architectures, {'; '.join(said)}."


def _short(architecture: Architecture) -> str:
    """An architecture without its empty slots."""
    return " ".join(f"{slot}={gene}" for slot, gene in architecture if gene != NONE)


def _noise(found: StudyPosterior) -> str:
    noise, spread = found.noise.mean, found.spread.mean
    if noise <= spread:
        return f"The probability that no module makes any difference is {percent(found.nothing)}."
    return (
        f"The noise of one run ({noise:.4f}) is larger than the spread of all architectures ({spread:.4f}), and the "
        f"probability that no module makes any difference is {percent(found.nothing)}: longer runs or more data would "
        "say more than more trials."
    )


def _largest(numbers: EffectNumbers) -> str:
    measured = [(c, c.lead or c.effect) for c in numbers.measured]
    some = [(c, d) for c, d in measured if d is not None]
    if not some:
        return ""
    top, difference = max(some, key=lambda pair: abs(pair[1].mean))
    than = "the other choices there" if top.lead else "nothing"
    return f"The largest estimate is {top.module} at {top.slot} against {than}: {span(difference)}."


def _plan(numbers: EffectNumbers) -> str:
    trials = trials_needed(numbers.found) if numbers.found is not None else None
    if not trials:
        return ""
    unit: int = 10 ** max(0, len(str(trials)) - 2)  # rounded to two digits, because the noise is only an estimate
    rounded = math.ceil(trials / unit) * unit
    return (
        f"Together with the trials so far, about {rounded} further ones, half of the best architecture and half of the "
        f"base, would show a difference of {WORTH:g} {numbers.score.words} between them with a power of 80 %."
    )
