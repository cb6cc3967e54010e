"""The `design` record of an ablation: the types of its fields, and a check that all names in it exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nas_attn.ablation.design import FAMILIES, Design
from nas_attn.ablation.looks import Looks
from nas_attn.errors import RecordLost
from nas_attn.study.record_kinds import Count, Finite, Written, parsed

Seeds = Annotated[int, Field(ge=1, le=100_000)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class _Arm(_Fields):
    name: str
    kinds: list[str]
    architecture: Written
    model: str | None = None
    offset: Count = 0
    also: list[str]


class _Contrast(_Fields):
    label: str
    family: str
    weights: Annotated[list[Annotated[list[str | Finite], Field(min_length=2, max_length=2)]], Field(min_length=1)]
    slots: list[str]
    product: bool = False

    @model_validator(mode="after")
    def _known(self) -> _Contrast:
        if self.family not in FAMILIES:
            raise ValueError("`family` must be a known one")
        if not all(isinstance(name, str) and not isinstance(weight, str) for name, weight in self.weights):
            raise ValueError("each of `weights` must be the name of an arm and a number")
        return self


class _Design(_Fields):
    arms: list[_Arm]
    contrasts: list[_Contrast]

    @model_validator(mode="after")
    def _complete(self) -> _Design:
        names = [a.name for a in self.arms]
        if not {name for c in self.contrasts for name, _ in c.weights} <= set(names):
            raise ValueError("an arm that is compared must be one of `arms`")
        bases = {a.model for a in self.arms if parsed(a.architecture).is_base and not a.offset}
        if len(names) != len(set(names)) or not {a.model for a in self.arms} <= bases or None not in bases:
            raise ValueError("every scale must have its base, and every arm its own name")
        return self


class _Looks(_Fields):
    seeds: Annotated[list[Seeds], Field(min_length=1)]
    count: Seeds
    added: bool = False
    sequential: bool = False
    spent: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    widened: bool = False

    @model_validator(mode="after")
    def _ascending(self) -> _Looks:
        if self.seeds != sorted(set(self.seeds)):
            raise ValueError("`seeds` must ascend")
        return self


class _Settings(_Fields):
    difference: Annotated[float, Field(gt=0, lt=1)]
    dead_slots: Literal["skip", "keep"] | None = None
    kinds: list[str] | None = None
    hours: Finite | None = None
    scales: list[str] | None = None
    fresh: bool = True
    difference_before: list[Finite] | None = None


class _Plan(_Fields):
    design: _Design
    looks: _Looks
    settings: _Settings


def read_plan(record: Mapping[str, Any]) -> tuple[Design, Looks]:
    """The design and the looks of a `design` record.

    Raises:
        RecordLost: it is damaged.
    """
    try:
        _Plan.model_validate({k: record[k] for k in _Plan.model_fields})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise RecordLost(
            f"{getattr(record, 'where', 'the design')} is damaged (`{name}`: {first['msg']}). Keep a copy of the file, "
            "then remove that line and give the same `ablate` again: it writes the design anew."
        ) from None
    return Design.of(record["design"]), Looks.of(record["looks"])
