"""A plan is added to an ablation's log, and the looks pay for what is added after results have been seen."""

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
from nas_attn.attention import user
from nas_attn.detector.model.shipped_models import scale_of
from nas_attn.study.folder import RunFolder


def record_plan(plan: AblationPlan, folder: RunFolder) -> tuple[str, ...]:
    """Add a plan to the log: its header, its scales, and the design if it changed.

    Returns:
        sentences on parts of the plan that will not happen.
    """
    records: list[dict[str, Any]] = list(folder.log.read())
    if not records:
        searched = set(plan.study.header["fingerprints"]["modules"])
        folder.keep_modules(s for s in user.sources() if searched & set(s.names))
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
        return (f"every comparison is decided, and keeps the seeds at which it was: none goes on to {wanted.most}",)
    return ()


def _seen(before: AblationView) -> bool:
    """True once any comparison was tested."""
    return bool(before.design.arms) and any(d.looks for d in before.decisions)


def _settled(before: AblationView) -> bool:
    """True if every comparison is decided for good: no further seed can change it."""
    return _seen(before) and all(d.verdict in (BETTER, WORSE, DEAD) or d.base_failed for d in before.decisions)


def _added(before: AblationView, plan: AblationPlan) -> list[Contrast]:
    """The comparisons that would be tested now and were not before."""
    known = {before.design.compared(c) for c in before.design.contrasts if c not in before.skipped}
    after = replace(before, design=plan.design, settings=plan.request.settings.model_dump(mode="json"))
    return [c for c in plan.design.contrasts if c not in after.skipped and plan.design.compared(c) not in known]


def _stated(plan: AblationPlan, before: AblationView) -> dict[str, Any]:
    """Facts that must be told later: scales that were built, earlier values of `difference`, seeds used before."""
    letters = [size for m in plan.scales if m is not None and (size := scale_of(m)) is not None]
    earlier = list(before.settings.get(EARLIER, ()))
    if _seen(before) and before.settings["difference"] != plan.request.settings.difference:
        earlier.append(before.settings["difference"])
    reused = {} if plan.request.fresh else {FRESH: False}
    return reused | ({"scales": letters} if letters else {}) | ({EARLIER: earlier} if earlier else {})


def _widened(looks: Looks, before: AblationView, plan: AblationPlan, new: list[Contrast]) -> Looks:
    """The looks, with the price of comparisons that are added after results have been seen."""
    if not new or not _seen(before):
        return looks
    families = {c.family: len(plan.design.family(c.family)) for c in new}
    family = max(families, key=lambda f: sum(c.family == f for c in new) / families[f])
    return looks.compared(sum(c.family == family for c in new), families[family])


def wanted_looks(request: Request, before: AblationView) -> Looks:
    """The looks that a request asks for, those that were made before included."""
    wanted = Looks.asked(request.settings)
    if not before.design.arms:
        return wanted
    return before.looks.changed(wanted, max((d.looks for d in before.decisions), default=0))
