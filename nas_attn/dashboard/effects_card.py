"""The card of effects: conclusion, heat map, table of modules, importance."""

from __future__ import annotations

from nas_attn.analysis.effects.conclusion import effects_sentence
from nas_attn.analysis.effects.estimate import effect_numbers
from nas_attn.analysis.effects.heat_map import heat_map
from nas_attn.analysis.effects.module_table import READING as MODULES_READING
from nas_attn.analysis.effects.module_table import module_table
from nas_attn.analysis.importance.figure import importance_figure
from nas_attn.analysis.importance.numbers import importance_numbers, importance_sentence
from nas_attn.dashboard.blocks import Block, Plot, element, table, text
from nas_attn.study.view import StudyView

TITLE = "Effects of modules at each slot"
READING = (
    "Each cell: the difference in {score} that the module makes at the slot against no module there, averaged over "
    "the trained architectures that have it, its 95 % interval, and its number of trials (n). Hover over a cell to see "
    "the difference to the other choices at the slot, which a search knows better. Framed and in full colour: claimed "
    "to be better or worse than nothing, or than the other choices; all claims together are wrong in at most 5 % of "
    "studies. Pale: noise can explain it. Blank: never trained there, or without a usable trial."
)
CHANCE = (
    "Importance of each choice. Main effect: the share of the variance that the choice explains by itself. PED-ANOVA: "
    "how much the choice separates the best architectures from all. Lines on bars: 95 % bootstrap interval over "
    "architectures. Grey bars are not beyond chance: shuffled results reach them too."
)
LONG = 12  # longer tables scroll
BEST, IMPORTANCE = "Each module over all slots", "Importance of choices"


def effects_blocks(view: StudyView) -> list[Block]:
    """The blocks of effects: conclusion, heat map, and the table of modules."""
    numbers = effect_numbers(view)
    blocks: list[Block] = [text(effects_sentence(numbers), "answer")]
    if not any(c.trials for c in numbers.cells):
        return blocks
    if numbers.measured:  # a map without any estimate is useless
        blocks += [Plot(heat_map(numbers), "effects-map"), text(READING.format(score=numbers.score.words), "soft")]
    modules = module_table(view, numbers)
    rows = table(modules, "modules", tall=len(modules.rows) > LONG)
    return [*blocks, element("h3", BEST), rows, text(MODULES_READING, "soft")]


def importance_blocks(view: StudyView) -> list[Block]:
    """The blocks of importance; none before a module is trained."""
    if not any(t.usable and not t.architecture.is_base for t in view.trials):
        return []
    numbers = importance_numbers(view)
    blocks: list[Block] = [element("h3", IMPORTANCE), text(importance_sentence(numbers))]
    if numbers.choices:
        blocks += [Plot(importance_figure(numbers), "importance-bars"), text(CHANCE, "soft")]
    return blocks
