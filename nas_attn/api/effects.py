"""`Effects`: the effects of the modules in a study, as a Python value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_attn.analysis.tables import Table
from nas_attn.api.listing import Listing
from nas_attn.space.architecture import write_value

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from nas_attn.analysis.difference import Difference
    from nas_attn.analysis.effects.estimate import Cell, EffectNumbers, SettingEffect  # noqa: F401  `Cell` as text

COLUMNS = ("slot", "module", "against nothing", "against other choices", "trials", "verdict")
SETTINGS = ("module", "setting", "value", "against the mean", "verdict")


class Effects(Listing["Cell"]):
    """The difference in the score that each module makes at each slot: a `Cell` per (slot, module).

    The cells are in the order of the slots, then of the modules.

    Attributes:
        numbers: the effects of all modules at all slots, by the posterior of the study.
    """

    def __init__(self, numbers: EffectNumbers) -> None:
        from nas_attn.analysis.effects.conclusion import effects_sentence, verdict_at

        cells = [c for c in numbers.cells if c.trials]
        rows = tuple((c.slot, c.module, _words(c.effect), _words(c.lead), str(c.trials), verdict_at(c)) for c in cells)
        records = [
            {
                "slot": c.slot,
                "module": c.module,
                "trials": c.trials,
                "seeds": c.seeds,
                "architectures": c.architectures,
                **_figures("delta", c.effect),
                **_figures("lead", c.lead),
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
        """Sentences on the modules that are better or worse, or on the reason why none is called so."""
        return self.note

    def settings(self) -> Listing[SettingEffect]:
        """The effect of each trained value of each setting, against the mean of all its trained values."""
        from nas_attn.analysis.effects.estimate import setting_effects

        found = setting_effects(self.numbers.found) if self.numbers.found is not None else []
        words = {1: "better", -1: "worse", 0: "not distinguishable"}
        rows = tuple((e.module, e.setting, write_value(e.value), _words(e.effect), words[e.sign]) for e in found)
        records = [
            {
                "module": e.module,
                "setting": e.setting,
                "value": e.value,
                **_figures("delta", e.effect),
                "verdict": words[e.sign],
            }
            for e in found
        ]
        return Listing(found, records, Table(SETTINGS, rows, (None,) * len(rows)), title="settings of modules")

    def plot(self) -> Figure:
        """The heat map of the dashboard: a row per module, a column per slot."""
        from nas_attn.analysis.effects.heat_map import heat_map

        return heat_map(self.numbers)


def _words(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    from nas_attn.analysis.effects.conclusion import change

    return f"{change(difference.mean)} ({change(difference.low)} to {change(difference.high)})"


def _figures(name: str, difference: Difference | None) -> dict[str, float | None]:
    """A difference as figures in the score: its mean, its 95 % interval, and the probability that it is above zero."""
    d = difference
    return {
        name: d.mean if d else None,
        f"{name}_low": d.low if d else None,
        f"{name}_high": d.high if d else None,
        f"{name}_above_zero": d.above if d else None,
    }
