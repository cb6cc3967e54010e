"""The table of modules: best and median architecture of each, and its verdict from the corrected effects."""

from __future__ import annotations

import statistics

from nas_attn.analysis.effects.conclusion import TOO_FEW, verdict_at
from nas_attn.analysis.effects.estimate import ROLES, EffectNumbers
from nas_attn.analysis.tables import EMPTY, Table, signed
from nas_attn.study.view import StudyView

LUCK = (
    "The best of many architectures is partly luck: if it is trained again, its difference is usually smaller. The "
    "verdict is on the effect of the module at each slot, corrected for the number of effects. It needs three "
    "architectures that have the module."
)


def module_table(view: StudyView, numbers: EffectNumbers) -> Table:
    """The table with one row per module: trials, seeds, best and median difference to the base, verdict.

    Best and median are taken over the architectures that have the module at any slot. The difference of an
    architecture is its mean over equal seeds.
    """
    rows, keys = [], []
    for module in numbers.modules:
        found = [c for c in view.candidates() if c.role in ROLES and any(g.module == module for _, g in c.architecture)]
        trials = [t for c in found for t in c.trials if t.usable]
        measured = [(c.delta, c) for c in found if c.delta is not None]
        best = max(measured, key=lambda pair: pair[0], default=None)
        rows.append(
            (
                module,
                str(len(trials)),
                str(len({t.seed for t in trials})),
                signed(best[0]) if best else EMPTY,
                best[1].key if best else EMPTY,
                signed(statistics.median(d for d, _ in measured)) if measured else EMPTY,
                _verdict(module, numbers),
            )
        )
        keys.append(best[1].key if best else None)
    columns = ("module", "trials", "seeds", "best Δ to base", "architecture", "median Δ to base", "verdict (corrected)")
    return Table(columns, tuple(rows), tuple(keys))


def _verdict(module: str, numbers: EffectNumbers) -> str:
    cells = [numbers.cell(slot, module) for slot in numbers.slots]
    words = []
    for word in ("better", "worse"):
        where = [c.slot for c in cells if verdict_at(c) == word]
        if where:
            words.append(f"{word} than base at {', '.join(where)}")
    if words:
        return "; ".join(words)
    found = {verdict_at(c) for c in cells}
    return next((w for w in ("not distinguishable", TOO_FEW) if w in found), "not measured")
