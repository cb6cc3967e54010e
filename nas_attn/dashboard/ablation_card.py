"""The card of an ablation: answer, forest plot, tables, and the trials behind each figure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nas_attn.ablation.decide import DEAD
from nas_attn.ablation.report.forest_figure import MIN_WIDTH, ForestNumbers, forest_figure, forest_numbers
from nas_attn.ablation.report.tables import ablation_tables
from nas_attn.ablation.report.trials import trials_table
from nas_attn.ablation.report.words import PARTIAL, planned_seeds, ranges, summary
from nas_attn.ablation.view import DEFAULT_NAME, AblationView
from nas_attn.analysis import tables
from nas_attn.analysis.tables import Table, newest_first, signed, state_of
from nas_attn.dashboard.blocks import Block, Element, Plot, Row, element, facts, table, text
from nas_attn.lines import many
from nas_attn.study.slot_states import DEAD as DEAD_SLOT
from nas_attn.study.slot_states import UNDERTRAINED, too_little
from nas_attn.study.trial_settings import trained_with

ABOUT = "Ablation of an architecture: each arm is trained with the same seeds as the base"
READING = (
    "Mean difference to the base at equal seeds, with its {level} interval{looks}. Grey band: differences that are "
    "too small to matter. Colour and shape show the verdict, which is corrected for the number of comparisons. The "
    "interval is not, so a comparison can be undecided although its interval does not include zero."
)
TRACE = "Hover over a line to see all its figures. Click it, or a row of a table, to see its trials."
LIVENESS_TITLE = "Live slots"
OWN_NUMBERS = "This ablation has its own trial numbers: its trial 3 is not trial 3 of a search."
MEASURED = ("cost counted at", "training time", "device", "versions")
LAST = ("inserted", "remarks", "trials")
ABOVE_TRIALS = (element("h3", "Trials of this ablation"), text(OWN_NUMBERS, "soft"))
LONG = 15  # longer tables scroll
NEWEST = 200  # trials in the list of the live page; the report lists all


@dataclass(frozen=True)
class Section:
    """One table of the card.

    Attributes:
        title: its title.
        lines: the key of each row, unique in the ablation.
        table: its rows; the last column has the numbers of their trials.
        trials: for each row the numbers of its trials.
        method: sentences on the method behind the figures.
    """

    title: str
    lines: tuple[str, ...]
    table: Table
    trials: tuple[tuple[int, ...], ...]
    method: str


@dataclass(frozen=True)
class AblationCard:
    """The content of an ablation's card; each part is computed at its first use.

    Attributes:
        view: the ablation.
        state: a text that changes with the record log; empty in the report.
    """

    view: AblationView
    state: str = ""

    @property
    def key(self) -> str:
        """The name of its folder, which is unique in the study."""
        return self.view.folder.name

    @property
    def title(self) -> str:
        """The card's heading."""
        return "Ablation" if self.key == DEFAULT_NAME else f"Ablation: {self.key}"

    @cached_property
    def summary(self) -> str:
        """The sentence that answers the ablation."""
        return summary(self.view)

    @cached_property
    def facts(self) -> list[tuple[str, str]]:
        """The conditions of the ablation as pairs (name, value)."""
        v, c = self.view, self.view.header["config"]
        states = [state_of(t) for t in v.trials]
        counted = [f"{states.count(s)} {s}" for s in dict.fromkeys(states)]
        return [
            ("full architecture", str(v.header["ablation"]["full"])),
            ("base model", str(v.header["base"])),
            ("data", str(c.get("data") or "generated data set")),
            ("each trial", trained_with(f"{many(c['epochs'], 'epoch')} at {c['imgsz']} px, start {c['start']}", c)),
            ("seeds", planned_seeds(v)),
            ("trials", f"{', '.join(counted) or 'none yet'}; {len(v.left)} left"),
            *(pair for pair in tables.facts(replace(v.views[None], trials=v.trials)) if pair[0] in MEASURED),
            ("folder", str(v.folder)),
        ]

    @cached_property
    def liveness(self) -> str:
        """Sentences on the liveness of slots. Only live slots can show a difference."""
        skipped = sum(d.verdict == DEAD for d in self.view.decisions)
        said = [_liveness(self.view, model) for model in self.view.design.models]
        if skipped:
            verb = "is" if skipped == 1 else "are"
            text = f"{many(skipped, 'comparison')} {verb} left out, because only such slots differ."
            said.append(text)
        return " ".join(said)

    @cached_property
    def forest(self) -> ForestNumbers:
        """The numbers of the forest plot: the comparisons with the base."""
        return forest_numbers(self.view)

    @property
    def reading(self) -> str:
        """The explanation below the forest plot."""
        looks = ", valid for all looks together" if self.view.looks.count > 1 else ""
        return f"{READING.format(level=self.forest.level, looks=looks)} {TRACE}"

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The tables."""
        found = []
        for t in ablation_tables(self.view):
            trials = tuple(r.trials for r in t.rows)
            lines = tuple(r.key for r in t.rows)
            rows = tuple((*row, ranges(n)) for row, n in zip(t.table.rows, trials, strict=True))
            table = _arranged(replace(t.table, columns=(*t.table.columns, "trials"), rows=rows))
            found.append(Section(t.title, lines, table, trials, t.method))
        return tuple(found)

    def line(self, key: str) -> tuple[str, tuple[int, ...]] | None:
        """The name and the trial numbers of the row with this key; None if there is no such row now."""
        for s in self.sections:
            if key in s.lines:
                at = s.lines.index(key)
                return s.table.rows[at][0], s.trials[at]
        return None


def part(ablation: Any, name: str, **more: Any) -> dict[str, Any]:
    """The id of a part of an ablation's card on the live page."""
    return {"ablation": ablation, "part": name, **more}


def whole_card(card: AblationCard, number: int) -> Element:
    """The card in the report, with the list of all its trials. A click on a line hides the trials of other lines.

    Args:
        card: its content.
        number: makes the id of its plot unique on the page.
    """
    trials = _trials(card, trials_table(card.view), f"All {len(card.view.trials)} trials.")
    listed = element("div", *ABOVE_TRIALS, *trials, kind="trials")
    return element("section", *ablation_blocks(card, number), listed, kind="card", **{"data-ablation": card.key})


def ablation_blocks(card: AblationCard, number: int = 0) -> list[Block]:
    """The blocks of the card: answer, facts, forest plot and tables."""
    blocks: list[Block] = [_heading("h2", card.title, card), text(card.summary, "answer"), facts(card.facts)]
    if card.forest.lines:
        figure, live = forest_figure(card.forest), part(card.key, "forest", at=0)
        plot = Plot(figure, f"forest-{number}", min_width=MIN_WIDTH, live=live)
        blocks += [plot, text(card.reading, "soft")]
    for s in card.sections:
        rows = [
            Row({"data-trials": " ".join(map(str, numbers)), "data-line": key}, part(card.key, "line", line=key))
            for key, numbers in zip(s.lines, s.trials, strict=True)
        ]
        blocks.append(_heading("h3", s.title, card))
        blocks += [table(s.table, tall=len(s.table.rows) > LONG, rows=rows), text(s.method, "soft")]
    return [*blocks, element("h3", LIVENESS_TITLE), text(card.liveness)]


def trials_blocks(card: AblationCard, line: str | None) -> list[Block]:
    """The list of trials on the live page: those of the picked line, or the newest."""
    found = card.line(line) if line else None
    every = len(card.view.trials)
    if found is not None:
        name, numbers = found
        trials = trials_table(card.view, numbers)
        return _trials(card, trials, f'Trials of "{name}": {len(trials.rows)} of {every}.', picked=True)
    trials = newest_first(trials_table(card.view), NEWEST)
    words = f"The newest {len(trials.rows)} of {every} trials. Click a line above to see its trials."
    return _trials(card, trials, words)


def _heading(tag: str, title: str, card: AblationCard) -> Element:
    warning = [element("span", PARTIAL, kind="chip warn")] if card.view.partial else []
    return element(tag, element("span", title), *warning)


def _trials(card: AblationCard, trials: Table, words: str, *, picked: bool = False) -> list[Block]:
    """A sentence, a button that shows all trials (hidden if no line is picked), and the list of trials."""
    attributes = {"type": "button"} | ({} if picked else {"hidden": "hidden"})
    button = Element("button", ["show all"], attributes, part(card.key, "every", at=0))
    rows = [Row({"data-trial": str(key)}) for key in trials.keys]
    said = element("p", element("span", words, kind="said"), " ", button)
    return [said, table(trials, tall=True, rows=rows)]


def _arranged(table: Table) -> Table:
    """The table arranged for a page: the verdict beside the name, long columns last, no empty column of remarks."""
    order = {"verdict": 1, **{c: 3 + i for i, c in enumerate(LAST)}}
    columns = sorted(range(len(table.columns)), key=lambda i: order.get(table.columns[i], 0 if i == 0 else 2))
    kept = [i for i in columns if table.columns[i] != "remarks" or any(row[i] for row in table.rows)]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[i] for i in kept), rows=rows)


def _liveness(view: AblationView, model: str | None) -> str:
    where = f" of {Path(model).stem}" if model else ""
    if view.base_failed(model):
        return f"The liveness of the slots{where} could not be measured, because the base could not be trained."
    if not view.measured(model):
        return f"The liveness of the slots{where} is not measured yet; it needs trained bases."
    record = view.views[model].slots
    drop = record.get("drop", {})
    states = view.states(drop, model)
    if not view.trained(model):
        return f"The liveness of the slots{where} could not be measured: {too_little(record, view.score)}."
    lost = ", ".join(f"{s} {signed(d)}" for s, d in drop.items())
    words = view.score.of_a_slot.words
    rule = f"loss of {words} if the slot's output is set to zero: {lost}"
    named = {DEAD_SLOT: f"dead slots{where}", UNDERTRAINED: f"undertrained slots{where} (zeroing them raises {words})"}
    parts = [f"{name}: {', '.join(states[state])}" for state, name in named.items() if state in states]
    if not parts:
        return f"All slots{where} are live ({rule})."
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]} ({rule}; a live slot loses at least {record['threshold']:g})."
