"""The card on effects: sentence, heat map, each module's best and median, importance."""

from __future__ import annotations

from nas_attn.analysis.effects.conclusion import effects_sentence
from nas_attn.analysis.effects.estimate import effect_numbers
from nas_attn.analysis.effects.heat_map import heat_map
from nas_attn.analysis.effects.module_table import LUCK, module_table
from nas_attn.analysis.importance.figure import importance_figure
from nas_attn.analysis.importance.numbers import importance_numbers, importance_sentence
from nas_attn.dashboard.blocks import Block, Plot, element, table, text
from nas_attn.study.view import StudyView

TITLE = "What modules did, slot by slot"
READING = (
    "Difference to the base in mAP50-95 that a module makes at a slot, with its 95 % interval and its number of trials "
    "(n), from all usable trials at once; effects are taken to add up over slots, a module's settings are averaged. "
    "Framed, in full colour: shown by the data, corrected for the number of cells. Pale: noise explains it, or fewer "
    "than three architectures have the module there, which is too few to speak of it. Blank: the trials do not "
    "determine it; point at it to see why."
)
CHANCE = (
    "How much of the result hangs on each choice, by itself (main effect) and for reaching the best architectures "
    "(PED-ANOVA). Bars: 95 % bootstrap interval over architectures; grey bars do not clear what shuffled results give."
)
LONG = 12  # modules from which their table scrolls
BEST, IMPORTANCE = "Each module's best and median", "Which choices matter"


def effects_blocks(view: StudyView) -> list[Block]:
    """Sentence, heat map, and each module's best and median."""
    numbers = effect_numbers(view)
    blocks: list[Block] = [text(effects_sentence(numbers), "answer")]
    if not any(c.trials for c in numbers.cells):
        return blocks
    if any(c.estimate is not None for c in numbers.cells):  # a map of blanks would say nothing
        blocks += [Plot(heat_map(numbers), "effects-map"), text(READING, "soft")]
    modules = module_table(view, numbers)
    rows = table(modules, "modules", tall=len(modules.rows) > LONG)
    return [*blocks, element("h3", BEST), rows, text(LUCK, "soft")]


def importance_blocks(view: StudyView) -> list[Block]:
    """Importance of slots and settings; nothing before a module was trained."""
    if not any(t.usable and not t.architecture.is_base for t in view.trials):
        return []
    numbers = importance_numbers(view)
    blocks: list[Block] = [element("h3", IMPORTANCE), text(importance_sentence(numbers))]
    if numbers.choices:
        blocks += [Plot(importance_figure(numbers), "importance-bars"), text(CHANCE, "soft")]
    return blocks
