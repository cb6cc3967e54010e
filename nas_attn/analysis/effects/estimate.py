"""The effect of each module at each slot, estimated from all trials of a study together.

The model is additive and fitted by least squares:

    mAP50-95[trial] = level[seed] + Σ over slots of effect[slot, module there] + noise,    effect[slot, none] = 0

So an effect is the difference to the base that a module makes at a slot. Base trials with the same seed give the level
of the seed; for a single module with all seeds, the model is the paired t-test. The model assumes that effects add up:
slots do not interact, and the effect of a module is the average over its trained settings. Deviations from the sum
widen the intervals: the error is measured between architectures if they may differ by more than the noise of runs, or
if they are too few to exclude that (see `additive_model`).

A claim about a module needs at least three architectures that have it at that slot. With fewer, the difference may come
from the settings and neighbours of one architecture, so the cell is shown without a claim. If its only architecture has
no other module, this architecture is compared with the base directly, by the noise of their runs, and is named in place
of the module. One correction covers both kinds of test.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas_attn.analysis.noise import noise
from nas_attn.space import NONE
from nas_attn.space.architecture import natural
from nas_attn.statistics.additive_model import Effect, fit
from nas_attn.statistics.holm import holm
from nas_attn.study.view import StudyView, Trial

if TYPE_CHECKING:
    import numpy as np

NO_NOISE = "no interval: the runs show no noise"
NO_FREEDOM = "no interval: no trial is left to estimate the noise"
UNCHECKED = "no interval: too few architectures to check that effects add up"
UNTESTED = "not tested: too few architectures to check the influence of settings and combinations"
ROLES = ("base", "conv", "search")  # roles of a search's trials; others are no sample of the space
LEVEL = 0.05  # significance level of all claims together
LEAST = 3  # least architectures for a claim about a module
MOST = 400  # most architectures in a fit: the time grows with the third power
Key = tuple[str, str]  # (slot, module)


@dataclass(frozen=True)
class Cell:
    """One module at one slot.

    Attributes:
        slot: the slot.
        module: the module; never `none`.
        trials: number of usable trials with the module at the slot.
        seeds: number of different seeds of these trials.
        estimate: difference to the base in mAP50-95; None if the trials do not determine it.
        low: lower end of the 95 % interval, without correction; None without an estimate of effect or noise.
        high: upper end.
        p: two-sided p-value; None if `low` is None.
        p_corrected: p-value after Holm's correction for all tests; None if the cell was not tested.
        why: the reason why there is no estimate, no interval, or no claim about the module.
        architectures: number of different architectures of these trials.
        alone: the only architecture, e.g. `p3=lska(k_size=23)`, if it has no other module. The numbers then compare
            this architecture with the base.
    """

    slot: str
    module: str
    trials: int = 0
    seeds: int = 0
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    why: str = ""
    architectures: int = 0
    alone: str = ""

    @property
    def of_module(self) -> bool:
        """True if enough architectures have the module for a claim about it."""
        return self.architectures >= LEAST

    @property
    def differs(self) -> bool:
        """True if the module, or the architecture `alone`, differs significantly from the base after correction."""
        return self.p_corrected is not None and self.p_corrected < LEVEL

    @property
    def shown(self) -> bool:
        """True if the module differs significantly from the base at this slot after correction."""
        return self.differs and self.of_module


@dataclass(frozen=True)
class EffectNumbers:
    """The effects of all modules at all slots.

    Attributes:
        slots: the slots of the study, in natural order.
        modules: the modules of its trials by name, the plain convolution last.
        cells: all cells, slot by slot.
        dead: the dead slots.
        trials: number of usable trials in the fit.
        seeds: number of different seeds of these trials.
        df: degrees of freedom of the model's error; 0 if none are left.
        sd: standard deviation of one run around the model, in mAP50-95. Without degrees of freedom it is that of the
            controls' repeated runs, or None if there are none.
        between: True if architectures differ by more than the sum of effects and the noise of runs.
        based: True if the fit has a trial of the base. Otherwise an effect is the difference to runs without a module
            at that slot.
        drawn: (architectures in the fit, all architectures), if the study has more than `MOST`.
    """

    slots: tuple[str, ...]
    modules: tuple[str, ...]
    cells: tuple[Cell, ...]
    dead: tuple[str, ...] = ()
    trials: int = 0
    seeds: int = 0
    df: int = 0
    sd: float | None = None
    between: bool = False
    based: bool = True
    drawn: tuple[int, int] | None = None

    def cell(self, slot: str, module: str) -> Cell:
        """The cell of a module at a slot."""
        return self.cells[self.slots.index(slot) * len(self.modules) + self.modules.index(module)]

    @property
    def measured(self) -> tuple[Cell, ...]:
        """The tested cells: modules, and single architectures that are named in place of a module."""
        return tuple(c for c in self.cells if c.p_corrected is not None)

    @property
    def shown(self) -> tuple[Cell, ...]:
        """The cells whose module differs significantly from the base."""
        return tuple(c for c in self.cells if c.shown)

    @property
    def singled(self) -> tuple[Cell, ...]:
        """The cells whose only architecture differs significantly from the base."""
        return tuple(c for c in self.cells if c.differs and not c.of_module)


def effect_numbers(view: StudyView) -> EffectNumbers:
    """The effects in a study, from the usable trials of the base, the `conv` control and the search."""
    asked = [t for t in view.trials if t.role in ROLES and t.state != "running"]
    rows = sorted((t for t in asked if _counts(t)), key=lambda t: t.number)
    architectures = {str(t.architecture) for t in rows if not t.architecture.is_base}
    kept = drawn(architectures)
    rows = [t for t in rows if t.architecture.is_base or str(t.architecture) in kept]
    asked = [t for t in asked if t.architecture.is_base or not _counts(t) or str(t.architecture) in kept]
    names = {s for t in asked for s in t.architecture.slots} | set(view.slots.get("drop", ()))
    slots = tuple(sorted(names, key=natural))
    found = {gene.module for t in asked for _, gene in t.architecture if gene != NONE}
    modules = tuple(sorted(found, key=lambda m: (m == "conv", m)))
    live = view.slots.get("live")
    dead = tuple(s for s in slots if live is not None and s in view.slots.get("drop", ()) and s not in live)
    used: dict[Key, list[Trial]] = {}
    for trial in asked:
        for key in _keys(trial):
            used.setdefault(key, []).append(trial)
    empty = {(s, m): _unfitted(s, m, used.get((s, m), [])) for s in slots for m in modules}
    filled = {k: c for k, c in empty.items() if c.trials}
    estimate = noise(view)
    numbers = EffectNumbers(
        slots,
        modules,
        tuple(empty.values()),
        dead,
        len(rows),
        len({t.seed for t in rows}),
        sd=estimate.sd_single if estimate else None,
        based=any(t.architecture.is_base for t in rows),
        drawn=(len(kept), len(architectures)) if len(kept) < len(architectures) else None,
    )
    return _fitted(numbers, filled, rows) if filled else numbers


def drawn(names: Collection[str], most: int = MOST) -> set[str]:
    """A random sample of at most `most` names; equal names give equal samples."""
    return set(names) if len(names) <= most else set(random.Random(0).sample(sorted(names), most))


def _counts(trial: Trial) -> bool:
    return trial.usable and trial.map50_95 is not None and math.isfinite(trial.map50_95)


def _keys(trial: Trial) -> set[Key]:
    return {(slot, gene.module) for slot, gene in trial.architecture if gene != NONE}


def _unfitted(slot: str, module: str, used: Sequence[Trial]) -> Cell:
    """The cell of these trials, before the fit."""
    here = [t for t in used if _counts(t)]
    if here:
        distinct = len({str(t.architecture) for t in here})
        return Cell(slot, module, len(here), len({t.seed for t in here}), architectures=distinct)
    why = "no usable trial here: failed, refused or not comparable" if used else "never trained here"
    return Cell(slot, module, why=why)


def _fitted(numbers: EffectNumbers, filled: dict[Key, Cell], rows: Sequence[Trial]) -> EffectNumbers:
    import numpy as np

    keys = list(filled)
    present = [_keys(t) for t in rows]
    design = np.array([[k in found for k in keys] for found in present], float)
    values = np.array([t.map50_95 for t in rows])
    fitted = fit(values, design, [t.seed for t in rows], [str(t.architecture) for t in rows])
    alone = {keys[int(row.argmax())] for row in design if row.sum() == 1}
    cells = {}
    for j, key in enumerate(keys):
        effect = fitted.effects[j]
        if effect is None:
            cells[key] = replace(filled[key], why=_confounded(j, fitted.mixed[j], design, keys))
        elif effect.p is None:
            why = NO_NOISE if fitted.sd is not None else NO_FREEDOM
            cells[key] = replace(filled[key], estimate=effect.estimate, why=why)
        elif not fitted.checked and key not in alone:
            cells[key] = replace(filled[key], estimate=effect.estimate, why=UNCHECKED)
        else:
            cells[key] = _valued(filled[key], effect, _unclaimed(filled[key], fitted.lack))
        direct = fitted.alone[j]
        if direct is not None and direct.p is not None:
            name = next(f"{s}={g}" for t in rows for s, g in t.architecture if (s, g.module) == key)
            cells[key] = replace(_valued(filled[key], direct, _unclaimed(filled[key], fitted.lack)), alone=name)
    tested = [k for k, c in cells.items() if c.p is not None and (c.alone or not c.why)]
    if tested:
        corrected = holm([p for k in tested if (p := cells[k].p) is not None])
        cells |= {k: replace(cells[k], p_corrected=float(p)) for k, p in zip(tested, corrected, strict=True)}
    return replace(
        numbers,
        cells=tuple(cells.get((c.slot, c.module), c) for c in numbers.cells),
        df=fitted.df,
        sd=fitted.sd if fitted.df else numbers.sd,
        between=fitted.between,
    )


def _valued(cell: Cell, effect: Effect, why: str) -> Cell:
    return replace(cell, estimate=effect.estimate, low=effect.low, high=effect.high, p=effect.p, why=why)


def _unclaimed(cell: Cell, lack: int) -> str:
    """The reason why a cell with an interval has no claim about its module; empty if it has one."""
    if not cell.of_module:
        number = f"{cell.architectures} architecture{'s' * (cell.architectures > 1)}"
        return f"only {number} here: a claim about the module needs {LEAST}"
    return "" if lack else UNTESTED


def _confounded(own: int, mixed: Sequence[int], design: np.ndarray, keys: Sequence[Key]) -> str:
    """The reason why a trained cell has no estimate, e.g. `always together with lska at p4`."""
    here = design[design[:, own] > 0]
    always = [k for j, k in enumerate(keys) if j != own and (here[:, j] > 0).all()]
    if always:
        return "always together with " + _names(always)
    if mixed:
        return "cannot be separated from " + _names([keys[i] for i in mixed])
    return "only trained with seeds that no other architecture has"


def _names(keys: Sequence[Key], most: int = 3) -> str:
    words = [f"{module} at {slot}" for slot, module in keys]
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} more"]
    return ", ".join(words[:-1]) + (" and " if words[1:] else "") + words[-1]
