"""The `design` record of an ablation: the types of its fields, and a check of all names in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from nas_attn.ablation.design import FAMILIES, Design
from nas_attn.ablation.looks import Looks
from nas_attn.errors import RecordLost
from nas_attn.study.broken_rules import broken_rule
from nas_attn.study.record_kinds import Finite, RecordFields


def _complete(design: Design) -> Design:
    names = [a.name for a in design.arms]
    if not {c.family for c in design.contrasts} <= FAMILIES.keys():
        raise ValueError("`family` must be a known family")
    if not {name for c in design.contrasts for name in c.arms} <= set(names):
        raise ValueError("an arm in a contrast must be one of `arms`")
    bases = {a.model for a in design.arms if a.architecture.is_base and not a.offset}
    if len(names) != len(set(names)) or not set(design.models) <= bases or None not in bases:
        raise ValueError("each scale must have a base, and each arm a different name")
    return design


def _ascending(looks: Looks) -> Looks:
    if list(looks.seeds) != sorted(set(looks.seeds)):
        raise ValueError("`seeds` must ascend")
    return looks


class _Settings(RecordFields):
    difference: Annotated[float, Field(gt=0, lt=1)]
    dead_slots: Literal["skip", "keep"] | None = None
    kinds: list[str] | None = None
    hours: Finite | None = None
    scales: list[str] | None = None
    fresh: bool = True
    difference_before: list[Finite] | None = None


class _Plan(RecordFields):
    design: Annotated[Design, AfterValidator(_complete)]
    looks: Annotated[Looks, AfterValidator(_ascending)]
    settings: _Settings


_DESIGN, _LOOKS = TypeAdapter(Design), TypeAdapter(Looks)


def plan_fields(design: Design, looks: Looks) -> dict[str, Any]:
    """The fields of a `design` record, as `read_plan` reads them."""
    return {"design": _DESIGN.dump_python(design, mode="json"), "looks": _LOOKS.dump_python(looks, mode="json")}


def read_plan(record: Mapping[str, Any]) -> tuple[Design, Looks]:
    """The design and the looks of a `design` record.

    Raises:
        RecordLost: the record is damaged.
    """
    try:  # in JSON mode a strict model still takes a list as a tuple
        plan = _Plan.model_validate_json(json.dumps({k: record[k] for k in _Plan.model_fields}), strict=True)
    except ValidationError as error:
        rule = broken_rule(error.errors(include_url=False)[0])
        raise RecordLost(
            f"{getattr(record, 'where', 'the design')} is damaged: {rule}. Make a copy of the file, then remove this "
            "line from the file and run the same `ablate` command again: it writes the design anew."
        ) from None
    return plan.design, plan.looks
