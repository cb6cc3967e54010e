"""Adds a plan to the log of an ablation. Arms and seeds that come after first results are recorded as late."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from nas_attn.ablation.decide import BETTER, DEAD, WORSE
from nas_attn.ablation.design import Contrast
from nas_attn.ablation.looks import Looks
from nas_attn.ablation.plan.prepare import AblationPlan
from nas_attn.ablation.plan.settings import Request
from nas_attn.ablation.plan_record import plan_fields
from nas_attn.ablation.view import EARLIER, FRESH, AblationView
from nas_attn.detector.model.shipped_models import scale_of
from nas_attn.study.folder import RunFolder


def record_plan(plan: AblationPlan, folder: RunFolder) -> tuple[str, ...]:
    """Add a plan to the log: the header, the scales, and the design if it has changed.

    Returns:
        notes on parts of the plan that will not be done.
    """
    records: list[dict[str, Any]] = list(folder.log.read())
    if not records:
        folder.keep_modules(plan.study.sources)
        records.append(folder.log.append("study", **plan.header, begun=datetime.now(UTC).isoformat()))
    known = {r["model"] for r in records if r["kind"] == "model"}
    for model, scale in plan.scales.items():
        if model is not None and model not in known:
            cost = plan.costs[plan.design.base_of(model).name]
            header = {"base": scale.base.name, "base_cost": cost, "aliases": {}}
            folder.log.append("model", model=model, header=header)
    before = AblationView.of(folder.path, records)
    new = _added(before, plan)
    settled = not new and _settled(before)
    wanted = wanted_looks(plan.request, before)
    looks = before.looks if settled else _widened(wanted, before, plan, new)
    settings = {**plan.request.settings.model_dump(mode="json"), **_stated(plan, before)}
    old: dict[str, Any] = next((r for r in reversed(records) if r["kind"] == "design"), {})
    now = {**plan_fields(plan.design, looks), "settings": settings}
    if any(old.get(k) != v for k, v in now.items()):
        folder.log.append("design", **now)
        folder.log.append("target", trials=len(plan.design.arms) * looks.most)
    if settled and wanted.most > looks.most:
        return (f"all comparisons are already decided, so none is trained up to {wanted.most} seeds",)
    return ()


def _seen(before: AblationView) -> bool:
    """True after the first test of any comparison."""
    return bool(before.design.arms) and any(d.looks for d in before.decisions)


def _settled(before: AblationView) -> bool:
    """True if no further seed can change any comparison."""
    return _seen(before) and all(d.verdict in (BETTER, WORSE, DEAD) or d.base_failed for d in before.decisions)


def _added(before: AblationView, plan: AblationPlan) -> list[Contrast]:
    """The comparisons that are tested in the new plan but not in the old one."""
    known = {before.design.compared(c) for c in before.design.contrasts if c not in before.skipped}
    after = replace(before, design=plan.design, settings=plan.request.settings.model_dump(mode="json"))
    return [c for c in plan.design.contrasts if c not in after.skipped and plan.design.compared(c) not in known]


def _stated(plan: AblationPlan, before: AblationView) -> dict[str, Any]:
    """Facts for the tables: scales that were built, earlier values of `difference`, seeds that were used before."""
    letters = [size for m in plan.scales if m is not None and (size := scale_of(m)) is not None]
    earlier = list(before.settings.get(EARLIER, ()))
    if _seen(before) and before.settings["difference"] != plan.request.settings.difference:
        earlier.append(before.settings["difference"])
    reused = {} if plan.request.fresh else {FRESH: False}
    return reused | ({"scales": letters} if letters else {}) | ({EARLIER: earlier} if earlier else {})


def _widened(looks: Looks, before: AblationView, plan: AblationPlan, new: list[Contrast]) -> Looks:
    """The looks, with `spent` increased if comparisons are added after results have been seen."""
    if not new or not _seen(before):
        return looks
    families = {c.family: len(plan.design.family(c.family)) for c in new}
    family = max(families, key=lambda f: sum(c.family == f for c in new) / families[f])
    return looks.compared(sum(c.family == family for c in new), families[family])


def wanted_looks(request: Request, before: AblationView) -> Looks:
    """The looks that a request asks for, together with the looks that were already made."""
    wanted = Looks.asked(request.settings)
    if not before.design.arms:
        return wanted
    return before.looks.changed(wanted, max((d.looks for d in before.decisions), default=0))
