"""The design of an ablation, as a value: the arms that it trains, and the contrasts between them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer, TypeAdapter

from nas_attn.space import NONE, Architecture
from nas_attn.study.record_kinds import Count, Finite, checked

BASE, FULL = "base", "full"  # the two arms of every ablation
FAMILIES = {  # family -> title of its table; each family has a separate Holm correction
    "base": "Each arm compared with the base",
    "full": "Contribution of each part to the full architecture",
    "control": "Attention compared with a plain convolution in the same slots",
    "factorial": "Effects and interactions of the slots, over all combinations",
    "scale": "Does the gain hold on a larger model?",
    "a/a": "The base compared with itself under other seeds: noise only",
}
if TYPE_CHECKING:
    Written = Architecture
else:  # a record holds it as text
    Written = Annotated[str, AfterValidator(checked), PlainSerializer(str)]
ELSEWHERE = 1_000_000  # offset of seeds that must differ from the base's


@dataclass(frozen=True)
class Arm:
    """One architecture on one base model; it is trained with every seed.

    Attributes:
        name: its name in tables, e.g. `without p4`.
        kinds: kinds of comparisons that need it.
        architecture: the architecture that is trained.
        model: the base model, if its scale is not the ablation's own.
        offset: number that is added to every seed.
        also: further names, if several kinds need the same architecture.
    """

    name: str
    kinds: tuple[str, ...]
    architecture: Written
    model: str | None = None
    offset: Count = 0
    also: tuple[str, ...] = ()

    @property
    def filled(self) -> tuple[str, ...]:
        """Slots that hold a module."""
        return tuple(slot for slot, gene in self.architecture if gene != NONE)

    def as_dict(self) -> dict[str, Any]:
        """The arm as a JSON-ready dictionary."""
        content: dict[str, Any] = TypeAdapter(Arm).dump_python(self, mode="json")
        return content


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of arms, computed for each seed and tested against 0. Most are one arm minus another.

    Attributes:
        label: its name in tables.
        family: key of `FAMILIES`.
        weights: (name of an arm, weight); the weights sum to 0.
        slots: the slots at which the arms differ.
        product: True if it is an interaction of these slots. It is then 0 if one of them is dead.
    """

    label: str
    family: str
    weights: Annotated[tuple[tuple[str, Finite], ...], Field(min_length=1)]
    slots: tuple[str, ...]
    product: bool = False

    def differs_only_in_dead_slots(self, dead: Collection[str]) -> bool:
        """True if its arms differ only in dead slots, so that it cannot show a difference.

        Args:
            dead: the dead slots.
        """
        found = [slot in dead for slot in self.slots]
        return any(found) if self.product else bool(found) and all(found)

    @classmethod
    def between(cls, label: str, family: str, arm: Arm, reference: Arm) -> Contrast:
        """The contrast of one arm minus another."""
        ours, theirs = dict(arm.architecture), dict(reference.architecture)
        slots = tuple(s for s in dict.fromkeys((*ours, *theirs)) if ours.get(s, NONE) != theirs.get(s, NONE))
        return cls(label, family, ((arm.name, 1.0), (reference.name, -1.0)), slots)

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of its arms."""
        return tuple(name for name, _ in self.weights)


@dataclass(frozen=True)
class Design:
    """All arms that an ablation trains, and all contrasts between them.

    Attributes:
        arms: the arms, the base first.
        contrasts: the contrasts, in the order of the tables.
    """

    arms: tuple[Arm, ...]
    contrasts: tuple[Contrast, ...]

    def arm(self, name: str) -> Arm:
        """The arm with this name."""
        return next(a for a in self.arms if a.name == name)

    def family(self, name: str) -> tuple[Contrast, ...]:
        """The contrasts of one family."""
        return tuple(c for c in self.contrasts if c.family == name)

    def compared(self, contrast: Contrast) -> tuple[Any, ...]:
        """An identity of the comparison without names: equal for the same comparison in another design."""
        arms = ((self.arm(name), weight) for name, weight in contrast.weights)
        return contrast.family, frozenset((a.architecture, a.model, a.offset, weight) for a, weight in arms)

    def base_of(self, model: str | None) -> Arm:
        """The unchanged base of a scale, with the same seeds as the other arms."""
        return next(a for a in self.arms if a.model == model and a.architecture.is_base and not a.offset)

    @property
    def models(self) -> tuple[str | None, ...]:
        """The base models in order; None is the ablation's own."""
        return tuple(dict.fromkeys(a.model for a in self.arms))
