"""Figures that compare a study's posterior with the truth of a simulated study."""

from __future__ import annotations

from typing import Any

import numpy as np
from additive_claims import additive_claims, raw_claims
from simulated_studies import PLANTED, Truth

from nas_attn.analysis.difference import Difference
from nas_attn.analysis.effects.estimate import Cell, effect_numbers
from nas_attn.analysis.posterior import StudyPosterior, posterior
from nas_attn.space import NONE, Architecture, Gene
from nas_attn.statistics.pareto import front_of
from nas_attn.study.view import StudyView

BANDS = ((0.05, 0.15), (0.45, 0.55), (0.85, 0.95))  # of the probability to be on the front
UNTRAINED = 40


def figures(view: StudyView, truth: Truth) -> dict[str, Any]:
    """The figures of one study.

    Returns:
        `trained` and `untrained`: (intervals of differences to the base that hold the truth, all); `claims`: candidates
        and modules at slots that are called better or worse; `wrong`: those with the wrong sign; `winner`: estimate of
        the best candidate minus its truth; `raw`: the same of the highest raw difference; `bands`: for each band,
        (candidates in it, those truly on the front); `regret`: share of the true front's hypervolume that the
        reported front misses, and that of raw means; `named`: the planted module is called better than nothing, or than
        the other choices there; `additive`, `additive_named`, `raw_claims`: the same of the earlier release.
    """
    found = posterior(view)
    assert found is not None
    true = np.array([truth.truth(c.architecture) for c in found.candidates])
    at = next(i for i, c in enumerate(found.candidates) if c.architecture.is_base)
    gains = true - true[at]
    others = np.arange(len(true)) != at
    inside = [d.low <= gain <= d.high for d, gain in zip(found.differences, gains, strict=True)]
    rng = np.random.default_rng(truth.seed)
    asked = [found.coded.architecture(tuple(p)) for p in found.coded.space.random(rng, 2 * UNTRAINED)]
    trained = {c.architecture for c in found.candidates}
    asked = [a for a in dict.fromkeys(asked) if a not in trained][:UNTRAINED]
    outside = [_holds(found.difference(a), truth.truth(a) - true[at]) for a in asked]
    numbers = effect_numbers(view)
    signs = [int(s) for s in found.signs]
    wrong = sum(bool(s) and np.sign(g) != s for s, g in zip(signs, gains, strict=True))
    for c in numbers.shown:
        wrong += bool(c.sign) and _effect_sign(c, found, truth) != c.sign
        wrong += bool(c.lead_sign) and _lead_sign(c, found, truth) != c.lead_sign
    best = int(np.argmax(np.where(others, found.means, -np.inf)))
    raw = [(c.delta if c.delta is not None and i != at else -np.inf) for i, c in enumerate(found.candidates)]
    lucky = int(np.argmax(raw))
    real = np.zeros(len(true), bool)
    real[front_of(true, found.gmacs)] = True
    bands = [[int(here.sum()), int(real[here].sum())] for here in _bands(found.on_front)]
    plain = np.array([c.score if c.score is not None else np.nan for c in found.candidates])
    additive = additive_claims(view)
    return {
        "trained": [int(np.sum(np.array(inside)[others])), int(others.sum())],
        "untrained": [int(sum(outside)), len(outside)],
        "claims": sum(map(bool, signs)) + len(numbers.shown),
        "wrong": int(wrong),
        "winner": round(float(found.means[best] - found.means[at] - gains[best]), 6),
        "raw": round(float(raw[lucky] - gains[lucky]), 6),
        "bands": bands,
        "regret": [round(_regret(v, true, found.gmacs), 5) for v in (found.means, plain)],
        "named": any((c.slot, c.module) == PLANTED and max(c.sign, c.lead_sign) > 0 for c in numbers.shown),
        "nothing": round(found.nothing, 4),
        "additive": len(additive),
        "additive_named": additive.get(PLANTED, 0) > 0,
        "raw_claims": raw_claims(view),
    }


def _holds(difference: Difference, gain: float) -> bool:
    return bool(difference.low <= gain <= difference.high)


def _effect_sign(cell: Cell, found: StudyPosterior, truth: Truth) -> int:
    gains = [truth.truth(a) - truth.truth(_changed(a, cell.slot, NONE)) for a in _having(cell, found)]
    return _sign(gains)


def _lead_sign(cell: Cell, found: StudyPosterior, truth: Truth) -> int:
    others: dict[str, set[Gene]] = {}
    for c in found.candidates:
        if (gene := c.architecture[cell.slot]).module != cell.module:
            others.setdefault(gene.module, set()).add(gene)
    gains = []
    for a in _having(cell, found):
        means = [
            np.mean([truth.truth(_changed(a, cell.slot, g)) for g in sorted(some, key=str)]) for some in others.values()
        ]
        gains.append(truth.truth(a) - float(np.mean(means)))
    return _sign(gains)


def _having(cell: Cell, found: StudyPosterior) -> list[Architecture]:
    architectures = (c.architecture for c in found.candidates)
    return [a for a in architectures if a[cell.slot].module == cell.module]


def _sign(gains: list[float]) -> int:
    gain = float(np.mean(gains))
    return int(np.sign(gain)) if abs(gain) > 1e-9 else 0  # but for rounding


def _changed(architecture: Architecture, slot: str, gene: Gene) -> Architecture:
    return Architecture.of({s: gene if s == slot else g for s, g in architecture})


def _bands(probability: np.ndarray) -> list[np.ndarray]:
    return [(low <= probability) & (probability <= high) for low, high in BANDS]


def _regret(values: np.ndarray, true: np.ndarray, gmacs: np.ndarray) -> float:
    """1 - HV / HV of the true front, above the worst trained architecture and below the highest cost."""
    known = np.flatnonzero(np.isfinite(values))
    chosen = known[front_of(values[known], gmacs[known])]
    whole = _volume(np.arange(len(true)), true, gmacs)
    return 1 - _volume(chosen, true, gmacs) / whole if whole > 0 else 0.0


def _volume(chosen: np.ndarray, true: np.ndarray, gmacs: np.ndarray) -> float:
    floor, limit = float(true.min()), float(gmacs.max()) + 0.02 * float(np.ptp(gmacs))
    order = chosen[np.lexsort((-true[chosen], gmacs[chosen]))]
    best = np.maximum.accumulate(true[order])
    return float(np.sum(np.diff(best, prepend=floor) * (limit - gmacs[order])))
