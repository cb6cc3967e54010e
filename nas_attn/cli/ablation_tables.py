"""The plan of an ablation as a table for a terminal."""

from __future__ import annotations

from typing import Any

from nas_attn.ablation.decide import DEAD
from nas_attn.ablation.design import Arm
from nas_attn.ablation.report.rows import written
from nas_attn.ablation.view import AblationView
from nas_attn.analysis.tables import Table
from nas_attn.api.listing import Listing


def plan_table(plan: Any, cost: Any, view: AblationView) -> Listing[Arm]:
    """The table of the arms that the plan would train."""
    rows = tuple(
        (
            "; ".join((arm.name, *arm.also)),
            ", ".join(arm.kinds),
            (written(arm) or "nothing") + (f" on {arm.model}" if arm.model else ""),
            _seeds(view, arm),
            f"{plan.costs[arm.name]['gmacs']:.3f}",
            f"{cost.seconds[arm.name] / 60:.1f}",
        )
        for arm in plan.design.arms
    )
    table = Table(("arm", "kinds", "inserted", "seeds", "GMACs", "min a trial"), rows, (None,) * len(rows))
    title = f"{plan.request.config.name}: {plan.full}"
    return Listing(plan.design.arms, [{}] * len(rows), table, title=title, optional=["kinds", "GMACs"])


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
