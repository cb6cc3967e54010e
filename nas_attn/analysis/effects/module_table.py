"""The table of modules: the effect of each over all slots, its best architecture, and its verdict at each slot."""

from __future__ import annotations

from nas_attn.analysis.difference import percent
from nas_attn.analysis.effects.conclusion import change, verdict_at
from nas_attn.analysis.effects.estimate import EffectNumbers
from nas_attn.analysis.tables import EMPTY, Table, signed
from nas_attn.study.view import StudyView

READING = (
    "Effect over all slots: the mean over the slots at which the module was trained. Best architecture: the one with "
    "the highest estimate of all that have the module; the estimate is already corrected for being the best of many."
)


def module_table(view: StudyView, numbers: EffectNumbers) -> Table:
    """The table with one row per module."""
    rows, keys = [], []
    for module, cell in zip(numbers.modules, numbers.overall, strict=True):
        found, best = numbers.found, None
        if found is not None:
            having = [i for i, c in enumerate(found.candidates) if any(g.module == module for _, g in c.architecture)]
            best = max(having, key=lambda i: found.means[i], default=None)
        effect = cell.effect
        rows.append(
            (
                module,
                str(cell.trials),
                str(cell.architectures),
                change(effect.mean) if effect else EMPTY,
                f"{change(effect.low)} to {change(effect.high)}" if effect else EMPTY,
                percent(effect.above) if effect else EMPTY,
                _verdict(module, numbers),
                found.candidates[best].key if found is not None and best is not None else EMPTY,
                signed(found.differences[best].mean) if found is not None and best is not None else EMPTY,
            )
        )
        keys.append(found.candidates[best].key if found is not None and best is not None else None)
    columns = (
        *("module", "trials", "architectures", "effect over all slots", "95 % interval", "P(better)", "verdict"),
        *("best architecture", "Δ to base"),
    )
    return Table(columns, tuple(rows), tuple(keys))


def _verdict(module: str, numbers: EffectNumbers) -> str:
    cells = [numbers.cell(slot, module) for slot in numbers.slots]
    words = []
    for word in ("better", "worse", "better than others", "worse than others"):
        where = [c.slot for c in cells if verdict_at(c) == word]
        if where:
            words.append(f"{word} at {', '.join(where)}")
    if words:
        return "; ".join(words)
    return "not distinguishable" if any(c.effect is not None for c in cells) else "not measured"
