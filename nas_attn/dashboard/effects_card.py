"""The report's card on effects: sentence, heat map, each module's best and median, importance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_attn.analysis.effects.conclusion import effects_sentence
from nas_attn.analysis.effects.estimate import EffectNumbers, effect_numbers
from nas_attn.analysis.effects.heat_map import heat_map
from nas_attn.analysis.effects.module_table import LUCK, module_table
from nas_attn.analysis.figures import PLOT_CONFIG
from nas_attn.analysis.importance.figure import importance_figure
from nas_attn.analysis.importance.numbers import importance_numbers, importance_sentence
from nas_attn.dashboard import as_html
from nas_attn.study.view import StudyView

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

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


def effects_card(view: StudyView) -> list[str]:
    """The card's content as HTML."""
    numbers = effect_numbers(view)
    parts = [as_html.text("p", effects_sentence(numbers), class_="answer")]
    if not has_modules(numbers):
        return parts
    if has_effects(numbers):
        parts.append(as_html.element("div", _plot(heat_map(numbers), "effects"), class_="scroll"))
        parts.append(as_html.text("p", READING, class_="soft"))
    table = module_table(view, numbers)
    parts += [
        as_html.text("h3", BEST),
        as_html.table(table, tall=len(table.rows) > LONG),
        as_html.text("p", LUCK, class_="soft"),
        as_html.text("h3", IMPORTANCE),
    ]
    choices = importance_numbers(view)
    parts.append(as_html.text("p", importance_sentence(choices)))
    if choices.choices:
        parts += [_plot(importance_figure(choices), "importance"), as_html.text("p", CHANCE, class_="soft")]
    return parts


def has_modules(numbers: EffectNumbers) -> bool:
    """Whether a usable trial has a module."""
    return any(c.trials for c in numbers.cells)


def has_effects(numbers: EffectNumbers) -> bool:
    """Whether there is anything to draw: a map of blanks would say nothing."""
    return any(c.estimate is not None for c in numbers.cells)


def _plot(figure: Figure, name: str) -> str:
    config = {**PLOT_CONFIG, "displayModeBar": False}
    return figure.to_html(full_html=False, include_plotlyjs=False, include_mathjax=False, div_id=name, config=config)
