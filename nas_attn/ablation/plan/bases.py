"""The base models of an ablation: the study's base and larger scales of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nas_attn.ablation.design import Design
from nas_attn.ablation.plan.settings import Request
from nas_attn.attention import registry
from nas_attn.cost import CostTable
from nas_attn.detector.model.base_model import BaseModel
from nas_attn.detector.model.head_form import keeps_head
from nas_attn.detector.model.shipped_models import at_scale, larger_scales
from nas_attn.environment import cache_root
from nas_attn.errors import NasAttnError, UserError
from nas_attn.space import NONE, Architecture, Gene, Slot
from nas_attn.study.plan import Plan
from nas_attn.study.recorded_space import counted

if TYPE_CHECKING:
    from nas_attn.evaluate.proxy import ProxyEvaluator


@dataclass(frozen=True)
class AblatedBase:
    """One base model of an ablation.

    Attributes:
        model: its name, as `load_base` takes it; None for the ablation's own.
        base: the model.
        slots: all its slots.
        evaluator: trains architectures on this base.
    """

    model: str | None
    base: BaseModel
    slots: tuple[Slot, ...]
    evaluator: ProxyEvaluator | Any

    def fits(self, slot: str, gene: Gene, *sizes: int) -> bool:
        """True if a gene fits a slot at these image sizes; other slots are not considered."""
        found = next((s for s in self.slots if s.name == slot), None)
        if found is None or not keeps_head(self.base, [found]):
            return False
        entry = registry.get(gene.module)
        settings = entry.complete(gene.as_dict())
        maps = {found.map_size(size) for size in sizes}
        return all(entry.refusal(found.channels, m, m, settings) is None for m in maps)


def base_and_slots(study: Plan, model: str) -> tuple[BaseModel, tuple[Slot, ...]]:
    """The base model that trials of an ablation use, and all its slots."""
    return replace(study.evaluator, model=model).final_base()[:2]


def larger_bases(request: Request, study: Plan, full: Architecture, notes: list[str]) -> dict[str | None, AblatedBase]:
    """The base model of each larger scale on which the full architecture can be built.

    Raises:
        UserError: the command asks for scales, and none is possible.
    """
    config, settings = request.config, request.settings
    obstacle = ""
    if config.start != "scratch":
        obstacle = f"`start: {config.start}` has weights for one scale only"
    elif config.width is not None:
        obstacle = f"the study sets the width ({config.width:g}), so its scale has no effect"
    found: dict[str | None, AblatedBase] = {}
    for size in () if obstacle else _sizes(config.model, settings.scales):
        model = at_scale(config.model, size)
        try:
            base, slots = base_and_slots(study, model)
        except NasAttnError as error:
            notes.append(f"scale {size}: {error}")
            continue
        scale = AblatedBase(model, base, slots, replace(study.evaluator, model=model))
        sizes = (config.imgsz, config.final_imgsz)
        misfits = [f"`{g}` at {s}" for s, g in full if g != NONE and not scale.fits(s, g, *sizes)]
        if misfits:
            notes.append(f"scale {size}: {', '.join(misfits)} does not fit")
        else:
            found[model] = scale
    if not found:
        obstacle = obstacle or f"no larger scale of '{config.model}' can be built"
        if "scale" in request.named:
            raise UserError("the kind `scale` needs a larger scale of the base", got=obstacle, where="--kinds")
        notes.append(f"no comparison of scales: {obstacle}")
    return found


def _sizes(model: str, wanted: list[str] | None) -> tuple[str, ...]:
    """The scales to train: the ones that the user names, or the next two.

    Raises:
        UserError: a named scale is not a larger scale of the base.
    """
    larger = larger_scales(model)
    if wrong := [size for size in wanted or () if size not in larger]:
        raise UserError(
            f"`--scales` must name larger scales of '{model}'",
            got=", ".join(wrong),
            where="--scales",
            remedy=f"Larger scales: {', '.join(larger)}." if larger else "This model has no larger scale.",
        )
    return larger[:2] if wanted is None else tuple(wanted)


def cost_table(scale: AblatedBase, design: Design, counting: int, study: CostTable) -> CostTable:
    """The cost table of all genes in the arms of a scale; known costs of the study are taken over."""
    arms = [dict(a.architecture) for a in design.arms if a.model == scale.model]
    genes = {s: tuple(dict.fromkeys([NONE, *(arm.get(s.name, NONE) for arm in arms)])) for s in scale.slots}
    known = study if scale.model is None else None
    return counted(scale.base, genes, study.imgsz, cache_root() / "cost", counting, known)
