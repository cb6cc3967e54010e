"""The configuration of an ablation: the block `ablation:` of a study, and the options of `ablate`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

KINDS = {
    "leave-one-out": "the full architecture without one of its slots",
    "add-one-in": "one of its slots alone",
    "swap": "another module, or a plain convolution of the same size, in one of its slots",
    "sweep": "one setting of one of its genes, over all options",
    "placement": "one of its genes alone, at each live slot in turn",
    "scale": "the full architecture on larger scales of the base",
    "factorial": "every combination of its filled slots",
    "a/a": "the base against itself with other seeds: any difference is noise",
}
DEFAULT_KINDS = ("leave-one-out", "add-one-in")  # what a claim on a module needs, with the controls
FIRST_KINDS = (*DEFAULT_KINDS, "swap", "sweep", "placement", "scale")  # the default until 0.1, which was not recorded


class AblationConfig(BaseModel):
    """The settings of an ablation of one architecture.

    None means the study's value, or the value in brackets in the description.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    base: str | None = Field(None, description="Architecture to ablate, instead of the study's winner.")
    pick: str | None = Field(None, description="Candidate to ablate: best, knee, simplest or trial:N. [best]")
    kinds: list[str] | None = Field(
        None,
        description=f"Kinds of comparison: {', '.join(KINDS)}. [the first two]",
    )
    arms: list[str] = Field(default_factory=list, description="A further architecture to train; may be repeated.")
    controls: bool = Field(True, description="Also train plain convolutions in place of attention.")
    seeds: int = Field(5, ge=1, le=1000, description="Number of seeds per arm.")
    seed: int | None = Field(None, ge=0, lt=2**31, description="First seed. [one that the search did not use]")
    epochs: int | None = Field(None, ge=1, lt=2**53, description="Epochs per trial. [the study's]")
    imgsz: int | None = Field(None, ge=32, lt=2**53, description="Image size, pixels. [the study's]")
    fraction: float | None = Field(None, gt=0, le=1, description="Share of the training images to use. [the study's]")
    batch: int | None = Field(None, ge=1, lt=2**53, description="Images per training step. [the study's]")
    scales: list[str] | None = Field(
        None, description="Larger scales of the base, for the kind `scale`. [the next two]"
    )
    hours: float | None = Field(
        None, gt=0, description="Let the results decide the number of seeds; start no new trial after this many hours."
    )
    max_seeds: int | None = Field(
        None,
        ge=3,
        le=1000,
        description="Let the results decide the number of seeds, up to this many. [20 with `hours`]",
    )
    difference: float = Field(0.01, gt=0, lt=1, description="Smallest difference in the score that matters.")
    dead_slots: Literal["skip", "keep"] | None = Field(
        None, description="skip or keep arms that differ only in dead slots. [the study's]"
    )

    @property
    def asked_kinds(self) -> tuple[str, ...]:
        """The kinds of comparisons to make; the default ones if none are named."""
        return DEFAULT_KINDS if self.kinds is None else tuple(self.kinds)

    @property
    def sequential(self) -> bool:
        """True if the results decide how many seeds are trained."""
        return self.hours is not None or self.max_seeds is not None
