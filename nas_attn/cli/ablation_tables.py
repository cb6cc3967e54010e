"""The plan of an ablation as a table for a terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table as RichTable

from nas_attn.ablation.decide import DEAD
from nas_attn.ablation.design import Arm
from nas_attn.ablation.report.rows import written
from nas_attn.ablation.view import AblationView


def plan_table(plan: Any, cost: Any, view: AblationView) -> RichTable:
    """The table of the arms that the plan would train."""
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
    """The numbers of seeds at which an arm is tested, or the reason why no more are trained."""
    mine = [d for d in view.decisions if arm.name in d.contrast.arms]
    if mine and all(d.verdict == DEAD for d in mine) and not arm.architecture.is_base:
        return "dead"
    if mine and all(d.base_failed for d in mine):
        return "base failed"
    if mine and all(d.final for d in mine):
        return f"{max(len(d.indices) for d in mine)}, done"
    looks = view.looks
    return ", ".join(map(str, looks.seeds)) if looks.sequential else str(looks.most)
