"""The effects of modules and settings, as contrasts of a study's posterior.

The effect of a module at a slot is the difference f(architecture) - f(the same without the module), averaged over the
trained architectures that have it there. Its lead is the difference to the mean of all other choices that were trained
at the slot, averaged over the same architectures. A search seldom leaves a good slot empty, so it knows leads better.
The effect over all slots is the mean over the slots at which the module was trained. The effect of a value of a setting
is f with this value minus the mean of f over all trained values, averaged over trained architectures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from nas_attn.analysis.difference import Difference
from nas_attn.analysis.posterior import StudyPosterior, comparable, obstacle, posterior
from nas_attn.evaluate.score import MAP, Score
from nas_attn.known_cost.contrasts import Contrasts
from nas_attn.space import NONE, Gene
from nas_attn.space.architecture import natural
from nas_attn.study.view import StudyView, Trial

MOST = 40  # architectures that an effect is averaged over: more would change little
POINTS = 1500  # of all effects and leads together, to limit the time
LEADS = 40  # effects with a lead: those in most architectures
OTHERS = 8  # other modules that a lead is taken over
FEW = 2  # settings of another module that a lead is taken over
ALL = "all slots"  # in place of a slot, for the effect over all slots
Key = tuple[str, str]  # (slot, module)
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One module at one slot.

    Attributes:
        slot: the slot, or `ALL`.
        module: the module; never `none`.
        trials: number of trials with the module at the slot that count: usable, or stopped with an expected end.
        seeds: number of different seeds of these trials.
        architectures: number of different architectures of these trials.
        effect: the difference to no module in the score; None if there is no usable trial, or no posterior.
        lead: the difference to the mean of the other choices there; None as `effect`, or if there was no other choice.
        sign: 1 if the module is better there than nothing, -1 if it is worse, 0 if the study cannot tell. All claims
            on modules at slots together are wrong with a probability of at most 5 %.
        lead_sign: the same of `lead`.
        why: the reason why there is no effect.
    """

    slot: str
    module: str
    trials: int = 0
    seeds: int = 0
    architectures: int = 0
    effect: Difference | None = None
    lead: Difference | None = None
    sign: int = 0
    lead_sign: int = 0
    why: str = ""


@dataclass(frozen=True)
class SettingEffect:
    """One value of a setting of a module, against the mean of all its trained values.

    Attributes:
        module: the module.
        setting: name of the setting.
        value: the value.
        effect: the effect in the score.
        sign: 1 if the value is better than the mean, -1 if it is worse, 0 if the study cannot tell.
    """

    module: str
    setting: str
    value: object
    effect: Difference
    sign: int


@dataclass(frozen=True)
class EffectNumbers:
    """The effects of all modules at all slots.

    Attributes:
        slots: the slots of the study, in natural order.
        modules: the modules of its trials by name, the plain convolution last.
        cells: all cells, slot by slot.
        overall: for each module, its effect over all slots.
        dead: the dead slots.
        trials: number of trials that the effects come from.
        found: the posterior; None if there is an `obstacle`.
        obstacle: the reason why there is no posterior.
        score: the score by which the study is read.
    """

    slots: tuple[str, ...]
    modules: tuple[str, ...]
    cells: tuple[Cell, ...]
    overall: tuple[Cell, ...]
    dead: tuple[str, ...] = ()
    trials: int = 0
    found: StudyPosterior | None = None
    obstacle: str | None = None
    score: Score = MAP

    def cell(self, slot: str, module: str) -> Cell:
        """The cell of a module at a slot."""
        return self.cells[self.slots.index(slot) * len(self.modules) + self.modules.index(module)]

    @property
    def measured(self) -> tuple[Cell, ...]:
        """The cells with an effect."""
        return tuple(c for c in self.cells if c.effect is not None)

    @property
    def shown(self) -> tuple[Cell, ...]:
        """The cells whose module is claimed to be better or worse than nothing, or than the other choices."""
        return tuple(c for c in self.cells if c.sign or c.lead_sign)


def effect_numbers(view: StudyView) -> EffectNumbers:
    """The effects in a study."""
    rows = [t for t in view.trials if t.state != "running"]
    found = posterior(view)
    usable = found.runs if found is not None else comparable(view)
    slots = tuple(
        sorted({s for t in rows for s in t.architecture.slots} | set(view.slots.get("drop", ())), key=natural)
    )
    names = {gene.module for t in rows for _, gene in t.architecture if gene != NONE}
    modules = tuple(sorted(names, key=lambda m: (m == "conv", m)))
    live = view.slots.get("live")
    dead = tuple(s for s in slots if live is not None and s in view.slots.get("drop", ()) and s not in live)
    used = [t for t in rows if t.state != "refused"]
    cells = {(s, m): _cell(s, m, usable, used) for s in slots for m in modules}
    overall = {m: _cell(ALL, m, usable, used) for m in modules}
    filled = [key for key, cell in cells.items() if cell.trials]
    if found is not None and filled:
        sums, compared = _removed(found, filled)
        n, both = len(filled), np.concatenate([np.ones(len(filled), bool), compared])
        effects, leads, signs = sums.draws[:, :n], sums.draws[:, n:], found.claimed(sums.take(both))
        led = dict(zip(np.flatnonzero(compared).tolist(), signs[n:].tolist(), strict=True))
        for i, key in enumerate(filled):
            lead = Difference.of(leads[:, i], found.score) if compared[i] else None
            effect = Difference.of(effects[:, i], found.score)
            cells[key] = replace(cells[key], effect=effect, lead=lead, sign=int(signs[i]), lead_sign=led.get(i, 0))
        there = [m for m in modules if overall[m].trials]
        for m in there:
            draws = effects[:, [m == k[1] for k in filled]].mean(1)
            overall[m] = replace(overall[m], effect=Difference.of(draws, found.score))
    return EffectNumbers(
        *(slots, modules, tuple(cells.values()), tuple(overall.values()), dead, len(usable), found, obstacle(view)),
        score=view.score,
    )


def _cell(slot: str, module: str, usable: Sequence[Trial], used: Sequence[Trial]) -> Cell:
    def has(trial: Trial) -> bool:
        return any(gene.module == module and slot in (s, ALL) for s, gene in trial.architecture)

    here = [t for t in usable if has(t)]
    if here:
        return Cell(slot, module, len(here), len({t.seed for t in here}), len({t.architecture for t in here}))
    tried = any(has(t) for t in used)
    return Cell(slot, module, why="no usable trial: failed or not comparable" if tried else "never trained")


class _Sums:
    """Sums of f over points, collected to be drawn together.

    Args:
        at: the positions of points, shared with other sums; None for sums of their own.
    """

    def __init__(self, at: dict[tuple[int, ...], int] | None = None) -> None:
        self.at = {} if at is None else at
        self.rows: list[dict[int, float]] = []

    def begin(self) -> None:
        self.rows.append({})

    def add(self, point: Sequence[int], factor: float) -> None:
        i = self.at.setdefault(tuple(int(p) for p in point), len(self.at))
        self.rows[-1][i] = self.rows[-1].get(i, 0.0) + factor

    def contrasts(self, found: StudyPosterior) -> Contrasts:
        matrix = np.zeros((len(self.rows), len(self.at)))
        for i, row in enumerate(self.rows):
            matrix[i, list(row)] = list(row.values())
        return found.contrasts(np.array(list(self.at)), matrix)


def _removed(found: StudyPosterior, keys: Sequence[Key]) -> tuple[Contrasts, np.ndarray]:
    """The effects of modules at slots, then their leads, and where leads exist."""
    effects = _Sums()
    leads = _Sums(effects.at)
    compared = np.zeros(len(keys), bool)
    having = [sum(genes[p[s]].module == m for p in found.seen) for s, genes, m in _places(found, keys)]
    led = set(sorted(range(len(keys)), key=lambda k: -having[k])[:LEADS])
    modules = min(OTHERS, len({module for _, module in keys}))
    most = min(MOST, max(2, POINTS // max(1, 2 * len(keys) + len(led) * FEW * modules)))
    for k, (s, genes, module) in enumerate(_places(found, keys)):
        here = some([p for p in found.seen if genes[p[s]].module == module], most)
        others: dict[str, list[int]] = {}
        for i in dict.fromkeys(int(p[s]) for p in found.seen):
            if genes[i].module != module:
                others.setdefault(genes[i].module, []).append(i)
        effects.begin()
        leads.begin()
        others = {m: others[m] for m in some(sorted(others), OTHERS)} if k in led else {}
        compared[k] = bool(others.keys() - {"none"})  # else the lead is the effect
        for point in here:
            share = 1 / len(here)
            effects.add(point, share)
            effects.add(_moved(point, s, genes.index(NONE)), -share)
            leads.add(point, share)
            for some_genes in others.values():
                for i in some(some_genes, FEW):
                    leads.add(_moved(point, s, i), -share / len(others) / min(FEW, len(some_genes)))
    effects.rows += leads.rows
    return effects.contrasts(found), compared


def _places(found: StudyPosterior, keys: Sequence[Key]) -> list[tuple[int, tuple[Gene, ...], str]]:
    """For each key: the position of its slot, the genes there, and the module."""
    names = list(found.coded.genes)
    return [(names.index(slot), found.coded.genes[slot], module) for slot, module in keys]


def _moved(point: Iterable[int], slot: int, gene: int) -> list[int]:
    """The point with another gene at a slot."""
    moved = [int(i) for i in point]
    moved[slot] = gene
    return moved


def setting_effects(found: StudyPosterior) -> list[SettingEffect]:
    """The effects of the trained values of all settings, module by module."""
    keys: list[tuple[str, str, object]] = []
    sums = _Sums()
    for module in sorted({g.module for genes in found.coded.genes.values() for g in genes} - {"none"}):
        for name, values in _trained_values(found, module).items():
            pairs = _variations(found, module, name, values)
            for value in values if pairs else ():
                keys.append((module, name, value))
                sums.begin()
                for of in pairs:
                    sums.add(of[value], 1 / len(pairs))
                    for point in of.values():
                        sums.add(point, -1 / len(pairs) / len(of))
    if not keys:
        return []
    effects = sums.contrasts(found)
    drawn, signs = effects.draws.T, found.claimed(effects)
    return [
        SettingEffect(*key, Difference.of(d, found.score), int(s)) for key, d, s in zip(keys, drawn, signs, strict=True)
    ]


def _genes_at(found: StudyPosterior, module: str) -> list[tuple[np.ndarray, int, Gene]]:
    """(point, position of the slot, gene) wherever a trained architecture has the module."""
    every = enumerate(found.coded.genes.values())
    return [(p, s, genes[p[s]]) for s, genes in every for p in found.seen if genes[p[s]].module == module]


def _trained_values(found: StudyPosterior, module: str) -> dict[str, list[object]]:
    """Setting -> its trained values, for settings with at least two."""
    values: dict[str, dict[object, None]] = {}
    for _, _, gene in _genes_at(found, module):
        for name, value in {"residual": "none", **gene.as_dict()}.items():
            values.setdefault(name, {})[value] = None
    return {name: sorted(some, key=natural_of) for name, some in values.items() if len(some) > 1}


def _variations(
    found: StudyPosterior, module: str, name: str, values: Sequence[object]
) -> list[dict[object, Sequence[int]]]:
    """For some trained architectures: value -> the point with this value of the setting, all else equal."""
    vary: list[dict[object, Sequence[int]]] = []
    places = list(found.coded.genes.values())
    for point, s, gene in some(_genes_at(found, module)):
        of: dict[object, Sequence[int]] = {}
        for value in values:
            other = Gene.of(module, {**gene.as_dict(), name: value})
            if other in places[s]:
                of[value] = _moved(point, s, places[s].index(other))
        if len(of) == len(values):
            vary.append(of)
    return vary


def natural_of(value: object) -> tuple[int, object]:
    """A key that sorts numbers by size, and everything else by its text."""
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def some(items: Sequence[T], most: int = MOST) -> list[T]:
    """At most so many items, spread evenly over all."""
    if len(items) <= most:
        return list(items)
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, most)]
