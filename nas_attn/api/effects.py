"""`Effects`: the effects of the modules in a study, as a Python value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_attn.analysis.effects.conclusion import effects_sentence, span, verdict_at
from nas_attn.analysis.effects.estimate import Cell, EffectNumbers
from nas_attn.analysis.tables import Table
from nas_attn.api.listing import Listing

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLUMNS = ("slot", "module", "Δ to base", "trials", "verdict (corrected)")


class Effects(Listing[Cell]):
    """The difference in mAP50-95 to the base that each module makes at each slot: a `Cell` per (slot, module).

    The cells are in the order of the slots, then of the modules.

    Attributes:
        numbers: the effects of all modules at all slots, from the fitted model.
    """

    def __init__(self, numbers: EffectNumbers) -> None:
        cells = [c for c in numbers.cells if c.trials]
        rows = tuple(
            (c.slot, c.module, span(c) if c.low is not None else "–", str(c.trials), verdict_at(c)) for c in cells
        )
        records = [
            {
                "slot": c.slot,
                "module": c.module,
                "trials": c.trials,
                "seeds": c.seeds,
                "architectures": c.architectures,
                "delta": c.estimate,
                "low": c.low,
                "high": c.high,
                "p": c.p,
                "p_corrected": c.p_corrected,
                "verdict": verdict_at(c),
                "why": c.why,
            }
            for c in cells
        ]
        table = Table(COLUMNS, rows, (None,) * len(rows))
        super().__init__(cells, records, table, title="modules by slot", note=effects_sentence(numbers))
        self.numbers = numbers

    @property
    def conclusion(self) -> str:
        """Sentences on the effects that are significant, or on the reason why none is."""
        return self.note

    def plot(self) -> Figure:
        """The heat map of the dashboard: a row per module, a column per slot."""
        from nas_attn.analysis.effects.heat_map import heat_map

        return heat_map(self.numbers)
