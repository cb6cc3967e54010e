"""Tables of an ablation for a terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table as RichTable

from nas_attn.ablation.decide import DEAD
from nas_attn.ablation.design import Arm
from nas_attn.ablation.report.rows import written
from nas_attn.ablation.report.tables import ablation_tables as text_tables
from nas_attn.ablation.report.words import PARTIAL
from nas_attn.ablation.view import AblationView

WIDE = ("verdict", "remarks", "arm", "comparison")
LEFT_OUT = ("inserted", "remarks", "params (M)", "d")  # columns of the files only, because a terminal is narrow


def ablation_tables(view: AblationView) -> list[tuple[RichTable, str]]:
    """The tables of the results, each with a sentence on the method behind its figures."""
    found = []
    for t in text_tables(view):
        title = f"{t.title}{f' ({PARTIAL})' if t.partial else ''}"
        rich = RichTable(title=title, box=box.SIMPLE, title_justify="left")
        shown = [i for i, c in enumerate(t.table.columns) if c not in LEFT_OUT]
        for i in shown:
            name = t.table.columns[i]
            rich.add_column(name, justify="left" if name in WIDE else "right", overflow="fold")
        for row in t.table.rows:
            rich.add_row(*(row[i].replace("[", r"\[") for i in shown))
        found.append((rich, t.method))
    return found


def plan_table(plan: Any, cost: Any, view: AblationView) -> RichTable:
    """The table of the arms that would be trained."""
    title = f"{plan.request.config.name}: {plan.full}"
    table = RichTable(title=title.replace("[", r"\["), box=box.SIMPLE, title_justify="left")
    for name in ("arm", "kinds", "inserted", "seeds", "GMACs", "min a trial"):
        table.add_column(
            name, justify="right" if name in ("seeds", "GMACs", "min a trial") else "left", overflow="fold"
        )
    for arm in plan.design.arms:
        where = f" on {arm.model}" if arm.model else ""
        cells = (
            "; ".join((arm.name, *arm.also)),
            ", ".join(arm.kinds),
            (written(arm) or "nothing") + where,
            _seeds(view, arm),
            f"{plan.costs[arm.name]['gmacs']:.3f}",
            f"{cost.seconds[arm.name] / 60:.1f}",
        )
        table.add_row(*(c.replace("[", r"\[") for c in cells))
    return table


def _seeds(view: AblationView, arm: Arm) -> str:
    """The numbers of seeds at which an arm is looked at, or the reason why no more are trained."""
    mine = [d for d in view.decisions if arm.name in d.contrast.arms]
    if mine and all(d.verdict == DEAD for d in mine) and not arm.architecture.is_base:
        return "dead"
    if mine and all(d.base_failed for d in mine):
        return "base failed"
    if mine and all(d.final for d in mine):
        return f"{max(len(d.indices) for d in mine)}, done"
    looks = view.looks
    return ", ".join(map(str, looks.seeds)) if looks.sequential else str(looks.most)
